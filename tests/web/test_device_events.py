"""Devices in the stream of events: what happened to them, and how far their discoveries have come."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from agent.core.clock import Deadline, now
from agent.store.listen import DEVICE_CHANGE, SESSION_PROGRESS
from agent.web import events as events_module
from agent.web.events import EventHub, Subscription
from agent.web.services import Services
from tests.store.cpes import add_device
from tests.store.farm import eventually, rows
from tests.web.conftest import MODEM, Headers
from tests.web.test_events import Table, blocks


def progress_of(device: str, batch: int) -> str:
    return json.dumps({"device": device, "batch": batch, "batches": 48, "parameters": batch * 50, "total": 2396})


def take(subscription: Subscription, count: int, seconds: float = 5.0) -> list[tuple[str, int]]:
    """(device, batch) of the progress that comes, until there are `count` or the time is over."""
    found: list[tuple[str, int]] = []
    deadline = Deadline.after(seconds)
    while len(found) < count and not deadline.passed:
        assert subscription.receive(deadline) == ()
        found += [(each["device"], each["batch"]) for each in subscription.take_progress()]
    return found


@pytest.fixture
def hub() -> Iterator[EventHub]:
    running = EventHub(Table(), streams_most=5, queue_most=5, resync_seconds=60)
    running.start()
    yield running
    running.close()


class TestProgress:
    def test_it_comes_at_once_and_only_the_latest(self, hub: EventHub) -> None:
        subscription = hub.subscribe(None, None)
        assert take(subscription, 1, 0.1) == []
        begun = now()
        hub.hear(SESSION_PROGRESS, progress_of("a", 1))
        assert take(subscription, 1) == [("a", 1)]
        assert now() - begun < 0.2
        for batch in (2, 3, 4):
            hub.hear(SESSION_PROGRESS, progress_of("a", batch))
        hub.hear(SESSION_PROGRESS, progress_of("b", 1))
        begun = now()
        assert take(subscription, 2) == [("a", 4), ("b", 1)]
        assert now() - begun > events_module.PROGRESS_SECONDS - 0.1
        assert take(subscription, 1, 0.4) == []

    def test_of_one_device_or_of_none(self, hub: EventHub) -> None:
        mine, modem, all_ = hub.subscribe(None, None, "a"), hub.subscribe(None, MODEM), hub.subscribe(None, None)
        for device in ("b", "a"):
            hub.hear(SESSION_PROGRESS, progress_of(device, 7))
        assert take(mine, 1) == [("a", 7)]
        assert take(all_, 2) == [("b", 7), ("a", 7)]
        assert take(modem, 1, 0.4) == []

    def test_there_are_bounds(self, hub: EventHub) -> None:
        subscription = hub.subscribe(None, None)
        for number in range(50):
            hub.hear(SESSION_PROGRESS, progress_of(f"d{number}", 1))
        assert len(take(subscription, 5)) == 5
        assert take(subscription, 1, 0.4) == []

    @pytest.mark.parametrize("payload", ["", "nonsense", "[]", "{}", "[" * 5000])
    def test_nonsense_harms_nobody(self, hub: EventHub, payload: str) -> None:
        hub.subscribe(None, None)
        hub.hear(SESSION_PROGRESS, payload)
        hub.hear(DEVICE_CHANGE, payload)

    def test_events_do_not_wait_for_it(self, hub: EventHub) -> None:
        table = hub._source
        assert isinstance(table, Table)
        subscription = hub.subscribe(None, None)
        hub.hear(SESSION_PROGRESS, progress_of("a", 1))
        table.add()
        hub.wake()
        begun = now()
        received: list[int] = []
        while not received and now() - begun < 5:
            received += [row.id for row in subscription.receive(Deadline.after(5))]
        assert received == [1]
        assert now() - begun < 1


class TestStream:
    def test_events_and_progress_of_one_device(
        self, client: FlaskClient, viewer: Headers, services: Services, url: str
    ) -> None:
        device, other = add_device(url, 1), add_device(url, 2)
        response = client.get(f"/api/events?device={device}", headers=viewer, buffered=False)
        stream = blocks(iter(response.response))  # type: ignore[arg-type]
        assert next(stream)["event"] == "ready"
        rows(url, "UPDATE modems SET status = 'online' WHERE serial = %s", MODEM)
        for each in (other, device):
            services.acs.devices.add_tags(each, ("vip",))
        event = next(stream)
        data = json.loads(event["data"])
        assert (event["event"], data["device_id"], data["serial"]) == ("device_tagged", device, None)
        assert data["payload"] == {"tags": ["vip"]}
        for each in (other, device):
            rows(url, "SELECT pg_notify('session_progress', %s)", progress_of(each, 15))
        progress = next(stream)
        assert (progress["event"], "id" in progress) == ("session_progress", False)
        assert json.loads(progress["data"]) == json.loads(progress_of(device, 15))
        begun = time.monotonic()
        services.acs.devices.delete(device)
        assert next(stream)["event"] == "device_removed"
        assert time.monotonic() - begun < 5
        response.close()
        eventually(lambda: services.events.streams == 0)

    def test_one_resumes_after_the_last_event(
        self, client: FlaskClient, viewer: Headers, services: Services, url: str
    ) -> None:
        device = add_device(url)
        start = services.fleet.latest_event_id()
        for tag in ("a", "b"):
            services.acs.devices.add_tags(device, (tag,))
        headers = {**viewer, "Last-Event-ID": str(start)}
        response = client.get("/api/events", headers=headers, buffered=False)
        stream = blocks(iter(response.response))  # type: ignore[arg-type]
        assert next(stream)["event"] == "ready"
        assert [next(stream)["event"] for _ in range(2)] == ["device_tagged"] * 2
        response.close()
