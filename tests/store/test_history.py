"""Measurements over time: made coarser without losing anything, late ones taken in, old ones dropped."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from agent.sim.postgres import EmbeddedPostgres
from agent.store.database import Database
from agent.store.history import History
from agent.store.history_steps import Retention, Tier, choose_window
from agent.store.rows import Scope
from agent.store.wishes import HostWishes
from agent.worker.historian import Historian
from tests.store.farm import HOST, eventually, make_wishes, rows, serial_of, slot_of

NOW = datetime.now(UTC)
HOUR = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
"""The begin of an hour that is over."""
A, B = serial_of(1), serial_of(2)
SAMPLE = (
    "INSERT INTO modem_samples (serial, at, status, rsrp_dbm, sinr_db, rx_bytes, tx_bytes)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s)"
)


@pytest.fixture
def history(database: Database, wishes: HostWishes) -> History:
    for number in (1, 2):
        wishes.register(serial_of(number), slot_of(number), None)
    return History(database)


def begin_at(url: str, at: datetime) -> None:
    rows(url, "UPDATE history_marks SET until = %s", at)
    rows(url, "DELETE FROM history_late")


def add_sample(
    url: str, at: datetime, rx: int, *, serial: str = A, status: str = "online", rsrp: float | None = -90.0
) -> None:
    rows(url, SAMPLE, serial, at, status, rsrp, 10.0, rx, rx // 10)


def turn(history: History) -> None:
    Historian(history, lambda: None).turn()


def tier(url: str, step: int, serial: str = A) -> list[tuple[object, ...]]:
    return rows(
        url,
        "SELECT at, samples, online, rsrp_dbm, rsrp_least_dbm, rx_bytes, tx_bytes FROM modem_history"
        " WHERE step_seconds = %s AND serial = %s ORDER BY at",
        step,
        serial,
    )


def test_samples_become_steps_of_five_minutes_an_hour_and_a_day(history: History, database_url: str) -> None:
    begin_at(database_url, HOUR)
    counter = 1000
    for minute in range(90):
        counter += 100
        add_sample(database_url, HOUR + timedelta(minutes=minute), counter, rsrp=-90.0 - minute % 5)
    turn(history)
    fine = tier(database_url, 300)
    assert len(fine) == 18
    # The first sample has nothing before it to be compared with.
    assert fine[0] == (HOUR, 5, 5, -92.0, -94.0, 400, 40)
    assert fine[1] == (HOUR + timedelta(minutes=5), 5, 5, -92.0, -94.0, 500, 50)
    hours = tier(database_url, 3600)
    assert hours[0] == (HOUR, 60, 60, -92.0, -94.0, 5900, 590)
    assert hours[1][:2] == (HOUR + timedelta(hours=1), 30)
    days = tier(database_url, 86_400)
    assert sum(int(str(day[5])) for day in days) == 8900
    assert sum(int(str(day[1])) for day in days) == 90


def test_a_counter_that_begins_anew_loses_nothing_and_a_gap_counts_where_it_ends(
    history: History, database_url: str
) -> None:
    begin_at(database_url, HOUR)
    for minute, counter in ((0, 5000), (1, 6000), (2, 300), (3, 400), (47, 1400)):
        add_sample(database_url, HOUR + timedelta(minutes=minute), counter)
    turn(history)
    assert [(row[0], row[5]) for row in tier(database_url, 300)] == [
        (HOUR, 1000 + 300 + 100),
        (HOUR + timedelta(minutes=45), 1000),
    ]


def test_taking_in_bite_by_bite_is_the_same_as_at_once(history: History, database_url: str) -> None:
    for minute in range(0, 120, 7):
        add_sample(database_url, HOUR + timedelta(minutes=minute), 1000 * minute)
    begin_at(database_url, HOUR)
    while history.advance("modems", 5):
        pass
    bites = [tier(database_url, step) for step in (300, 3600, 86_400)]
    rows(database_url, "DELETE FROM modem_history")
    begin_at(database_url, HOUR)
    assert history.advance("modems", 100_000) > 120
    assert [tier(database_url, step) for step in (300, 3600, 86_400)] == bites
    assert history.advance("modems", 60) == 0


def test_the_mean_of_an_hour_weighs_its_samples(history: History, database_url: str) -> None:
    begin_at(database_url, HOUR)
    for second in range(0, 300, 30):
        add_sample(database_url, HOUR + timedelta(seconds=second), 1, rsrp=-80.0)
    add_sample(database_url, HOUR + timedelta(minutes=30), 1, rsrp=-124.0, status="degraded")
    add_sample(database_url, HOUR + timedelta(minutes=40), 1, rsrp=None)
    turn(history)
    assert tier(database_url, 3600) == [(HOUR, 12, 11, -84.0, -124.0, 0, 0)]


def test_samples_that_come_late_are_taken_in_and_counted_once(history: History, database_url: str) -> None:
    begin_at(database_url, HOUR)
    add_sample(database_url, HOUR, 1000)
    add_sample(database_url, HOUR + timedelta(minutes=62), 9000)
    add_sample(database_url, HOUR + timedelta(minutes=1), 7, serial=B)
    turn(history)
    assert [row[5] for row in tier(database_url, 3600)] == [None, 8000]
    rows(database_url, "DELETE FROM history_late")
    for minute in range(1, 60):
        add_sample(database_url, HOUR + timedelta(minutes=minute), 1000 + 100 * minute)
    assert rows(database_url, "SELECT serial, hour FROM history_late") == [(A, HOUR)]
    turn(history)
    assert [row[5] for row in tier(database_url, 3600)] == [5900, 2100]
    assert sum(int(str(row[5])) for row in tier(database_url, 86_400)) == 8000
    assert rows(database_url, "SELECT count(*) FROM history_late") == [(0,)]


def test_a_late_sample_that_is_not_committed_yet_is_waited_for(history: History, database_url: str) -> None:
    """Its hour must not be done without it and then be forgotten."""
    begin_at(database_url, HOUR)
    turn(history)
    with psycopg.connect(database_url) as slow:
        slow.execute(SAMPLE.encode(), (A, HOUR, "online", -90.0, 1.0, 1, 1))
        turn(history)
        assert rows(database_url, "SELECT count(*) FROM modem_history") == [(0,)]
        slow.commit()
    turn(history)
    assert len(tier(database_url, 300)) == 1


def test_samples_that_are_no_more_are_not_counted_as_nothing(history: History, database_url: str) -> None:
    begin_at(database_url, HOUR)
    for minute in range(10):
        add_sample(database_url, HOUR + timedelta(minutes=minute), 100 * minute)
    turn(history)
    rows(database_url, "DELETE FROM modem_samples")
    old = NOW - timedelta(days=40)
    rows(
        database_url, "INSERT INTO history_late (serial, hour) VALUES (%s, date_trunc('hour', %s::timestamptz))", A, old
    )
    turn(history)
    assert tier(database_url, 3600)[0][5] == 900


def test_two_workers_do_not_write_the_same_twice(history: History, database: Database, database_url: str) -> None:
    begin_at(database_url, HOUR)
    for minute in range(100):
        add_sample(database_url, HOUR + timedelta(minutes=minute), 100 * minute)
    threads = [threading.Thread(target=turn, args=(History(database),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    turn(history)
    assert sum(int(str(row[5])) for row in tier(database_url, 86_400)) == 9900


def test_what_has_just_been_measured_is_shown_although_it_is_in_no_table_of_the_history(
    history: History, database_url: str
) -> None:
    begin_at(database_url, HOUR)
    for second in range(0, 3 * 3600 + 1200, 60):
        at = HOUR + timedelta(seconds=second)
        if at < NOW:
            add_sample(database_url, at, 1000 * second)
    before = history.fetch_modems(choose_window(HOUR, NOW, at=NOW, points=30), (A,))
    turn(history)
    after = history.fetch_modems(choose_window(HOUR, NOW, at=NOW, points=30), (A,))
    raw = history.fetch_modems(choose_window(HOUR, NOW, at=NOW, points=600), (A,))
    for steps in (before, after, raw):
        assert sum(step.rx_bytes or 0 for step in steps) == sum(step.rx_bytes or 0 for step in raw)
        assert sum(step.samples for step in steps) == sum(step.samples for step in raw)
    assert [step.at for step in before] == [step.at for step in after]


def test_the_fleet_is_added_up_and_who_sees_one_host_gets_its_modems_only(
    history: History, database: Database, database_url: str, tmp_path: Path
) -> None:
    other = make_wishes(database, tmp_path / "other.json", host="farm-2")
    other.register(serial_of(9), slot_of(9), None)
    begin_at(database_url, HOUR)
    for number, serial in enumerate((A, B, serial_of(9))):
        for minute in range(10):
            add_sample(
                database_url,
                HOUR + timedelta(minutes=minute),
                minute * 10**number,
                serial=serial,
                rsrp=-80 - 10 * number,
            )
    turn(history)
    window = choose_window(HOUR, HOUR + timedelta(minutes=10), at=NOW + timedelta(days=31))
    assert window.tier is Tier.FINE
    (step, last) = history.fetch_modems(window)
    assert (step.rx_bytes, last.rx_bytes, step.rsrp_dbm, step.rsrp_least_dbm) == (444, 555, -90.0, -100.0)
    assert sum(each.rx_bytes or 0 for each in history.fetch_modems(window, host=HOST)) == 99
    scoped = history.within(Scope(hosts=("farm-2",)))
    assert sum(each.rx_bytes or 0 for each in scoped.fetch_modems(window)) == 900
    assert scoped.fetch_modems(window, (A,)) == ()


def test_sessions_are_counted_by_outcome(history: History, database_url: str) -> None:
    begin_at(database_url, HOUR)
    add = (
        "INSERT INTO sessions (device_id, started_at, ended_at, inform_events, messages_exchanged, outcome, worker)"
        " VALUES (1, %s, %s, '{}', 4, %s, 'w')"
    )
    for minute in range(120):
        at = HOUR + timedelta(minutes=minute)
        rows(database_url, add, at, at + timedelta(seconds=2), "completed" if minute % 4 else "timeout")
    # This file may have been read long ago.
    now = datetime.now(UTC)
    rows(database_url, add, now - timedelta(seconds=5), now - timedelta(seconds=4), "failed")
    turn(history)
    window = choose_window(HOUR, HOUR + timedelta(hours=2), at=now, points=10, finest=Tier.FINE)
    steps = history.fetch_sessions(window)
    assert sum(step.sessions for step in steps if step.outcome == "completed") == 90
    assert sum(step.seconds for step in steps if step.outcome == "timeout") == 60
    assert rows(database_url, "SELECT sum(sessions) FROM session_history WHERE step_seconds = 3600") == [(120,)]
    fresh = history.fetch_sessions(choose_window(now - timedelta(hours=1), now, at=now, finest=Tier.FINE))
    assert [step.sessions for step in fresh if step.outcome == "failed"] == [1]


def test_who_sees_tags_gets_their_devices_sessions(history: History, database_url: str) -> None:
    rows(database_url, "INSERT INTO device_models (oui, product_class) VALUES ('a', 'b')")
    for number in (1, 2):
        rows(
            database_url,
            "INSERT INTO devices (id, device_id, model_id, manufacturer, oui, product_class, serial_number, state)"
            " VALUES (%s, %s, (SELECT id FROM device_models), 'm', 'a', 'b', 's', 'accepted')",
            number,
            f"a-b-{number}",
        )
        rows(
            database_url,
            "INSERT INTO sessions (device_id, started_at, ended_at, inform_events, messages_exchanged, outcome, worker)"
            " VALUES (%s, %s, %s, '{}', 4, 'completed', 'w')",
            number,
            HOUR,
            HOUR,
        )
    rows(database_url, "INSERT INTO device_tags (device_id, tag) VALUES (2, 'ours'), (2, 'more')")
    window = choose_window(HOUR, NOW, at=NOW, finest=Tier.FINE)
    scoped = history.within(Scope(tags=("ours", "more")))
    assert [step.sessions for step in scoped.fetch_sessions(window)] == [1]
    assert history.within(Scope(tags=())).fetch_sessions(window) == ()


def test_each_table_keeps_what_the_policy_says(database: Database, database_url: str) -> None:
    history = History(database, Retention(fine_days=30, hour_days=200, day_days=1000))
    add = "INSERT INTO modem_history (step_seconds, serial, at, samples, online) VALUES (%s, %s, %s, 1, 1)"
    for step in (300, 3600, 86_400):
        for days in (0, 20, 100, 180, 300, 900, 2000):
            rows(database_url, add, step, A, NOW - timedelta(days=days))
    history.retire()
    # What had no partition is in one now: a partition goes when all of it is past its time.
    kept = {
        step: [
            round((NOW - row[0]).total_seconds() / 86_400)
            for row in rows(database_url, "SELECT at FROM modem_history WHERE step_seconds = %s ORDER BY at DESC", step)
        ]
        for step in (300, 3600, 86_400)
    }
    assert kept == {300: [0, 20], 3600: [0, 20, 100, 180], 86_400: [0, 20, 100, 180, 300, 900]}
    assert rows(database_url, "SELECT count(*) FROM modem_history_3600_default") == [(0,)]
    shorter = History(database, Retention(fine_days=7, hour_days=60, day_days=365))
    assert shorter.retire() > 0
    assert shorter.retire() == 0
    assert rows(database_url, "SELECT count(*) FROM modem_history WHERE step_seconds = 3600") == [(2,)]


def test_the_historian_goes_on_when_the_database_is_back(
    own_postgres: EmbeddedPostgres, own_url: str, tmp_path: Path
) -> None:
    with Database(own_url, timeout_seconds=2) as database:
        make_wishes(database, tmp_path / "wishes.json").register(serial_of(1), slot_of(1), None)
        begin_at(own_url, HOUR)
        for minute in range(10):
            add_sample(own_url, HOUR + timedelta(minutes=minute), 100 * minute)
        own_postgres.stop()
        turned = threading.Semaphore(0)
        historian = Historian(History(database), turned.release, pause_seconds=0.1)
        historian.start()
        try:
            for _ in range(6):
                assert turned.acquire(timeout=10)
            own_postgres.start()
            eventually(lambda: len(tier(own_url, 300)) == 2, 30)
        finally:
            historian.stop()
