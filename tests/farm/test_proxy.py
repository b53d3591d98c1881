"""A modem's proxy that dies or hangs is back within seconds; its neighbours do not notice."""

from __future__ import annotations

import os
import signal

import pytest

from tests.farm.conftest import MakeFarmyard
from tests.farm.witness import Download, logged_actions, proxy_pid, wait_seen_online

pytestmark = pytest.mark.farm


@pytest.mark.parametrize(
    ("number", "action", "seconds"),
    [(signal.SIGKILL, "StartProxy", 10), (signal.SIGSTOP, "RestartProxy", 45)],
    ids=["killed", "hangs"],
)
def test_a_proxy_that_is_dead_or_hangs_is_started_again(
    make_farmyard: MakeFarmyard, number: signal.Signals, action: str, seconds: float
) -> None:
    yard = make_farmyard(modems=3)
    rows = yard.wait_online(1, 2, 3)
    victim, *others = rows
    pid = proxy_pid(yard, victim.serial)
    neighbours = {row.serial: proxy_pid(yard, row.serial) for row in others}
    done = {row.serial: logged_actions(yard, row.serial) for row in rows}
    with Download(others[0]) as download:
        download.read(100_000)
        os.kill(pid, number)
        yard.wait_for(
            lambda: logged_actions(yard, victim.serial) == [*done[victim.serial], action], action, seconds=seconds
        )
        assert yard.browse(victim) == victim.wan_address
        download.finish()
    (after,) = wait_seen_online(yard, victim.serial)
    assert proxy_pid(yard, victim.serial) != pid
    assert (after.proxy_address, after.wan_address) == (victim.proxy_address, victim.wan_address)
    assert {row.serial: proxy_pid(yard, row.serial) for row in others} == neighbours
    assert all(logged_actions(yard, row.serial) == done[row.serial] for row in others)
    assert logged_actions(yard, victim.serial) == [*done[victim.serial], action]
    assert yard.farm.leaks() == ()
    assert yard.farm.failures() == ()
