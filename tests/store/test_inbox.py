"""Commands for this host."""

from __future__ import annotations

import threading

import psycopg
import pytest

from agent.store.database import Database
from agent.store.fleet import Fleet
from agent.store.inbox import CommandInbox
from agent.store.rows import CommandState
from agent.store.wishes import HostWishes
from tests.store.farm import HOST, SERIAL, SLOT, make_wishes, rows


@pytest.fixture(autouse=True)
def _one_modem(wishes: HostWishes) -> None:
    wishes.register(SERIAL, SLOT, None)


def _submit(fleet: Fleet, number: int = 0) -> int:
    command = fleet.submit_command(SERIAL, "at", {"n": number}, "anna", 30)
    assert command is not None
    return command


def test_commands_are_claimed_once_and_in_order(fleet: Fleet, database: Database) -> None:
    commands = [_submit(fleet, number) for number in range(5)]
    inbox = CommandInbox(database, HOST)
    first, rest = inbox.claim(2), inbox.claim(10)
    assert [request.id for request in (*first, *rest)] == commands
    assert [request.argument["n"] for request in (*first, *rest)] == list(range(5))
    assert all(25 < request.deadline.remaining_seconds <= 30 for request in rest)
    assert inbox.claim(10) == ()


def test_two_inboxes_never_take_the_same_command(fleet: Fleet, database: Database) -> None:
    inboxes = [CommandInbox(database, HOST) for _ in range(4)]
    for inbox in inboxes:
        inbox.claim(1)
    commands = [_submit(fleet, number) for number in range(100)]
    taken: list[int] = []

    def take(inbox: CommandInbox) -> None:
        while requests := inbox.claim(3):
            taken.extend(request.id for request in requests)

    threads = [threading.Thread(target=take, args=(inbox,)) for inbox in inboxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(taken) == commands


def test_commands_of_other_hosts_are_left_alone(fleet: Fleet, database: Database) -> None:
    _submit(fleet)
    assert CommandInbox(database, "elsewhere").claim(10) == ()


def test_a_command_follows_its_modem_to_another_host(
    fleet: Fleet, database: Database, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    command = _submit(fleet)
    rows(database_url, "UPDATE modems SET status = 'offline'")
    make_wishes(database, tmp_path_factory.mktemp("w") / "w.json", host="farm-2").register(SERIAL, SLOT, None)
    assert CommandInbox(database, HOST).claim(10) == ()
    assert [request.id for request in CommandInbox(database, "farm-2").claim(10)] == [command]


def test_what_a_killed_agent_was_working_on_is_failed_once_and_said(fleet: Fleet, database: Database) -> None:
    interrupted = _submit(fleet)
    assert len(CommandInbox(database, HOST).claim(1)) == 1
    waiting = _submit(fleet)
    restarted = CommandInbox(database, HOST)
    assert [request.id for request in restarted.claim(10)] == [waiting]
    assert restarted.claim(10) == ()
    failed, running = fleet.fetch_command(interrupted), fleet.fetch_command(waiting)
    assert failed is not None
    assert running is not None
    assert (failed.state, failed.error_code) == (CommandState.FAILED, "agent_restarted")
    assert running.state is CommandState.RUNNING


def test_commands_past_their_time_expire(fleet: Fleet, database: Database, database_url: str) -> None:
    command = _submit(fleet)
    rows(
        database_url,
        "UPDATE modem_commands SET requested_at = now() - interval '1 minute',"
        " expires_at = now() - interval '1 second'",
    )
    assert CommandInbox(database, HOST).claim(10) == ()
    row = fleet.fetch_command(command)
    assert row is not None
    assert row.state is CommandState.EXPIRED


def test_a_command_whose_claim_was_lost_does_not_run_for_ever(
    fleet: Fleet, database: Database, database_url: str
) -> None:
    inbox = CommandInbox(database, HOST)
    inbox.claim(1)
    command = _submit(fleet)
    rows(
        database_url,
        "UPDATE modem_commands SET state = 'running', claimed_by = %s, requested_at = now() - interval '1 hour',"
        " expires_at = now() - interval '10 minutes'",
        HOST,
    )
    inbox.claim(1)
    row = fleet.fetch_command(command)
    assert row is not None
    assert row.error_code == "agent_restarted"


HOSTILE_ARGUMENTS = ["[]", "null", '"text"', "1" * 5000, "[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000]


@pytest.mark.parametrize("argument", HOSTILE_ARGUMENTS)
def test_an_unreadable_argument_is_refused_and_holds_up_nothing(
    fleet: Fleet, database: Database, database_url: str, argument: str
) -> None:
    ((hostile,),) = rows(
        database_url,
        "INSERT INTO modem_commands (serial, kind, argument) VALUES (%s, %s, %s) RETURNING id",
        SERIAL,
        "'; DROP TABLE modems",
        argument,
    )
    good = _submit(fleet)
    assert [request.id for request in CommandInbox(database, HOST).claim(10)] == [good]
    row = fleet.fetch_command(hostile)
    assert row is not None
    assert (row.state, row.error_code) == (CommandState.FAILED, "bad_argument")


@pytest.mark.parametrize(
    "values",
    [
        "'x', '{}', now(), 'infinity'",
        "'x', '{}', now(), now() + interval '2 hours'",
        "'x', '{}', '5000-01-01', '5000-01-01'",
        "'x', '{}', '-infinity', now()",
        "repeat('x', 65), '{}', now(), now()",
        "'x', to_jsonb(repeat('x', 70000)), now(), now()",
    ],
)
def test_rows_that_would_harm_an_agent_cannot_be_made(database_url: str, values: str) -> None:
    statement = f"INSERT INTO modem_commands (kind, argument, requested_at, expires_at, serial) VALUES ({values}, %s)"
    with pytest.raises(psycopg.errors.CheckViolation):
        rows(database_url, statement, SERIAL)
