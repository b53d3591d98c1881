"""The agent may be killed at any moment: nothing is torn down, nothing is done twice, and it always comes up."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.cli.exits import CONFIGURATION
from agent.cli.playground import lastmile
from agent.modem.model import ModemState
from tests.farm import dying_agent
from tests.farm.conftest import MakeFarmyard
from tests.farm.harness import Farmyard
from tests.farm.witness import (
    Download,
    Standing,
    kill_agent,
    logged_actions,
    session_file,
    wait_seen_online,
    written_actions,
)

pytestmark = pytest.mark.farm
DYING = [sys.executable, str(Path(dying_agent.__file__))]
STOP_SECONDS = 8.0
MOST_LIVES = 40


def test_a_killed_agent_finds_everything_in_place_and_changes_nothing(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2)
    rows = yard.wait_online(1, 2)
    serials = [row.serial for row in rows]
    wait_seen_online(yard, *serials)
    before = [Standing.of(yard, number) for number in (1, 2)]
    done = [logged_actions(yard, serial) for serial in serials]
    event = yard.fleet.latest_event_id()
    with Download(rows[0]) as download:
        for _ in range(2):
            download.read(100_000)
            kill_agent(yard)
            download.read(100_000)
            assert yard.browse(rows[1]) == rows[1].wan_address
            yard.playground.start_agent()
            wait_seen_online(yard, *serials)
        download.finish()
    assert [Standing.of(yard, number) for number in (1, 2)] == before
    assert [logged_actions(yard, serial) for serial in serials] == done
    assert yard.fleet.fetch_events(event) == (), "something changed for those who look on"
    assert "host's routing rules were put in place" not in yard.agent_log().split("agent started", 2)[2]
    assert yard.farm.leaks() == ()
    assert yard.farm.failures() == ()


def test_a_stopped_agent_ends_soon_and_its_proxies_run_on(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard()
    (row,) = yard.wait_online(1)
    wait_seen_online(yard, row.serial)
    before, done = Standing.of(yard, 1), logged_actions(yard, row.serial)
    began = time.monotonic()
    assert yard.playground.stop_agent(signal.SIGTERM) == 0
    assert time.monotonic() - began < STOP_SECONDS
    assert yard.browse(row) == row.wan_address
    # Everything that was done has been written: nothing was lost with the stop.
    assert written_actions(yard, row.serial) == done
    yard.playground.start_agent()
    wait_seen_online(yard, row.serial)
    assert Standing.of(yard, 1) == before
    assert logged_actions(yard, row.serial) == done
    assert yard.farm.leaks() == ()
    assert yard.farm.failures() == ()


def lives_until_online(yard: Farmyard, serial: str) -> list[str]:
    """Start agents that die after one action each, until one finds nothing left to do; what each died of."""
    for _ in range(MOST_LIVES):
        process = yard.playground.start_agent(program=DYING, environment={dying_agent.AFTER_ACTIONS: "1"})

        def settled(process: subprocess.Popen[bytes] = process) -> bool:
            row = yard.row(serial)
            return process.poll() is not None or (row is not None and row.status is ModemState.ONLINE)

        yard.wait_for(settled, "the agent died or brought the modem up")
        if process.poll() is None:
            return [line.split()[-1] for line in yard.agent_log().splitlines() if line.startswith("dying after")]
        assert process.returncode == -signal.SIGKILL, yard.agent_log()[-2000:]
    raise AssertionError(f"not up after {MOST_LIVES} agents\n{yard.agent_log()[-4000:]}")


def test_an_agent_killed_after_every_single_action_brings_a_modem_up_all_the_same(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(agent=False)
    serial = yard.serial(1)
    died_after = lives_until_online(yard, serial)
    for action in ("StartBearer", "ConfigureLink", "ApplyRouting", "WriteProxyConfiguration", "StartProxy"):
        assert action in died_after
    # No life repeated what an earlier one had done for good.
    assert died_after.count("StartBearer") == died_after.count("StartProxy") == 1
    row = yard.online_row(serial)
    assert yard.browse(row) == row.wan_address == yard.farm.modem(1).addresses[0]
    assert len(yard.farm.modem(1).qmi_clients["wds"]) == 1, "a client id was leaked"
    standing = Standing.of(yard, 1)
    kill_agent(yard)
    yard.playground.start_agent()
    wait_seen_online(yard, serial)
    assert Standing.of(yard, 1) == standing
    assert yard.farm.leaks() == ()
    assert yard.farm.failures() == ()


@pytest.mark.parametrize("actions", [3, 6, 8])
def test_an_agent_killed_on_the_way_up_is_followed_by_one_that_ends_it(
    make_farmyard: MakeFarmyard, actions: int
) -> None:
    yard = make_farmyard(modems=2, agent=False)
    process = yard.playground.start_agent(program=DYING, environment={dying_agent.AFTER_ACTIONS: str(actions)})
    assert process.wait(30) == -signal.SIGKILL
    yard.playground.start_agent()
    for number, row in enumerate(yard.wait_online(1, 2), start=1):
        assert yard.browse(row) == row.wan_address == yard.farm.modem(number).addresses[0]
    assert yard.farm.leaks() == ()
    assert yard.farm.failures() == ()


def test_a_bearer_that_was_dialled_but_not_remembered_is_adopted(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(agent=False)
    process = yard.playground.start_agent(program=DYING, environment={dying_agent.BEFORE_SAVING: "1"})
    assert process.wait(30) == -signal.SIGKILL
    serial = yard.serial(1)
    assert not session_file(yard, serial).exists()
    dialled = yard.farm.modem(1).addresses
    assert dialled
    yard.playground.start_agent()
    (row,) = yard.wait_online(1)
    assert yard.farm.modem(1).addresses == dialled, "the bearer was dialled again"
    assert yard.browse(row) == dialled[0]
    # One id at most is the dead agent's: nobody can name it any more, only the modem's restart gives it back.
    assert len(yard.farm.modem(1).qmi_clients["wds"]) <= 2
    # Without a handle of its own the session can be ended all the same.
    yard.playground.run("modem", "reconnect", serial)
    after = wait_seen_online(yard, serial)[0]
    assert yard.browse(after) == after.wan_address == yard.farm.modem(1).addresses[0]
    assert len(yard.farm.modem(1).qmi_clients["wds"]) <= 2
    assert yard.farm.leaks() == ()
    assert yard.farm.failures() == ()


def test_a_second_agent_of_one_host_name_ends_with_a_clear_message_and_touches_nothing(
    make_farmyard: MakeFarmyard,
) -> None:
    yard = make_farmyard()
    (row,) = yard.wait_online(1)
    wait_seen_online(yard, row.serial)
    before, done = Standing.of(yard, 1), logged_actions(yard, row.serial)
    second = subprocess.run(
        yard.farm.command([*lastmile(yard.playground.config), "agent"]),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == CONFIGURATION, second.stderr
    assert second.stderr.splitlines()[-1].startswith("lastmile: another agent (process ")
    assert "agent.host" in second.stderr
    assert "agent started" not in second.stderr
    assert "Traceback" not in second.stderr
    wait_seen_online(yard, row.serial)
    assert Standing.of(yard, 1) == before
    assert logged_actions(yard, row.serial) == done
    assert yard.farm.leaks() == ()
    assert yard.farm.failures() == ()
