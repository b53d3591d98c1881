"""Sessions under way and past, and everything in numbers."""

from __future__ import annotations

import pytest

from agent.acs.tasks import TaskStatus
from agent.store.acs_statistics import AcsStatistics
from agent.store.database import Database
from agent.store.device_errors import PlaceError
from agent.store.device_rows import DeviceState, SessionStatus
from agent.store.session_history import SessionHistory
from tests.store.cpes import add_device, begin_session, end_session, fail_task, key_of, serial_number_of, tree
from tests.store.farm import rows


@pytest.fixture
def sessions(database: Database) -> SessionHistory:
    return SessionHistory(database)


@pytest.fixture
def statistics(database: Database) -> AcsStatistics:
    return AcsStatistics(database)


def test_those_under_way(sessions: SessionHistory, database_url: str) -> None:
    first, second = add_device(database_url, 1), add_device(database_url, 2)
    begin_session(database_url, first)
    begin_session(database_url, second, discovery=tree(), batch=23, batches=48, worker="acs-1/200")
    found = sessions.fetch_open()
    assert [(each.device_id, each.session.status) for each in found] == [
        (first, SessionStatus.ACTIVE),
        (second, SessionStatus.DISCOVERING),
    ]
    assert (found[1].session.batch, found[1].session.batches, found[1].session.worker) == (23, 48, "acs-1/200")
    assert [each.device_id for each in sessions.fetch_open(discovering=True)] == [second]
    assert [each.device_id for each in sessions.fetch_open(serial_number=serial_number_of(1))] == [first]
    assert len(sessions.fetch_open(limit=1)) == 1
    counted = sessions.count_open()
    assert (counted.active, counted.discovering, counted.active_workers) == (2, 1, 2)


def test_past_ones_page_by_page(sessions: SessionHistory, database_url: str) -> None:
    device = add_device(database_url, 1)
    assert sessions.fetch_past(serial_number_of(1)) == ()
    assert sessions.fetch_past("nobody") is None
    for number in range(7):
        begin_session(database_url, device)
        end_session(database_url, device, "timeout" if number == 3 else "completed")
    rows(database_url, "UPDATE sessions SET ended_at = date_trunc('minute', ended_at) WHERE id > 4")
    seen: list[int] = []
    before = None
    while page := sessions.fetch_past(serial_number_of(1), before=before, limit=2):
        seen += [each.id for each in page]
        before = (page[-1].ended_at.isoformat(), page[-1].id)
    ordered = rows(database_url, "SELECT id FROM sessions ORDER BY ended_at DESC, id DESC")
    assert seen == [row[0] for row in ordered]
    newest = (sessions.fetch_past(serial_number_of(1)) or ())[0]
    assert (newest.device_id, newest.inform_events, newest.parameters) == (device, ["0 BOOTSTRAP"], 3)
    with pytest.raises(PlaceError):
        sessions.fetch_past(serial_number_of(1), before=("yesterday or so", 1))


def test_in_numbers(statistics: AcsStatistics, database_url: str) -> None:
    ids = [add_device(database_url, number) for number in range(1, 4)]
    add_device(database_url, 4, state="held", age_seconds=1e6)
    rows(database_url, "UPDATE devices SET discovered_at = now() WHERE device_id = %s", ids[0])
    for device, outcome in zip(ids, ("completed", "completed", "failed"), strict=True):
        begin_session(database_url, device)
        end_session(database_url, device, outcome)
    rows(database_url, "UPDATE sessions SET started_at = ended_at - interval '2 s'")
    rows(
        database_url,
        "INSERT INTO sessions (device_id, started_at, ended_at, inform_events, messages_exchanged, outcome, worker)"
        " SELECT 1, now() - interval '2 days', now() - interval '2 days', '{}', 1, 'completed', 'w'",
    )
    key, _ = key_of(database_url, ids[0])
    rows(
        database_url,
        "INSERT INTO tasks (device_id, kind, priority, expires_at) SELECT %s, 'reboot', 80, now() FROM"
        " generate_series(1, 2)",
        key,
    )
    ((task,),) = rows(database_url, "SELECT max(id) FROM tasks")
    fail_task(database_url, task, "9005", "no")
    begin_session(database_url, ids[2], wanted=True)
    devices = statistics.count_devices()
    assert (devices.total, devices.online, devices.discovered) == (4, 3, 1)
    assert devices.by_state == {(DeviceState.ACCEPTED, True): 3, (DeviceState.HELD, False): 1}
    assert (devices.in_state(DeviceState.HELD), devices.in_state(DeviceState.REFUSED)) == (1, 0)
    tasks = statistics.count_tasks()
    assert (tasks[TaskStatus.PENDING], tasks[TaskStatus.FAILED], tasks[TaskStatus.SENT]) == (1, 1, 0)
    assert statistics.count_faults() == 1
    today, minute = statistics.count_sessions_today(), statistics.count_sessions_last_minute()
    assert minute.by_outcome == {"completed": 2, "failed": 1}
    assert today.total in (0, 3)  # just after midnight there are none
    assert minute.completed == 2
    assert minute.mean_duration_seconds == pytest.approx(2.0, abs=0.01)
    assert statistics.count_open_sessions().discovering == 1


def test_nothing_in_numbers(statistics: AcsStatistics) -> None:
    assert statistics.count_devices().total == 0
    assert set(statistics.count_tasks().values()) == {0}
    assert statistics.count_sessions_last_minute().mean_duration_seconds is None
    assert statistics.count_open_sessions().active == 0
