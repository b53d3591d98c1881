"""Ports that hang, babble or are set wrong: healed over the bus, one modem's trouble its own."""

from __future__ import annotations

from time import monotonic

import pytest

from agent.modem.model import ModemState
from tests.farm.conftest import MakeFarmyard
from tests.farm.harness import Farmyard

pytestmark = pytest.mark.farm

QUICK_LOOKS = {"interval_seconds": 1.0}
SHORT_DEADLINES = {"at_timeout_seconds": 1.0, "qmi_timeout_seconds": 2.0, "boot_seconds": 2.0}
LONG_DEADLINES = {"at_timeout_seconds": 25.0, "qmi_timeout_seconds": 25.0, "boot_seconds": 60.0}
"""So long that a modem which has to wait for another one's deadline is late beyond doubt."""
IN_TIME_SECONDS = 20.0


def usb_resets(yard: Farmyard, serial: str) -> int:
    return len([entry for entry in yard.logs(serial, 1000) if "reset_usb" in entry.command and entry.outcome == "ok"])


def starts(yard: Farmyard, serial: str) -> int:
    """How often a data session was started."""
    return yard.actions(serial).count("StartBearer")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("hang", "the AT port does not answer"),
        ("qmi_hang", "the QMI port does not answer"),
        ("garble", "the AT port does not answer"),
    ],
)
def test_a_port_that_fails_while_online_is_healed_by_a_usb_reset(
    make_farmyard: MakeFarmyard, fault: str, reason: str
) -> None:
    yard = make_farmyard(modems=3, modem=SHORT_DEADLINES, health={**QUICK_LOOKS, "failures_before_recovery": 5})
    row, *_ = yard.wait_online(1, 2, 3)
    started = {number: starts(yard, yard.serial(number)) for number in (2, 3)}
    yard.farm.fault(1, fault, until="usb_reset")
    yard.wait_for(
        lambda: (
            (found := yard.row(row.serial)) is not None
            and found.status is ModemState.DEGRADED
            and reason in found.reason
        ),
        f"degraded: {reason}",
    )
    assert yard.browse(row) == row.wan_address, "what still serves must be left alone"
    yard.wait_for(lambda: usb_resets(yard, row.serial) >= 1, "a USB reset")
    yard.wait_for(lambda: yard.farm.modem(1).faults == (), "the reset ended the fault")
    yard.wait_online(1)
    yard.wait_for(lambda: yard.browses(1), "a client gets through again")
    assert len(yard.wds_clients(1)) == 1
    assert yard.actions(row.serial).count("Recover") == 1, "one reset is enough"
    # The others were never touched.
    yard.wait_online(2, 3)
    for number in (2, 3):
        assert starts(yard, yard.serial(number)) == started[number]
        assert usb_resets(yard, yard.serial(number)) == 0
    assert yard.browses(2, 3)
    yard.assert_sound()


def test_an_open_that_hangs_is_given_up_after_three_and_the_agent_still_stops_at_once(
    make_farmyard: MakeFarmyard,
) -> None:
    yard = make_farmyard(modems=3, agent=False, modem={"at_timeout_seconds": 1.0, "boot_seconds": 60.0})
    yard.farm.fault(1, "open_hang")
    yard.playground.start_agent()
    yard.wait_online(2, 3)
    yard.wait_for(lambda: "in quarantine: its open hung 3 times" in yard.agent_log(), "three opens were abandoned")
    assert yard.agent_log().count("open of a port hangs, abandoned") == 3
    assert yard.browses(2, 3)
    began = monotonic()
    assert yard.playground.stop_agent() == 0
    assert monotonic() - began < 8.0
    yard.assert_sound()


def test_an_open_that_hangs_until_the_usb_reset_is_healed_by_one(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2, agent=False, modem=SHORT_DEADLINES, health={**QUICK_LOOKS, "grace_seconds": 2.0})
    yard.farm.fault(1, "open_hang", until="usb_reset")
    yard.playground.start_agent()
    yard.wait_online(2)
    yard.wait_online(1, seconds=60.0)
    assert "resetting a modem that never answered" in yard.agent_log()
    assert yard.browses(1, 2)
    yard.assert_sound()


def test_echo_that_comes_back_is_switched_off_again(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=1, health=QUICK_LOOKS)
    (row,) = yard.wait_online(1)
    before = yard.actions(row.serial).count("SilenceEcho")
    yard.farm.fault(1, "echo")
    yard.wait_for(lambda: yard.actions(row.serial).count("SilenceEcho") == before + 1, "echo was switched off")
    yard.wait_online(1)
    assert starts(yard, row.serial) == 1
    assert yard.browses(1)
    yard.assert_sound()


def test_a_modem_in_the_wrong_usb_mode_is_switched_to_qmi(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2)
    row, _ = yard.wait_online(1, 2)
    yard.farm.fault(1, "usbnet", mode=1)
    assert yard.farm.modem(1).qmi_node is None
    yard.wait_for(lambda: "SwitchToQmi" in yard.actions(row.serial), "the modem is switched over")
    yard.wait_for(lambda: yard.farm.modem(1).qmi_node is not None, "it comes back in QMI mode")
    yard.wait_online(1)
    yard.wait_for(lambda: yard.browses(1), "a client gets through")
    assert yard.actions(row.serial).count("SwitchToQmi") == 1
    assert yard.browses(2)
    yard.assert_sound()


def test_modems_that_hang_in_every_way_delay_no_other(make_farmyard: MakeFarmyard) -> None:
    ways = ("hang", "qmi_hang", "open_hang", "garble", "mute", "call_failed")
    yard = make_farmyard(modems=len(ways) + 2, agent=False, modem=LONG_DEADLINES)
    for number, fault in enumerate(ways, start=1):
        yard.farm.fault(number, fault)
    began = monotonic()
    yard.playground.start_agent()
    well = (len(ways) + 1, len(ways) + 2)
    yard.wait_online(*well, seconds=IN_TIME_SECONDS)
    assert monotonic() - began < IN_TIME_SECONDS
    assert yard.browses(*well)
    yard.assert_sound()


def test_mute_qmi_ports_do_not_use_up_the_turns_of_the_others(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=16, agent=False, modem=LONG_DEADLINES)
    for number in range(1, 15):
        yard.farm.fault(number, "qmi_hang")
    began = monotonic()
    yard.playground.start_agent()
    yard.wait_online(15, 16, seconds=IN_TIME_SECONDS)
    assert monotonic() - began < IN_TIME_SECONDS
    assert yard.browses(15, 16)
    yard.assert_sound()


def test_an_unplugged_modem_that_hung_comes_back_in_another_slot_under_its_own_name(
    make_farmyard: MakeFarmyard,
) -> None:
    yard = make_farmyard(modems=1, modem={"qmi_timeout_seconds": 15.0}, health=QUICK_LOOKS)
    (row,) = yard.wait_online(1)
    yard.farm.fault(1, "qmi_hang")
    asked = len([entry for entry in yard.logs(row.serial, 1000) if entry.channel == "qmi"])
    yard.wait_state(row.serial, ModemState.DEGRADED)
    assert asked
    yard.farm.replug(1, "2-1.4")
    yard.farm.clear(1, "qmi_hang")
    yard.wait_for(
        lambda: (
            (found := yard.row(row.serial)) is not None and found.slot == "2-1.4" and found.status is ModemState.ONLINE
        ),
        "online in the other slot",
        60.0,
    )
    assert [each.serial for each in yard.fleet.fetch_modems()] == [row.serial], "it was taken for a stranger"
    assert yard.browses(1)
    yard.assert_sound()
