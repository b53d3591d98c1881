"""A connection through which nothing passes: recovery grows, waits longer each time, and ends in quarantine."""

from __future__ import annotations

from itertools import pairwise

import pytest

from agent.modem.machine import Timing
from agent.modem.model import ModemState
from tests.farm.conftest import MakeFarmyard

pytestmark = pytest.mark.farm

FIRST_WAIT_SECONDS = 3.0
HURRIED = {
    "interval_seconds": 0.4,
    "probe_timeout_seconds": 0.5,
    "minimum_uptime_seconds": 0.5,
    "recovery_wait_seconds": FIRST_WAIT_SECONDS,
    "recovery_wait_most_seconds": 2 * FIRST_WAIT_SECONDS,
    "quarantine_score": 4.0,
    "score_half_life_seconds": 36_000.0,
}
CLOCK_SECONDS = 0.5
"""A step is noted when it has been carried out, and waited for from when it was decided."""


def test_a_mute_connection_is_recovered_ever_harder_then_quarantined_and_well_again_when_it_answers(
    make_farmyard: MakeFarmyard,
) -> None:
    yard = make_farmyard(modems=2, health=HURRIED)
    row, other = yard.wait_online(1, 2)
    yard.farm.fault(1, "mute")
    degraded = yard.wait_state(row.serial, ModemState.DEGRADED)
    assert degraded.reason.startswith("no way through: ")
    quarantined = yard.wait_state(row.serial, ModemState.QUARANTINED, seconds=120.0)
    assert quarantined.reason.startswith("recovery did not help: ")

    taken = [entry for entry in yard.logs(row.serial, 1000) if entry.command.startswith("Recover ")]
    steps = [entry.command.split("step=")[1].split()[0] for entry in taken]
    assert steps[0] == "reregister"
    ladder = ["reregister", "reconnect", "cycle_radio", "reset_usb"]
    places = [ladder.index(step) for step in steps]
    assert len(steps) == 4
    assert places == sorted(places), steps
    assert places[-1] == 3, steps
    first, second = ((later.at - sooner.at).total_seconds() for sooner, later in pairwise(taken[:3]))
    assert first >= FIRST_WAIT_SECONDS - CLOCK_SECONDS
    # The radio stays off for a while before its step is done and noted.
    assert second >= 2 * FIRST_WAIT_SECONDS + Timing().radio_cycle_seconds - CLOCK_SECONDS
    assert {entry.outcome for entry in taken} == {"ok"}

    # It is only looked at now.
    looked = len(taken)
    yard.wait_for(lambda: yard.browses(2), "the other one serves")
    assert "Recover" not in yard.actions(other.serial)
    yard.farm.clear(1, "mute")
    yard.wait_online(1)
    yard.wait_for(lambda: yard.browses(1), "clients get through again")
    assert yard.actions(row.serial).count("Recover") == looked
    assert len(yard.wds_clients(1)) == 1
    yard.assert_sound()
