"""What the web and the CLI ask of the fleet."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import psycopg
import pytest

from agent.cli.playground import wait_until
from agent.core.clock import Deadline
from agent.core.errors import ConfigError
from agent.modem.model import ModemState
from agent.store.database import Database
from agent.store.fleet import Fleet
from agent.store.inbox import CommandInbox
from agent.store.presence import HostPresence
from agent.store.rows import CommandState
from agent.store.wishes import HostWishes
from tests.store.farm import BEGIN, HOST, SERIAL, SLOT, rows, serial_of, slot_of


@pytest.fixture(autouse=True)
def _one_modem(wishes: HostWishes) -> None:
    wishes.register(SERIAL, SLOT, "860000000000001")


def test_modems_and_hosts(fleet: Fleet, wishes: HostWishes, database_url: str) -> None:
    wishes.register(serial_of(2), slot_of(2), None)
    rows(database_url, "UPDATE hosts SET proxy_listen = '192.168.1.100'")
    rows(database_url, "UPDATE modems SET status = 'online', wan_address = '10.0.0.7' WHERE serial = %s", SERIAL)
    first, second = fleet.fetch_modems()
    assert first == fleet.fetch_modem(SERIAL)
    assert (first.status, first.wan_address, first.proxy_address) == (
        ModemState.ONLINE,
        "10.0.0.7",
        "192.168.1.100:3128",
    )
    assert (second.status, second.wan_address) == (ModemState.DETECTED, None)
    rows(database_url, "UPDATE hosts SET proxy_listen = 'fd00::1'")
    found = fleet.fetch_modem(SERIAL)
    assert found is not None
    assert found.proxy_address == "[fd00::1]:3128"
    assert fleet.fetch_modem("nobody") is None
    assert fleet.fetch_modem("nul\x00") is None
    assert [(host.name, host.modems) for host in fleet.fetch_hosts()] == [(HOST, 2)]


def test_a_command_goes_to_the_agent_and_its_answer_comes_back_at_once(
    fleet: Fleet, database: Database, database_url: str
) -> None:
    command = fleet.submit_command(SERIAL, "at", {"command": "AT+CSQ"}, "anna", 20)
    assert command is not None

    def answer() -> None:
        (request,) = CommandInbox(database, HOST).claim(10)
        time.sleep(0.3)
        rows(
            database_url,
            "UPDATE modem_commands SET state = 'done', result = %s, finished_at = now() WHERE id = %s",
            '{"response": "+CSQ: 20,99"}',
            request.id,
        )

    agent = threading.Thread(target=answer)
    begin = time.monotonic()
    agent.start()
    row = fleet.await_command(command, Deadline.after(20))
    assert time.monotonic() - begin < 2
    agent.join(10)
    assert (row.state, row.result, row.requested_by) == (CommandState.DONE, {"response": "+CSQ: 20,99"}, "anna")


def test_many_wait_for_their_own_answers(fleet: Fleet, database_url: str) -> None:
    commands = [fleet.submit_command(SERIAL, "at", {"n": n}, "anna", 20) for n in range(20)]
    found: dict[int, CommandState] = {}

    def wait(command: int) -> None:
        found[command] = fleet.await_command(command, Deadline.after(20)).state

    threads = [threading.Thread(target=wait, args=(command,)) for command in commands]
    for thread in threads:
        thread.start()
    for command in reversed(commands):
        rows(database_url, "UPDATE modem_commands SET state = 'failed' WHERE id = %s", command)
    for thread in threads:
        thread.join(20)
    assert found == dict.fromkeys(commands, CommandState.FAILED)


def test_a_command_that_nobody_took_expires_and_is_never_done_later(fleet: Fleet, database: Database) -> None:
    command = fleet.submit_command(SERIAL, "at", {}, "anna", 0.2)
    assert command is not None
    row = fleet.await_command(command, Deadline.after(0.2))
    assert (row.state, row.error_code) == (CommandState.EXPIRED, "expired")
    assert CommandInbox(database, HOST).claim(10) == ()


def test_a_command_under_work_is_shown_as_running(fleet: Fleet, database: Database) -> None:
    command = fleet.submit_command(SERIAL, "at", {}, "anna", 30)
    assert command is not None
    assert len(CommandInbox(database, HOST).claim(10)) == 1
    assert fleet.await_command(command, Deadline.after(0.2)).state is CommandState.RUNNING


def test_commands_that_cannot_be_kept_are_refused(fleet: Fleet) -> None:
    assert fleet.submit_command("nobody", "at", {}, "anna", 5) is None
    nested: dict[str, object] = {}
    for _ in range(5000):
        nested = {"deeper": nested}
    for argument in ({"x": float("nan")}, {"x": object()}, {"x": "y" * 100_000}, nested, {"x": "\x00"}):
        with pytest.raises(ConfigError):
            fleet.submit_command(SERIAL, "at", argument, "anna", 5)
    with pytest.raises(ConfigError):
        fleet.submit_command(SERIAL, "k" * 65, {}, "anna", 5)
    with pytest.raises(ConfigError, match="no command"):
        fleet.await_command(12345, Deadline.after(1))


def test_a_change_makes_one_event_that_says_what_changed(fleet: Fleet, database_url: str) -> None:
    start = fleet.latest_event_id()
    rows(database_url, "UPDATE modems SET status = 'online', operator = 'Operator', rssi_dbm = -60")
    (event,) = fleet.fetch_events(start, 10)
    assert (event.kind, event.serial, event.host, event.payload["status"]) == ("modem_changed", SERIAL, HOST, "online")
    assert event.payload["changes"] == {
        "status": {"old": "detected", "new": "online"},
        "operator": {"old": None, "new": "Operator"},
    }
    rows(database_url, "UPDATE modems SET rssi_dbm = -61, rx_bytes = 5, last_seen = now()")
    assert fleet.latest_event_id() == event.id
    rows(database_url, "DELETE FROM modems")
    assert [each.kind for each in fleet.fetch_events(event.id, 10)] == ["modem_removed"]


def test_no_event_is_missed_by_one_who_reads_after_the_last_id(
    fleet: Fleet, wishes: HostWishes, database_url: str
) -> None:
    """Transactions that draw ids and commit late must not make a reader jump over them."""
    for number in range(2, 8):
        wishes.register(serial_of(number), slot_of(number), None)
    start = fleet.latest_event_id()
    seen: list[int] = []
    done = threading.Event()

    def read() -> None:
        last = start
        while True:
            finished = done.is_set()
            events = fleet.fetch_events(last, 7)
            seen.extend(event.id for event in events)
            if events:
                last = events[-1].id
            elif finished:
                return

    def write(number: int) -> None:
        with psycopg.connect(database_url) as connection:
            for turn in range(25):
                connection.execute(
                    "UPDATE modems SET reason = %s WHERE serial = %s", (f"turn {turn}", serial_of(number))
                )
                time.sleep(0.002 * (number % 3))
                if number % 2:
                    connection.rollback()
                else:
                    connection.commit()

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(number,)) for number in range(2, 8)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join(60)
    done.set()
    reader.join(30)
    kept = [row[0] for row in rows(database_url, "SELECT id FROM events WHERE id > %s ORDER BY id", start)]
    assert seen == kept
    assert len(kept) == 75


def test_the_history_of_addresses(fleet: Fleet, database_url: str) -> None:
    for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2", None, "10.0.0.1"):
        rows(database_url, "UPDATE modems SET wan_address = %s::text::inet, wan_address_ipv6 = '2001:db8::1'", address)
    history = fleet.fetch_addresses(SERIAL)
    assert [each.address for each in history] == ["10.0.0.1", "10.0.0.2", "2001:db8::1", "10.0.0.1"]
    assert [each.valid_until is None for each in history] == [True, False, True, False]


def test_logs_are_paged_from_the_newest(fleet: Fleet, database_url: str) -> None:
    rows(
        database_url,
        "INSERT INTO modem_logs (at, host, serial, channel, command, response, outcome)"
        " SELECT now(), 'h', %s, 'at', n::text, '', 'ok' FROM generate_series(1, 250) AS n",
        SERIAL,
    )
    pages = [fleet.fetch_logs(SERIAL)]
    while pages[-1]:
        pages.append(fleet.fetch_logs(SERIAL, before_id=pages[-1][-1].id))
    assert [int(row.command) for page in pages for row in page] == list(range(250, 0, -1))


def test_samples_since_then(fleet: Fleet, database_url: str) -> None:
    for minute in range(5):
        rows(
            database_url,
            "INSERT INTO modem_samples (serial, at, status, rssi_dbm) VALUES (%s, %s, 'online', -70)",
            SERIAL,
            BEGIN + timedelta(minutes=minute),
        )
    found = fleet.fetch_samples(SERIAL, BEGIN + timedelta(minutes=1), 3)
    assert [sample.at for sample in found] == [BEGIN + timedelta(minutes=minute) for minute in (2, 3, 4)]


def test_numbers_beyond_every_id_are_no_error(fleet: Fleet) -> None:
    huge = 10**30
    assert fleet.fetch_events(huge, huge) == ()
    assert fleet.fetch_events(-huge, 1) != ()
    assert fleet.fetch_logs(SERIAL, before_id=huge, limit=huge) == ()
    assert fleet.fetch_command(huge) is None


def test_an_agent_is_known_to_be_away_as_soon_as_it_stops(fleet: Fleet, database_url: str) -> None:
    before = fleet.fetch_agent(SERIAL)
    presence = HostPresence(database_url, HOST, "1.0")
    try:
        presence.announce()
        during = fleet.fetch_agent(SERIAL)
    finally:
        presence.close()
    assert before is not None
    assert during is not None
    assert [each.holds_lock for each in (before, during)] == [False, True]

    def away() -> bool:
        after = fleet.fetch_agent(SERIAL)
        return after is not None and not after.holds_lock

    # The server gives the lock back when it notices that the connection was closed.
    wait_until(away, 10, "the agent is away")
    assert during.host == HOST
    assert 0 <= during.silent_seconds < 60
    assert fleet.fetch_agent("nobody") is None
