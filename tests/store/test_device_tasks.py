"""Tasks and connection requests: made, waited for, cancelled; and the faults that stop them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from agent.acs.tasks import Arguments, TaskStatus, parse_arguments
from agent.core.clock import Deadline
from agent.store import tasks as tasks_module
from agent.store.connection_requests import ConnectionRequests
from agent.store.database import Database
from agent.store.device_errors import DeletedError, QueueFullError, RefusedError, TaskFinishedError, UnknownFileError
from agent.store.device_rows import RequestState
from agent.store.device_waiters import make_waiters
from agent.store.devices import Devices
from agent.store.faults import Faults
from agent.store.fleet import Fleet
from agent.store.tasks import Created, TaskOrder, Tasks
from agent.store.waiting import Waiters
from tests.store.cpes import add_device, fail_task, finish_task, key_of
from tests.store.farm import eventually, rows

READ = parse_arguments("getParameterValues", {"names": ["Device.DeviceInfo."]})
REBOOT = parse_arguments("reboot", {})


@pytest.fixture
def waiters(database: Database) -> Iterator[Waiters]:
    made = make_waiters(database)
    yield made
    made.close()


@pytest.fixture
def tasks(database: Database, waiters: Waiters) -> Tasks:
    return Tasks(database, waiters)


@pytest.fixture
def requests(database: Database, waiters: Waiters) -> ConnectionRequests:
    return ConnectionRequests(database, waiters)


@pytest.fixture
def faults(database: Database) -> Faults:
    return Faults(database)


@pytest.fixture
def device(database_url: str) -> str:
    return add_device(database_url)


def order(arguments: Arguments = READ, *, wake: bool = False) -> TaskOrder:
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    return TaskOrder(arguments=arguments, created_by="anna", expires_at=expires_at, wake=wake)


def make(tasks: Tasks, device: str, arguments: Arguments = READ, *, wake: bool = False) -> Created:
    created = tasks.create(device, order(arguments, wake=wake))
    assert created is not None
    return created


class TestTasks:
    def test_a_task_is_queued_and_announced(self, tasks: Tasks, fleet: Fleet, device: str) -> None:
        start = fleet.latest_event_id()
        created = make(tasks, device)
        assert created.request is None
        row = tasks.fetch(created.task, device)
        assert row is not None
        assert (row.device_id, row.kind, row.arguments) == (
            device,
            "getParameterValues",
            {"names": ["Device.DeviceInfo."]},
        )
        assert (row.status, row.priority, row.created_by) == (TaskStatus.PENDING, 30, "anna")
        assert (row.not_before, row.result, row.completed_at) == (None, None, None)
        (event,) = fleet.fetch_events(start)
        assert (event.kind, event.device_id, event.payload["task"]) == ("task_pending", device, created.task)

    def test_nobody_gets_none(self, tasks: Tasks, database_url: str, device: str) -> None:
        assert tasks.create("nobody", order()) is None
        created = make(tasks, device)
        assert tasks.fetch(created.task, add_device(database_url, 2)) is None
        for number in (0, -1, 10**30):
            assert tasks.fetch(number) is None
            assert tasks.cancel(device, number) is None

    def test_listed_by_status_newest_first(self, tasks: Tasks, database_url: str, device: str) -> None:
        made = [make(tasks, device).task for _ in range(5)]
        finish_task(database_url, made[1])
        found = tasks.fetch_of_device(device, limit=2)
        assert [row.id for row in found] == [made[4], made[3]]
        assert [row.id for row in tasks.fetch_of_device(device, before_id=made[3])] == [made[2], made[1], made[0]]
        done = tasks.fetch_of_device(device, statuses=(TaskStatus.COMPLETED, TaskStatus.FAILED))
        assert [row.id for row in done] == [made[1]]
        assert tasks.fetch_of_device("nobody", before_id=10**30, limit=10**9) == ()

    def test_a_download_names_a_file_that_is_there(self, tasks: Tasks, database_url: str, device: str) -> None:
        download = parse_arguments("download", {"file": "v2.bin"})
        with pytest.raises(UnknownFileError, match="v2"):
            tasks.create(device, order(download))
        rows(
            database_url,
            "INSERT INTO files (name, kind, size, sha256) VALUES ('v2.bin', '1', 1, %s)",
            "0" * 64,
        )
        assert make(tasks, device, download).task
        assert make(tasks, device, parse_arguments("download", {"url": "http://192.0.2.1/x"})).task

    def test_what_cannot_be_kept_is_refused(self, tasks: Tasks, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
        values = [{"name": f"Device.X.{index}", "value": "y" * 60_000} for index in range(20)]
        with pytest.raises(RefusedError, match="refused"):
            tasks.create(device, order(parse_arguments("setParameterValues", {"values": values})))
        monkeypatch.setattr(tasks_module, "PENDING_MOST", 2)
        make(tasks, device)
        make(tasks, device)
        with pytest.raises(QueueFullError):
            tasks.create(device, order())
        assert len(tasks.fetch_of_device(device)) == 2

    def test_cancelling(self, tasks: Tasks, faults: Faults, fleet: Fleet, database_url: str, device: str) -> None:
        waiting, sent, done = (make(tasks, device).task for _ in range(3))
        fail_task(database_url, waiting, "9001", "Request denied", 300)
        rows(database_url, "UPDATE tasks SET status = 'sent' WHERE id = %s", sent)
        finish_task(database_url, done)
        start = fleet.latest_event_id()
        for task in (waiting, sent):
            row = tasks.cancel(device, task)
            assert row is not None
            assert row.status is TaskStatus.CANCELLED
            assert row.completed_at is not None
        assert faults.fetch_page() == ()
        assert [event.kind for event in fleet.fetch_events(start)] == ["task_cancelled"] * 2
        for task in (waiting, done):
            with pytest.raises(TaskFinishedError):
                tasks.cancel(device, task)
        assert tasks.cancel(add_device(database_url, 2), waiting) is None

    def test_the_fault_of_a_task_that_has_failed_stays(
        self, tasks: Tasks, faults: Faults, database_url: str, device: str
    ) -> None:
        task = make(tasks, device).task
        fail_task(database_url, task, "9005", "Invalid parameter name")
        with pytest.raises(TaskFinishedError, match="failed"):
            tasks.cancel(device, task)
        assert len(faults.fetch_page()) == 1


class TestWaiting:
    def test_the_end_is_told_at_once(self, tasks: Tasks, database_url: str, device: str) -> None:
        created = make(tasks, device)

        def do() -> None:
            time.sleep(0.3)
            rows(database_url, "UPDATE tasks SET status = 'sent' WHERE id = %s", created.task)
            time.sleep(0.1)
            finish_task(database_url, created.task, {"count": 1})

        thread = threading.Thread(target=do)
        begun = time.monotonic()
        thread.start()
        row = tasks.wait(created, Deadline.after(20))
        assert time.monotonic() - begun < 3
        thread.join(10)
        assert (row.status, row.result) == (TaskStatus.COMPLETED, {"count": 1})

    def test_many_wait_for_their_own(self, tasks: Tasks, database_url: str, device: str) -> None:
        made = [make(tasks, device) for _ in range(10)]
        ended: dict[int, TaskStatus] = {}

        def wait(created: Created) -> None:
            ended[created.task] = tasks.wait(created, Deadline.after(30)).status

        threads = [threading.Thread(target=wait, args=(created,)) for created in made]
        for thread in threads:
            thread.start()
        for created in reversed(made):
            finish_task(database_url, created.task)
        for thread in threads:
            thread.join(30)
        assert ended == dict.fromkeys((created.task for created in made), TaskStatus.COMPLETED)

    def test_no_longer_than_the_deadline(self, tasks: Tasks, device: str) -> None:
        begun = time.monotonic()
        assert tasks.wait(make(tasks, device), Deadline.after(0.3)).status is TaskStatus.PENDING
        assert 0.25 < time.monotonic() - begun < 3

    def test_not_for_what_is_tried_again_only_later(self, tasks: Tasks, database_url: str, device: str) -> None:
        created = make(tasks, device)
        threading.Timer(0.3, fail_task, (database_url, created.task, "9001", "Request denied", 300)).start()
        begun = time.monotonic()
        row = tasks.wait(created, Deadline.after(20))
        assert time.monotonic() - begun < 4
        assert (row.status, row.fault_code) == (TaskStatus.PENDING, "9001")
        assert row.not_before is not None

    def test_not_for_a_device_that_cannot_be_woken(
        self, tasks: Tasks, requests: ConnectionRequests, database_url: str, device: str
    ) -> None:
        created = make(tasks, device, wake=True)
        assert created.request is not None
        fail = "UPDATE connection_requests SET state = 'failed', reason = 'no route' WHERE id = %s"
        threading.Timer(0.3, rows, (database_url, fail, created.request)).start()
        begun = time.monotonic()
        assert tasks.wait(created, Deadline.after(20)).status is TaskStatus.PENDING
        assert time.monotonic() - begun < 4
        asked = requests.fetch(created.request)
        assert asked is not None
        assert (asked.state, asked.reason) == (RequestState.FAILED, "no route")

    def test_not_for_what_was_deleted(self, tasks: Tasks, database: Database, database_url: str, device: str) -> None:
        created = make(tasks, device)
        Devices(database).delete(device)
        with pytest.raises(DeletedError):
            tasks.wait(created, Deadline.after(20))


class TestConnectionRequests:
    def test_one_is_open_and_others_join_it(
        self, requests: ConnectionRequests, tasks: Tasks, database_url: str, device: str
    ) -> None:
        first = requests.ask(device, "anna")
        assert first is not None
        assert (first.state, first.requested_by, first.attempts) == (RequestState.PENDING, "anna", 0)
        rows(database_url, "UPDATE connection_requests SET next_at = now() + interval '1 hour'")
        assert make(tasks, device, wake=True).request == first.id
        assert rows(database_url, "SELECT next_at <= now() FROM connection_requests") == [(True,)]
        rows(database_url, "UPDATE connection_requests SET state = 'asked'")
        again = requests.ask(device, "bob")
        assert again is not None
        assert (again.id, again.state) == (first.id, RequestState.ASKED)
        rows(database_url, "UPDATE connection_requests SET state = 'done', finished_at = now()")
        other = requests.ask(device, "bob")
        assert other is not None
        assert other.id != first.id
        assert requests.ask("nobody", "anna") is None

    def test_many_at_once_are_one(self, requests: ConnectionRequests, device: str, database_url: str) -> None:
        threads = [threading.Thread(target=requests.ask, args=(device, f"user {n}")) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert rows(database_url, "SELECT count(*) FROM connection_requests") == [(1,)]

    def test_its_end_is_waited_for(self, requests: ConnectionRequests, database_url: str, device: str) -> None:
        asked = requests.ask(device, "anna")
        assert asked is not None
        assert requests.wait(asked.id, Deadline.after(0.2)).state is RequestState.PENDING
        done = "UPDATE connection_requests SET state = 'done', finished_at = now() WHERE id = %s"
        threading.Timer(0.3, rows, (database_url, done, asked.id)).start()
        begun = time.monotonic()
        assert requests.wait(asked.id, Deadline.after(20)).state is RequestState.DONE
        assert time.monotonic() - begun < 3

    def test_a_notification_of_nonsense_is_nobodys(
        self, requests: ConnectionRequests, database_url: str, device: str
    ) -> None:
        asked = requests.ask(device, "anna")
        assert asked is not None
        found: list[RequestState] = []
        thread = threading.Thread(target=lambda: found.append(requests.wait(asked.id, Deadline.after(20)).state))
        thread.start()
        time.sleep(0.3)
        for payload in ("", "nonsense", "[]", '{"id": null}'):
            rows(
                database_url,
                "SELECT pg_notify('connection_request', %s), pg_notify('task_change', %s)",
                payload,
                payload,
            )
        rows(database_url, "UPDATE connection_requests SET state = 'failed'")
        thread.join(20)
        assert found == [RequestState.FAILED]


class TestFaults:
    def test_pages_and_filters(self, tasks: Tasks, faults: Faults, database_url: str, device: str) -> None:
        other = add_device(database_url, 2)
        for owner, code in ((device, "9001"), (device, "9005"), (other, "9005")):
            fail_task(database_url, make(tasks, owner).task, code, "no")
        assert [fault.code for fault in faults.fetch_page(device_id=device)] == ["9005", "9001"]
        newest, *rest = faults.fetch_page(code="9005")
        assert (newest.device_id, len(rest)) == (other, 1)
        assert len(faults.fetch_page(before_id=newest.id, limit=1)) == 1
        assert faults.fetch(newest.id) == newest

    def test_deleting_one_makes_its_task_ready_now(
        self, tasks: Tasks, faults: Faults, fleet: Fleet, database_url: str, device: str
    ) -> None:
        task = make(tasks, device, REBOOT).task
        fail_task(database_url, task, "9001", "Request denied", 3000)
        (fault,) = faults.fetch_page()
        assert fault.channel == f"task_{task}"
        start = fleet.latest_event_id()
        assert faults.delete(fault.id) == fault
        row = tasks.fetch(task)
        assert row is not None
        assert (row.status, row.not_before) == (TaskStatus.PENDING, None)
        assert [event.kind for event in fleet.fetch_events(start)] == ["fault_deleted"]
        assert faults.delete(fault.id) is None
        assert faults.delete(10**30) is None

    def test_deleting_that_of_a_discovery_makes_it_ready_now(
        self, faults: Faults, database_url: str, device: str
    ) -> None:
        key, _ = key_of(database_url, device)
        rows(database_url, "UPDATE devices SET discovery_not_before = now() + interval '1 day'")
        rows(
            database_url,
            "INSERT INTO faults (device_id, channel, code, message) VALUES (%s, 'discovery', '9002', 'x'),"
            " (%s, 'task_99999999999999999999', '9002', 'x')",
            *(key, key),
        )
        for fault in faults.fetch_page():
            assert faults.delete(fault.id) is not None
        assert rows(database_url, "SELECT discovery_not_before FROM devices WHERE discovery_not_before > now()") == []
        eventually(lambda: faults.fetch_page() == ())
