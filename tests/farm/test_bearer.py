"""Networks that refuse, drop, renumber or are not there; what the modem gave out is given back."""

from __future__ import annotations

import json

import pytest

from agent.modem.model import ModemState
from tests.farm.conftest import MakeFarmyard
from tests.farm.harness import Farmyard

pytestmark = pytest.mark.farm

SELDOM_LOOKS = {"interval_seconds": 600.0}
"""What is noticed with these is noticed by what the modem says of itself."""


def starts(yard: Farmyard, serial: str) -> int:
    """How often a data session was started."""
    return yard.actions(serial).count("StartBearer")


def wait_reconnected(yard: Farmyard, number: int, started: int) -> None:
    """Wait until a modem has a new data session and serves clients with it."""
    serial = yard.serial(number)
    yard.wait_for(lambda: starts(yard, serial) > started, f"{serial} starts a new data session")
    yard.wait_for(
        lambda: (row := yard.row(serial)) is not None and row.status is ModemState.ONLINE and yard.browses(number),
        f"{serial} serves again",
    )
    assert len(yard.wds_clients(number)) == 1


def test_a_dropped_connection_is_noticed_at_once_and_its_client_id_given_back(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2, health=SELDOM_LOOKS)
    row, other = yard.wait_online(1, 2)
    for _ in range(3):
        started = starts(yard, row.serial)
        yard.farm.fault(1, "drop")
        wait_reconnected(yard, 1, started)
    assert starts(yard, row.serial) == 4
    assert starts(yard, other.serial) == 1
    assert any("NW PDN DEACT" in entry.response for entry in yard.logs(row.serial, 1000) if entry.channel == "urc")
    yard.assert_sound()


def test_a_refused_connection_tells_the_carriers_reason_and_piles_nothing_up(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2)
    row, _ = yard.wait_online(1, 2)
    yard.farm.fault(1, "call_failed", reason=33)

    def refused() -> list[str]:
        found = [entry for entry in yard.logs(row.serial, 1000) if entry.command.startswith("StartBearer")]
        return [entry.response for entry in found if entry.outcome == "error"]

    yard.wait_for(lambda: len(refused()) >= 4, "four refusals")
    assert all("requested-service-option-not-subscribed" in text or "33" in text for text in refused())
    seen = yard.wait_state(row.serial, ModemState.CONNECTING)
    assert seen.reason.startswith("asking for a data connection: ")
    assert "33" in seen.reason or "subscribed" in seen.reason
    yard.wait_for(lambda: len(yard.wds_clients(1)) <= 1, "client ids of failed dials are given back")
    assert yard.browse(row) is None
    assert yard.browses(2)
    started = starts(yard, row.serial)
    yard.farm.clear(1, "call_failed")
    wait_reconnected(yard, 1, started)
    yard.assert_sound()


def test_a_session_that_is_there_already_is_adopted(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=1, agent=False)
    yard.wait_for(lambda: yard.farm.modem(1).registered, "registered by itself")
    yard.farm.fault(1, "session_exists")
    address = yard.farm.modem(1).addresses[0]
    yard.playground.start_agent()
    (row,) = yard.wait_online(1)
    assert row.wan_address == address
    assert yard.browse(row) == address
    remembered = json.loads((yard.playground.directory / "run" / "sessions" / f"{row.serial}.json").read_text())
    assert remembered["packet_data_handle"] is None
    assert yard.wds_clients(1) == [remembered["client_id"]]
    assert any("NoEffect" in entry.response for entry in yard.logs(row.serial, 1000) if entry.channel == "qmi")
    assert starts(yard, row.serial) == 1
    yard.assert_sound()


def test_an_address_that_changes_under_way_is_taken_over_without_a_reconnect(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2)
    row, _ = yard.wait_online(1, 2)
    yard.farm.fault(1, "address_change")
    address = yard.farm.modem(1).addresses[0]
    assert address != row.wan_address
    yard.wait_for(
        lambda: (
            (found := yard.row(row.serial)) is not None
            and found.wan_address == address
            and found.status is ModemState.ONLINE
        ),
        "online with the new address",
    )
    yard.wait_for(lambda: yard.browses(1), "clients get through with it")
    assert starts(yard, row.serial) == 1
    assert "Recover" not in yard.actions(row.serial)
    assert yard.browses(2)
    yard.assert_sound()


def test_a_denied_modem_says_so_and_comes_online_when_it_is_let_in(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2, health=SELDOM_LOOKS)
    row, _ = yard.wait_online(1, 2)
    yard.farm.fault(1, "denied")
    yard.wait_for(
        lambda: (
            (found := yard.row(row.serial)) is not None
            and (found.status, found.reason) == (ModemState.SEARCHING, "registration denied by the network")
        ),
        "denied",
    )
    assert yard.browse(row) is None
    assert yard.browses(2)
    started = starts(yard, row.serial)
    yard.farm.clear(1, "denied")
    wait_reconnected(yard, 1, started)
    yard.assert_sound()


def test_a_modem_without_coverage_searches_until_there_is_some(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2, agent=False)
    yard.farm.fault(1, "no_signal")
    yard.playground.start_agent()
    searching = yard.wait_state(yard.serial(1), ModemState.SEARCHING)
    assert searching.reason == "searching for a network"
    yard.wait_online(2)
    assert starts(yard, searching.serial) == 0
    yard.farm.clear(1, "no_signal")
    yard.wait_online(1)
    yard.farm.fault(1, "no_signal")
    yard.wait_state(searching.serial, ModemState.SEARCHING)
    started = starts(yard, searching.serial)
    yard.farm.clear(1, "no_signal")
    wait_reconnected(yard, 1, started)
    assert yard.browses(2)
    yard.assert_sound()


def test_a_modem_that_moves_to_another_cell_reconnects(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=1, health=SELDOM_LOOKS)
    (row,) = yard.wait_online(1)
    started = starts(yard, row.serial)
    yard.farm.fault(1, "cell_change")
    wait_reconnected(yard, 1, started)
    yard.assert_sound()
