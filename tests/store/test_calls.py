"""Connection requests as workers share them: each is one worker's, and none is lost with a worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from agent.sim.postgres import EmbeddedPostgres
from agent.store.calls import CLAIM_SECONDS, Call, Calls
from agent.store.database import Database
from tests.postgres_fixture import fresh_database
from tests.store.cpes import add_device
from tests.store.emptying import without_devices
from tests.store.farm import rows


@pytest.fixture(scope="module")
def shared_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def database_url(shared_url: str) -> str:
    return without_devices(shared_url)


@pytest.fixture
def calls(database: Database) -> Calls:
    return Calls(database)


@pytest.fixture
def sql(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def ask(url: str, number: int = 1, *, due_in_seconds: float = 0.0, **columns: Any) -> int:
    """A connection request for a device of its own."""
    device_id = add_device(url, number, **columns)
    ((request,),) = rows(
        url,
        "INSERT INTO connection_requests (device_id, next_at)"
        " SELECT id, now() + make_interval(secs => %s::double precision) FROM devices WHERE device_id = %s"
        " RETURNING id",
        *(due_in_seconds, device_id),
    )
    assert isinstance(request, int)
    return request


def state(url: str, request: int = 0) -> tuple[Any, ...]:
    (row,) = rows(
        url,
        "SELECT state, attempts, reason, finished_at IS NOT NULL FROM connection_requests WHERE %s IN (0, id)",
        request,
    )
    return row


def die(url: str) -> None:
    """The time of all claims is over: their workers have said nothing."""
    rows(url, "UPDATE connection_requests SET claimed_until = now() - interval '1 second'")


class TestClaim:
    def test_what_is_due_is_given_once(self, calls: Calls, database_url: str) -> None:
        request = ask(database_url)
        (call,) = calls.claim(5)
        assert call == Call(id=request, device_id=call.device_id, url="http://192.0.2.1:7547/cr", attempts=1)
        assert calls.claim(5) == ()

    def test_no_more_are_given_than_are_wanted_and_the_oldest_first(self, calls: Calls, database_url: str) -> None:
        requests = [ask(database_url, number, due_in_seconds=-number) for number in (1, 3, 2)]
        claimed = [calls.claim(1)[0].id for _ in requests]
        assert claimed == [requests[1], requests[2], requests[0]]

    def test_what_is_not_due_or_finished_is_not_given(self, calls: Calls, database_url: str) -> None:
        ask(database_url, 1, due_in_seconds=60)
        done = ask(database_url, 2)
        rows(database_url, "UPDATE connection_requests SET state = 'done' WHERE id = %s", done)
        assert calls.claim(5) == ()

    def test_a_device_without_a_url_is_given_too(self, calls: Calls, database_url: str) -> None:
        ask(database_url, connection_request_url=None)
        assert calls.claim(5)[0].url is None

    def test_workers_never_get_the_same(self, database_url: str) -> None:
        for number in range(15):
            ask(database_url, number)
        claimed: list[int] = []
        begin = threading.Barrier(4)

        def work() -> None:
            with Database(database_url) as database:
                mine = Calls(database)
                begin.wait()
                while found := mine.claim(3):
                    claimed.extend(call.id for call in found)

        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(30)
        assert len(claimed) == len(set(claimed)) == 15

    def test_claiming_tells_nobody(self, calls: Calls, database_url: str, sql: psycopg.Connection[Any]) -> None:
        ask(database_url)
        sql.execute("LISTEN connection_request")
        calls.claim(5)
        assert [*sql.notifies(timeout=0.1)] == [], "it would wake every worker for nothing"


class TestOutcome:
    def test_an_accepted_one_waits_for_its_session(self, calls: Calls, database_url: str) -> None:
        ask(database_url)
        (call,) = calls.claim(5)
        calls.accepted(call, 30.0)
        assert state(database_url) == ("asked", 1, "", False)
        assert calls.claim(5) == ()
        assert calls.give_up_unanswered(3) == 0
        assert calls.seconds_to_next() == pytest.approx(30, abs=5)

    def test_one_that_is_tried_again_waits(self, calls: Calls, database_url: str) -> None:
        ask(database_url)
        calls.again(calls.claim(5)[0], "the device is busy", 0.0)
        assert state(database_url) == ("pending", 1, "the device is busy", False)
        (call,) = calls.claim(5)
        assert call.attempts == 2
        calls.again(call, "the device is busy", 60.0)
        assert calls.claim(5) == ()

    def test_a_failed_one_is_over(self, calls: Calls, database_url: str) -> None:
        ask(database_url)
        calls.failed(calls.claim(5)[0], "a reason with \x00 and \ud800" + "x" * 1000)
        state_, _, reason, finished = state(database_url)
        assert (state_, finished, len(reason)) == ("failed", True, 500)
        assert calls.claim(5) == ()
        assert calls.seconds_to_next() is None

    @pytest.mark.parametrize("outcome", ["accepted", "again", "failed"])
    def test_a_session_that_has_come_meanwhile_is_not_undone(
        self, calls: Calls, database_url: str, outcome: str
    ) -> None:
        ask(database_url)
        (call,) = calls.claim(5)
        rows(database_url, "UPDATE connection_requests SET state = 'done'")
        tell(calls, outcome, call)
        assert state(database_url)[0] == "done"

    @pytest.mark.parametrize("outcome", ["accepted", "again", "failed"])
    def test_a_worker_that_was_given_up_is_not_heard(self, calls: Calls, database_url: str, outcome: str) -> None:
        ask(database_url)
        (late,) = calls.claim(5)
        die(database_url)
        (call,) = calls.claim(5)
        assert call == replace(late, attempts=2)
        tell(calls, outcome, late)
        assert state(database_url) == ("pending", 2, "", False)
        calls.accepted(call, 30.0)
        assert state(database_url)[0] == "asked"

    def test_every_outcome_is_told_to_who_waits(
        self, calls: Calls, database_url: str, sql: psycopg.Connection[Any]
    ) -> None:
        request = ask(database_url)
        sql.execute("LISTEN connection_request")
        calls.again(calls.claim(5)[0], "busy", 0.0)
        calls.accepted(calls.claim(5)[0], 0.0)
        calls.give_up_unanswered(1)
        told = [notification.payload for notification in sql.notifies(timeout=2, stop_after=3)]
        assert told == [f'{{"id" : {request}, "state" : "{each}"}}' for each in ("pending", "asked", "failed")]


def tell(calls: Calls, outcome: str, call: Call) -> None:
    match outcome:
        case "accepted":
            calls.accepted(call, 30.0)
        case "again":
            calls.again(call, "late", 0.0)
        case _:
            calls.failed(call, "late")


class TestGivingUp:
    def test_without_a_session_it_is_asked_again_and_then_failed(self, calls: Calls, database_url: str) -> None:
        ask(database_url)
        for attempt in (1, 2, 3):
            (call,) = calls.claim(5)
            assert call.attempts == attempt
            calls.accepted(call, 0.0)
            assert calls.give_up_unanswered(3) == 1
        assert state(database_url) == ("failed", 3, "the device took the request, and no session came", True)
        assert calls.give_up_unanswered(3) == 0

    def test_the_call_of_a_dead_worker_is_taken_over(self, calls: Calls, database_url: str) -> None:
        ask(database_url)
        (call,) = calls.claim(5)
        assert calls.seconds_to_next() == pytest.approx(CLAIM_SECONDS, abs=5), "no worker need look before"
        die(database_url)
        assert calls.claim(5) == (replace(call, attempts=2),)

    def test_one_that_kills_its_workers_is_failed_in_the_end(self, calls: Calls, database_url: str) -> None:
        ask(database_url)
        for _ in range(3):
            assert calls.give_up_unanswered(3) == 0
            assert len(calls.claim(5)) == 1
            die(database_url)
        assert calls.give_up_unanswered(3) == 1
        assert state(database_url) == ("failed", 3, "the worker that asked the device was lost", True)

    def test_the_last_attempt_is_given_its_time(self, calls: Calls, database_url: str) -> None:
        ask(database_url)
        rows(database_url, "UPDATE connection_requests SET attempts = 2")
        calls.claim(5)
        assert calls.give_up_unanswered(3) == 0


def test_who_has_nothing_to_do_need_not_look(calls: Calls, database_url: str) -> None:
    assert calls.seconds_to_next() is None
    ask(database_url, due_in_seconds=100)
    assert calls.seconds_to_next() == pytest.approx(100, abs=5)
    ask(database_url, 2, due_in_seconds=-100)
    due = calls.seconds_to_next()
    assert due is not None
    assert due < 0
