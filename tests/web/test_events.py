"""Live events: none lost, none twice, in order, with bounds on everything."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from flask import Flask
from flask.testing import FlaskClient

from agent.core.clock import Deadline, wall
from agent.core.errors import TransientError
from agent.store.rows import EventRow
from agent.web import live
from agent.web.events import PAGE, EventHub, StreamEnded, StreamsExhausted, Subscription
from agent.web.services import Services
from tests.store.farm import eventually, rows, serial_of
from tests.web.conftest import MODEM, Headers


class Table:
    """The table of events, in memory."""

    def __init__(self) -> None:
        self.rows: list[EventRow] = []
        self.away = False
        self.queries = 0

    def add(self, serial: str = MODEM, count: int = 1) -> None:
        for _ in range(count):
            identifier = len(self.rows) + 1
            row = EventRow(id=identifier, at=wall(), kind="modem_changed", serial=serial, host="farm-1", payload={})
            self.rows.append(row)

    def fetch_events(self, after_id: int, limit: int = 1000) -> Sequence[EventRow]:
        self.queries += 1
        if self.away:
            raise TransientError("away")
        return tuple(row for row in self.rows if row.id > after_id)[:limit]

    def latest_event_id(self) -> int:
        if self.away:
            raise TransientError("away")
        return self.rows[-1].id if self.rows else 0


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def hub(table: Table) -> Iterator[EventHub]:
    running = EventHub(table, streams_most=3, queue_most=5, resync_seconds=60)
    running.start()
    yield running
    running.close()


def receive(subscription: Subscription, count: int, seconds: float = 5.0) -> list[int]:
    """Ids of the next `count` events, or of those that came in time."""
    found: list[int] = []
    deadline = Deadline.after(seconds)
    while len(found) < count and not deadline.passed:
        found += [row.id for row in subscription.receive(deadline)]
    return found


class TestHub:
    def test_what_happens_is_delivered_at_once(self, hub: EventHub, table: Table) -> None:
        table.add(count=3)
        subscription = hub.subscribe(None, None)
        assert receive(subscription, 1, 0.1) == []
        begun = time.monotonic()
        table.add()
        hub.wake()
        assert receive(subscription, 1) == [4]
        assert time.monotonic() - begun < 1

    def test_one_resumes_where_one_was(self, hub: EventHub, table: Table) -> None:
        table.add(count=PAGE * 2 + 7)
        assert receive(hub.subscribe(3, None), PAGE * 2 + 4) == list(range(4, PAGE * 2 + 8))

    def test_one_resumes_while_another_reads(self, hub: EventHub, table: Table) -> None:
        table.add(count=4)
        first = hub.subscribe(None, None)
        table.add()
        hub.wake()
        assert receive(first, 1) == [5]
        assert receive(hub.subscribe(2, None), 3) == [3, 4, 5]

    def test_one_modem_only(self, hub: EventHub, table: Table) -> None:
        subscription = hub.subscribe(0, MODEM)
        table.add(serial_of(2), 4)
        table.add(MODEM)
        hub.wake()
        assert receive(subscription, 1) == [5]

    def test_a_slow_reader_misses_nothing_and_holds_little(self, hub: EventHub, table: Table) -> None:
        subscription = hub.subscribe(None, None)
        assert receive(subscription, 1, 0.2) == []
        for _ in range(40):
            table.add()
            hub.wake()
            time.sleep(0.003)
        assert len(subscription._queue) <= 5
        assert receive(subscription, 40) == list(range(1, 41))

    def test_nothing_is_lost_or_doubled_while_readers_come_and_events_flow(self, hub: EventHub, table: Table) -> None:
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                table.add()
                hub.wake()
                time.sleep(0.0005)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(20):
                subscription = hub.subscribe(None, None)
                first = subscription.position
                assert receive(subscription, 30)[:30] == list(range(first + 1, first + 31))
                hub.unsubscribe(subscription)
        finally:
            stop.set()
            writer.join()

    def test_an_outage_delays_and_loses_nothing(self, hub: EventHub, table: Table) -> None:
        subscription = hub.subscribe(None, None)
        assert receive(subscription, 1, 0.1) == []
        table.away = True
        hub.wake()
        table.add(count=2)
        assert receive(subscription, 1, 0.2) == []
        table.away = False
        hub.resync()
        assert receive(subscription, 2) == [1, 2]

    def test_an_older_database_is_followed_too(self, hub: EventHub, table: Table) -> None:
        table.add(count=10)
        subscription = hub.subscribe(None, None)
        assert hub.subscribe(99, None).position == 10
        del table.rows[4:]
        hub.resync()
        eventually(lambda: receive(subscription, 1, 0.1) == [] and subscription.position == 4)
        table.add()
        hub.wake()
        assert receive(subscription, 1) == [5]

    def test_streams_are_counted(self, hub: EventHub) -> None:
        opened = [hub.subscribe(None, None) for _ in range(3)]
        with pytest.raises(StreamsExhausted):
            hub.subscribe(None, None)
        hub.unsubscribe(opened[0])
        hub.subscribe(None, None)
        assert hub.streams == 3

    def test_closing_ends_every_stream(self, hub: EventHub) -> None:
        subscription = hub.subscribe(None, None)
        threading.Timer(0.1, hub.close).start()
        with pytest.raises(StreamEnded):
            receive(subscription, 1)
        with pytest.raises(StreamEnded):
            hub.subscribe(None, None)

    def test_without_readers_the_table_is_left_alone(self, hub: EventHub, table: Table) -> None:
        for _ in range(5):
            hub.wake()
            time.sleep(0.03)
        assert table.queries == 0


def blocks(chunks: Iterator[bytes]) -> Iterator[dict[str, str]]:
    """The fields of each event of a stream."""
    for chunk in chunks:
        for block in chunk.decode().split("\n\n"):
            if block:
                yield dict(line.split(": ", 1) for line in block.splitlines())


class TestStream:
    def test_changes_of_the_table_arrive(self, client: FlaskClient, viewer: Headers, url: str) -> None:
        response = client.get("/api/events", headers=viewer, buffered=False)
        assert response.mimetype == "text/event-stream"
        stream = blocks(iter(response.response))  # type: ignore[arg-type]
        ready = next(stream)
        assert ready["event"] == "ready"
        rows(url, "UPDATE modems SET status = 'online' WHERE serial = %s", MODEM)
        event = next(stream)
        assert event["event"] == "modem_changed"
        assert int(event["id"]) > int(ready["id"])
        assert MODEM in event["data"]
        response.close()
        resumed = client.get("/api/v1/events", headers={**viewer, "Last-Event-ID": ready["id"]}, buffered=False)
        again = blocks(iter(resumed.response))  # type: ignore[arg-type]
        assert next(again)["id"] == ready["id"]
        assert next(again) == event
        resumed.close()
        by_query = client.get(f"/api/events?after={ready['id']}&serial={serial_of(2)}", headers=viewer, buffered=False)
        rows(url, "UPDATE modems SET status = 'online' WHERE serial = %s", serial_of(2))
        other = blocks(iter(by_query.response))  # type: ignore[arg-type]
        assert next(other)["event"] == "ready"
        assert serial_of(2) in next(other)["data"]
        by_query.close()

    def test_places_are_bounded_and_given_back(self, app: Flask, viewer: Headers, services: Services) -> None:
        opened = [app.test_client().get("/api/events", headers=viewer, buffered=False) for _ in range(2)]
        refused = app.test_client().get("/api/events", headers=viewer)
        assert refused.status_code == 503
        assert refused.get_json()["error"]["code"] == "too_many_streams"
        assert refused.headers["Retry-After"]
        for response in opened:
            response.close()
        assert services.events.streams == 0

    def test_only_the_headers(self, client: FlaskClient, viewer: Headers, services: Services) -> None:
        assert client.head("/api/events", headers=viewer).status_code == 200
        assert services.events.streams == 0

    @pytest.mark.parametrize("value", ["x", "-1", "1.5", "9" * 30, "١"])
    def test_a_position_that_is_none(self, client: FlaskClient, viewer: Headers, value: str) -> None:
        response = client.get("/api/events", headers={**viewer, "Last-Event-ID": value.encode().decode("latin-1")})
        assert response.status_code == 400

    def test_it_beats_and_ends_with_its_token(
        self, client: FlaskClient, viewer: Headers, services: Services, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.05)
        monkeypatch.setattr(live, "RECHECK_SECONDS", 0.2)
        response = client.get("/api/events", headers=viewer, buffered=False)
        chunks = iter(response.response)
        assert b"event: ready" in next(chunks)
        assert next(chunks) == b": heartbeat\n\n"
        services.tokens.revoke("viewer")
        begun = time.monotonic()
        assert set(chunks) <= {b": heartbeat\n\n"}
        assert time.monotonic() - begun < 2
        response.close()
