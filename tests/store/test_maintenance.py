"""Partitions and retention."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from agent.store.database import Database
from agent.store.fleet import Fleet
from agent.store.maintenance import maintain
from agent.store.wishes import HostWishes
from tests.store.farm import SERIAL, SLOT, rows

LOG = (
    "INSERT INTO modem_logs (at, host, serial, channel, command, response, outcome)"
    " VALUES (%s, 'h', %s, 'at', %s, '', 'ok')"
)
TODAY = datetime.now(UTC)


def _partition_of(url: str, command: str) -> str:
    return str(rows(url, "SELECT tableoid::regclass::text FROM modem_logs WHERE command = %s", command)[0][0])


def test_migrating_makes_the_partitions_of_these_days(database_url: str) -> None:
    for days in (0, 1, 3):
        rows(database_url, LOG, TODAY + timedelta(days=days), SERIAL, str(days))
        assert _partition_of(database_url, str(days)) == f"modem_logs_{TODAY + timedelta(days=days):%Y%m%d}"


def test_rows_without_a_partition_are_kept_and_find_their_place(database: Database, database_url: str) -> None:
    today = f"modem_logs_{TODAY:%Y%m%d}"
    rows(database_url, f"DROP TABLE {today}")
    rows(database_url, LOG, TODAY, SERIAL, "early")
    rows(database_url, LOG, datetime(1970, 1, 2, tzinfo=UTC), SERIAL, "no clock")
    assert _partition_of(database_url, "early") == "modem_logs_default"
    maintain(database, 30)
    assert _partition_of(database_url, "early") == today
    assert rows(database_url, "SELECT command FROM modem_logs_default") == []


def test_what_is_past_its_time_is_dropped(
    database: Database, wishes: HostWishes, fleet: Fleet, database_url: str
) -> None:
    wishes.register(SERIAL, SLOT, None)
    fleet.submit_command(SERIAL, "at", {}, "anna", 30)
    old, recent = TODAY - timedelta(days=10), TODAY - timedelta(days=5)
    for day in (old, recent):
        name = f"modem_logs_{day:%Y%m%d}"
        bounds = f"FROM ('{day:%Y-%m-%d} 00:00+00') TO ('{day + timedelta(days=1):%Y-%m-%d} 00:00+00')"
        rows(database_url, f"CREATE TABLE {name} PARTITION OF modem_logs FOR VALUES {bounds}")
        rows(database_url, LOG, day, SERIAL, name)
        rows(database_url, "INSERT INTO events (at, kind) VALUES (%s, 'x')", day)
        rows(
            database_url,
            "INSERT INTO modem_commands (serial, kind, state, requested_at, expires_at)"
            " VALUES (%s, 'at', 'done', %s, %s)",
            SERIAL,
            day,
            day,
        )
        rows(
            database_url,
            "INSERT INTO address_history (serial, address, valid_from, valid_until) VALUES (%s, '10.0.0.1', %s, %s)",
            SERIAL,
            day,
            day,
        )
    done = maintain(database, 7)
    assert (done.partitions_dropped, done.rows_deleted) == (1, 3)
    assert rows(database_url, "SELECT command FROM modem_logs") == [(f"modem_logs_{recent:%Y%m%d}",)]
    assert rows(database_url, "SELECT count(*) FROM events WHERE kind = 'x'") == [(1,)]
    assert rows(database_url, "SELECT count(*) FROM modem_commands") == [(2,)]
    assert rows(database_url, "SELECT count(*) FROM address_history") == [(1,)]
    again = maintain(database, 7)
    assert (again.partitions_dropped, again.rows_deleted) == (0, 0)


def test_several_hosts_may_maintain_at_once_while_logs_are_written(database: Database, database_url: str) -> None:
    rows(database_url, f"DROP TABLE modem_logs_{TODAY:%Y%m%d}")
    stop = threading.Event()
    written = [0]
    failures: list[BaseException] = []

    def write() -> None:
        while not stop.is_set():
            rows(database_url, LOG, TODAY, SERIAL, "x")
            written[0] += 1

    def keep() -> None:
        try:
            maintain(database, 30)
        except BaseException as exc:  # noqa: BLE001 - whatever it is, the test must see it
            failures.append(exc)

    writer = threading.Thread(target=write)
    writer.start()
    keepers = [threading.Thread(target=keep) for _ in range(4)]
    for thread in keepers:
        thread.start()
    for thread in keepers:
        thread.join(30)
    stop.set()
    writer.join(10)
    assert failures == []
    assert rows(database_url, "SELECT count(*) FROM modem_logs") == [(written[0],)]
    assert rows(database_url, "SELECT count(*) FROM modem_logs_default") == [(0,)]
