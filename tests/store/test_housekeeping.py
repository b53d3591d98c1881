"""What ends and what goes although nobody asks for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from agent.sim.postgres import EmbeddedPostgres
from agent.store import housekeeping
from agent.store.database import Database
from agent.store.housekeeping import Housekeeping, Tidied
from tests.postgres_fixture import fresh_database
from tests.store.cpes import add_device, begin_session
from tests.store.emptying import without_devices
from tests.store.farm import rows

IDLE = 30.0
TODAY = datetime.now(UTC).date()


@pytest.fixture(scope="module")
def shared_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def database_url(shared_url: str) -> str:
    return without_devices(shared_url)


@pytest.fixture
def keeping(database: Database) -> Housekeeping:
    return Housekeeping(database)


def tidy(keeping: Housekeeping) -> Tidied:
    return keeping.tidy(idle_seconds=IDLE, nonce_seconds=300.0)


def silent(url: str, number: int = 1, *, seconds: float = IDLE + 1) -> str:
    """A device in whose session nothing was said for so long."""
    device_id = add_device(url, number)
    begin_session(url, device_id)
    rows(
        url,
        "UPDATE cwmp_sessions SET touched_at = now() - make_interval(secs => %s::double precision)"
        " WHERE device_id = (SELECT id FROM devices WHERE device_id = %s)",
        *(seconds, device_id),
    )
    return device_id


def add_task(url: str, device_id: str, **columns: Any) -> int:
    values = {"kind": "reboot", "priority": 80, "status": "sent", "attempts": 1, **columns}
    values.setdefault("expires_at", datetime.now(UTC) + timedelta(hours=1))
    names, places = ", ".join(values), ", ".join("%s" for _ in values)
    ((task,),) = rows(
        url,
        f"INSERT INTO tasks (device_id, {names}) SELECT id, {places} FROM devices WHERE device_id = %s RETURNING id",
        *(*values.values(), device_id),
    )
    assert isinstance(task, int)
    return task


def task_of(url: str, task: int) -> tuple[Any, ...]:
    (row,) = rows(url, "SELECT status, fault_code, fault_message FROM tasks WHERE id = %s", task)
    return row


def sessions(url: str) -> list[tuple[Any, ...]]:
    return rows(url, "SELECT outcome, reason FROM sessions ORDER BY id")


class TestSilentSessions:
    def test_one_ends_when_its_cpe_has_said_nothing_for_long(self, keeping: Housekeeping, database_url: str) -> None:
        silent(database_url, 1)
        silent(database_url, 2, seconds=IDLE - 5)
        assert tidy(keeping).sessions_ended == 1
        assert sessions(database_url) == [("timeout", "the device fell silent")]
        assert rows(database_url, "SELECT count(*) FROM cwmp_sessions") == [(1,)]
        assert tidy(keeping).sessions_ended == 0

    def test_what_it_was_asked_goes_back_into_the_queue(self, keeping: Housekeeping, database_url: str) -> None:
        device_id = silent(database_url)
        task = add_task(database_url, device_id)
        other = add_task(database_url, add_device(database_url, 2))
        tidy(keeping)
        assert task_of(database_url, task) == ("pending", None, None)
        assert task_of(database_url, other)[0] == "sent", "another device's"

    def test_the_third_time_it_fails(self, keeping: Housekeeping, database_url: str) -> None:
        task = add_task(database_url, silent(database_url), attempts=3)
        tidy(keeping)
        assert task_of(database_url, task) == ("failed", "session", "the device did not answer in three sessions")
        assert rows(database_url, "SELECT completed_at IS NOT NULL FROM tasks") == [(True,)]

    def test_a_transfer_under_way_goes_on(self, keeping: Housekeeping, database_url: str) -> None:
        task = add_task(database_url, silent(database_url), kind="download", awaits_transfer=True, attempts=3)
        tidy(keeping)
        assert task_of(database_url, task)[0] == "sent"

    def test_any_number_ends_in_one_round(
        self, keeping: Housekeeping, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(housekeeping, "BATCH_ROWS", 3)
        for number in range(7):
            silent(database_url, number)
        assert tidy(keeping).sessions_ended == 7

    def test_one_that_is_being_worked_on_is_left_alone(self, keeping: Housekeeping, database_url: str) -> None:
        """Waiting for it, with the lock of the order of events in hand, would be a deadlock."""
        busy = silent(database_url, 1)
        add_task(database_url, silent(database_url, 2, seconds=IDLE + 60))
        with psycopg.connect(database_url) as worker:
            worker.execute(
                "SELECT FROM cwmp_sessions WHERE device_id = (SELECT id FROM devices WHERE device_id = %s) FOR UPDATE",
                (busy,),
            )
            assert tidy(keeping).sessions_ended == 1
            worker.execute("SELECT emit_device_event('x', %s, '{}')", (busy,))
        assert tidy(keeping).sessions_ended == 1

    def test_several_workers_share_the_work(self, database_url: str) -> None:
        for number in range(12):
            add_task(database_url, silent(database_url, number))
        ended: list[int] = []
        begin = threading.Barrier(3)

        def work() -> None:
            with Database(database_url) as database:
                mine = Housekeeping(database)
                begin.wait()
                ended.append(tidy(mine).sessions_ended)

        workers = [threading.Thread(target=work) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(30)
        assert sum(ended) == 12
        assert len(sessions(database_url)) == 12


class TestExpiry:
    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"status": "pending"}, "the device took no notice of it in time"),
            ({"status": "sent"}, "the device took no notice of it in time"),
            ({"status": "sent", "awaits_transfer": True}, "the device never told how the transfer ended"),
            ({"status": "pending", "fault_message": "Request denied"}, "Request denied"),
        ],
    )
    def test_a_task_whose_time_is_over_expires(
        self, keeping: Housekeeping, database_url: str, columns: dict[str, Any], message: str
    ) -> None:
        past = datetime.now(UTC) - timedelta(seconds=1)
        task = add_task(database_url, add_device(database_url), expires_at=past, **columns)
        assert tidy(keeping) == Tidied(sessions_ended=0, tasks_expired=1)
        assert task_of(database_url, task)[::2] == ("expired", message)
        kinds = [kind for (kind,) in rows(database_url, "SELECT kind FROM events ORDER BY id")]
        assert kinds[-1] == "task_expired"
        assert tidy(keeping).tasks_expired == 0

    def test_others_do_not(self, keeping: Housekeeping, database_url: str) -> None:
        device_id = add_device(database_url)
        past = datetime.now(UTC) - timedelta(days=1)
        for status in ("completed", "failed", "cancelled"):
            add_task(database_url, device_id, status=status, expires_at=past)
        add_task(database_url, device_id, status="pending")
        assert tidy(keeping).tasks_expired == 0


def test_a_nonce_is_remembered_for_as_long_as_it_could_come_again(keeping: Housekeeping, database_url: str) -> None:
    for age in (0, 599, 601):
        rows(
            database_url,
            "INSERT INTO cwmp_nonces (nonce, count, at) VALUES (%s::text, 1, now() - make_interval(secs => %s))",
            *(str(age), age),
        )
    tidy(keeping)
    assert sorted(rows(database_url, "SELECT nonce FROM cwmp_nonces")) == [("0",), ("599",)]


class TestRetirement:
    def ended(self, url: str, days_ago: int) -> None:
        rows(
            url,
            "INSERT INTO sessions (device_id, started_at, ended_at, inform_events, messages_exchanged, outcome, worker)"
            " VALUES (1, now(), current_date - %s::integer + interval '1 hour', '{}', 1, 'completed', %s)",
            *(days_ago, str(days_ago)),
        )

    def partitions(self, url: str) -> dict[str, str]:
        return dict(rows(url, "SELECT worker, tableoid::regclass::text FROM sessions"))

    def day(self, days_ago: int) -> str:
        return f"sessions_{TODAY - timedelta(days=days_ago):%Y%m%d}"

    def test_each_day_has_a_partition_before_it_begins(self, keeping: Housekeeping, database_url: str) -> None:
        self.ended(database_url, 0)
        keeping.retire(days=30)
        for days_ago in (-1, -3, -4, 1):
            self.ended(database_url, days_ago)
        assert self.partitions(database_url) == {
            "0": self.day(0),
            "-1": self.day(-1),
            "-3": self.day(-3),
            "-4": "sessions_default",
            "1": "sessions_default",
        }
        assert keeping.retire(days=30) == 0, "again changes nothing"

    def test_old_history_is_dropped_by_the_day(self, keeping: Housekeeping, database_url: str) -> None:
        for days_ago in (8, 7):
            day = TODAY - timedelta(days=days_ago)
            rows(
                database_url,
                f"CREATE TABLE {self.day(days_ago)} PARTITION OF sessions FOR VALUES FROM ('{day} 00:00+00')"
                f" TO ('{day + timedelta(days=1)} 00:00+00')",
            )
        for days_ago in (20, 8, 7, 6):
            self.ended(database_url, days_ago)
        assert keeping.retire(days=7) == 1
        assert sorted(self.partitions(database_url)) == ["6", "7"]
        rows(database_url, f"DROP TABLE {self.day(7)}")

    def test_finished_tasks_and_requests_go_and_open_ones_stay(self, keeping: Housekeeping, database_url: str) -> None:
        device_id, other = add_device(database_url, 1), add_device(database_url, 2)
        now = datetime.now(UTC)
        for days in (8, 6):
            done = now - timedelta(days=days)
            add_task(database_url, device_id, status="completed", completed_at=done, created_at=done)
            add_task(database_url, device_id, status="pending", created_at=done)
        for device, state, days in ((device_id, "done", 8), (device_id, "failed", 6), (other, "pending", 8)):
            rows(
                database_url,
                "INSERT INTO connection_requests (device_id, state, requested_at)"
                " SELECT id, %s, %s FROM devices WHERE device_id = %s",
                *(state, now - timedelta(days=days), device),
            )
        assert keeping.retire(days=7) == 2
        assert rows(database_url, "SELECT status, count(*) FROM tasks GROUP BY status ORDER BY status") == [
            ("completed", 1),
            ("pending", 2),
        ]
        assert sorted(rows(database_url, "SELECT state FROM connection_requests")) == [("failed",), ("pending",)]
