"""PostgreSQL goes away and comes back: the modems do not notice, and nothing that was to be written is lost."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agent.cli.exits import UNAVAILABLE
from agent.cli.playground import Playground
from agent.modem.model import ModemState
from agent.sim.postgres import EmbeddedPostgres
from agent.store.migrate import migrate
from agent.store.rows import LogRow, ModemRow
from tests.farm.conftest import MakeFarmyard
from tests.farm.harness import Farmyard
from tests.farm.witness import (
    Standing,
    kill_agent,
    logged_actions,
    outbox_rows,
    proxy_pid,
    wait_seen_online,
    waiting_actions,
    written_actions,
)
from tests.postgres_fixture import running_postgres

pytestmark = pytest.mark.farm
HURRIED = {"database": {"timeout_seconds": 2.0}}


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that a test may stop; ask for it before `make_farmyard`, which must end first."""
    with running_postgres(tmp_path / "postgres") as server:
        yield server


def make_yard(make_farmyard: MakeFarmyard, server: EmbeddedPostgres, *, modems: int) -> Farmyard:
    url = server.create_database("lastmile")
    migrate(url)
    return make_farmyard(modems=modems, postgres=server, url=url, **HURRIED)


def serves(yard: Farmyard, number: int, row: ModemRow) -> bool:
    """Whether a client gets out by the modem, with the address that the modem has now."""
    addresses = yard.farm.modem(number).addresses
    return bool(addresses) and yard.browse(row) == addresses[0]


def agent_is_heard(yard: Farmyard, serial: str) -> bool:
    """Whether the database knows that the agent of a modem's host lives."""
    agent = yard.fleet.fetch_agent(serial)
    return agent is not None and agent.holds_lock


def assert_in_order(logs: tuple[LogRow, ...]) -> None:
    """What was said to the modem by its own thread: ids follow the times."""
    times = [row.at for row in logs if row.channel in ("at", "qmi")]
    assert len(times) > 20
    assert times == sorted(times)


def test_while_the_database_is_away_modems_are_healed_and_every_row_is_written_afterwards(
    own_postgres: EmbeddedPostgres, make_farmyard: MakeFarmyard
) -> None:
    yard = make_yard(make_farmyard, own_postgres, modems=3)
    steady, dropped, moved = yard.wait_online(1, 2, 3)
    serials = [row.serial for row in (steady, dropped, moved)]
    before = Standing.of(yard, 1)
    yard.wait_for(
        lambda: all(written_actions(yard, serial) == logged_actions(yard, serial) for serial in serials),
        "what was done until now is written",
    )
    done = {serial: len(logged_actions(yard, serial)) for serial in serials}
    own_postgres.stop()
    assert yard.browse(steady) == steady.wan_address
    yard.farm.fault(2, "drop")
    yard.farm.replug(3, "2-1.3")
    yard.wait_for(
        lambda: any(
            each.startswith("StartBearer") for each in logged_actions(yard, dropped.serial)[done[dropped.serial] :]
        ),
        "a new bearer",
    )
    yard.wait_for(lambda: serves(yard, 2, dropped), "the modem that lost its connection serves again")
    yard.wait_for(lambda: serves(yard, 3, moved), "the modem that was replugged serves again")
    yard.wait_for(
        lambda: all(
            sorted(waiting_actions(yard, serial)) == sorted(logged_actions(yard, serial)[done[serial] :])
            for serial in serials
        ),
        "what was done since then waits on disk",
    )
    assert yard.playground.run("status", check=False).returncode == UNAVAILABLE
    # An agent that starts now must not lose what the one before has left on disk.
    kill_agent(yard)
    kept = outbox_rows(yard)
    yard.playground.start_agent()
    yard.wait_for(lambda: outbox_rows(yard) > kept, "more rows wait on disk")
    own_postgres.start()
    yard.wait_for(lambda: outbox_rows(yard) == 0, "the outbox is empty")
    rows = wait_seen_online(yard, *serials)
    for number, row in enumerate(rows, start=1):
        assert row.wan_address == yard.farm.modem(number).addresses[0]
        assert yard.browse(row) == row.wan_address
        assert_in_order(yard.logs(row.serial, limit=10_000))
        # Sorted: a modem that changes its slot has two threads for a moment, of which either may write first.
        assert sorted(written_actions(yard, row.serial)) == sorted(logged_actions(yard, row.serial)), "lost or doubled"
    assert rows[2].slot == "2-1.3"
    assert Standing.of(yard, 1) == before
    yard.wait_for(lambda: agent_is_heard(yard, steady.serial), "the agent says that it lives", seconds=20)
    # The agent listens again: what an operator wants is done at once.
    asked = yard.playground.run("modem", "at", steady.serial, "AT", check=False)
    assert (asked.returncode, asked.stdout.strip()) == (0, "OK"), asked.stderr
    assert yard.farm.leaks() == ()
    assert yard.farm.failures() == ()


def test_an_agent_that_starts_without_the_database_brings_known_modems_online_from_disk(
    own_postgres: EmbeddedPostgres, make_farmyard: MakeFarmyard
) -> None:
    yard = make_yard(make_farmyard, own_postgres, modems=2)
    rows = yard.wait_online(1, 2)
    disabled = yard.playground.run("modem", "disable", rows[1].serial)
    assert disabled.returncode == 0
    yard.wait_state(rows[1].serial, ModemState.OFFLINE)
    yard.playground.stop_agent()
    yard.farm.replug(1)
    os.kill(proxy_pid(yard, rows[0].serial), signal.SIGKILL)
    own_postgres.stop()
    yard.playground.start_agent()
    yard.wait_for(lambda: serves(yard, 1, rows[0]), "the known modem serves")
    # One that was never met before gets its connection, and the rest once the database can give it.
    stranger = yard.farm.plug()
    yard.wait_for(lambda: yard.farm.modem(stranger.modem).addresses != (), "the unknown modem is connected")
    assert yard.browse(rows[1]) is None, "a modem that is disabled must stay so"
    own_postgres.start()
    after = yard.wait_state(rows[0].serial, ModemState.ONLINE)
    assert (after.proxy_address, after.uid) == (rows[0].proxy_address, rows[0].uid)
    new = yard.wait_state(stranger.imei, ModemState.ONLINE)
    assert serves(yard, stranger.modem, new)
    assert yard.wait_state(rows[1].serial, ModemState.OFFLINE).reason == "disabled by the operator"
    assert yard.farm.leaks() == ()
    assert yard.farm.failures() == ()


def health(playground: Playground) -> int:
    """Status of GET /api/health; 0 while nobody answers."""
    try:
        return httpx.get(f"http://127.0.0.1:{playground.web_tcp_port}/api/health", timeout=10).status_code
    except httpx.TransportError:
        return 0


def test_the_web_says_that_the_database_is_away_and_recovers(
    own_postgres: EmbeddedPostgres, make_farmyard: MakeFarmyard
) -> None:
    yard = make_yard(make_farmyard, own_postgres, modems=1)
    (row,) = yard.wait_online(1)
    playground = yard.playground
    token = playground.run("token", "create", "noc").stdout.strip()
    playground.start_web()
    yard.wait_for(lambda: health(playground) == 200, "healthy")
    address = f"http://127.0.0.1:{playground.web_tcp_port}/api/modems/{row.serial}"
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(address, headers=headers).json()["state"] == "online"
    own_postgres.stop()
    yard.wait_for(lambda: health(playground) == 503, "unhealthy")
    refused = httpx.get(address, headers=headers, timeout=20)
    assert refused.status_code == 503
    assert json.loads(refused.text)["error"]["code"] == "database_unavailable"
    assert "Retry-After" in refused.headers
    own_postgres.start()
    yard.wait_for(lambda: health(playground) == 200, "healthy again")
    assert httpx.get(address, headers=headers).json()["serial"] == row.serial
    assert playground.stop_web() == 0
    assert yard.farm.leaks() == ()
    assert yard.farm.failures() == ()
