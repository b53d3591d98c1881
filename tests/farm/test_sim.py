"""SIM cards that are missing, locked or blocked; and a PIN that nobody ever sees."""

from __future__ import annotations

import pytest
from psycopg import sql

from agent.modem.model import ModemState
from tests.farm.conftest import MakeFarmyard
from tests.farm.harness import Farmyard

pytestmark = pytest.mark.farm

RIGHT_PIN = "90417263"
WRONG_PIN = "60318254"
"""Eight digits that stand in no number, time or address by chance."""


def pin_entries(yard: Farmyard, serial: str) -> list[str]:
    """Outcomes of the PINs that the agent entered, by its own log."""
    return [entry.outcome for entry in yard.logs(serial, 1000) if entry.command.startswith("EnterPin")]


def assert_unseen(yard: Farmyard, pin: str) -> None:
    """A PIN stands in the settings file, and nowhere else: not in the database, a log, or a file of the agent's."""
    with yard.database.transaction() as connection:
        listed = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        names = [row[0] for row in listed]
        assert "modem_logs" in names
        for name in names:
            statement = sql.SQL("SELECT t::text FROM {} AS t WHERE t::text LIKE %s").format(sql.Identifier(name))
            found = connection.execute(statement, [f"%{pin}%"]).fetchall()
            assert found == [], f"the PIN stands in {name}"
    for path in yard.playground.directory.rglob("*"):
        if path.is_file() and path != yard.playground.config:
            assert pin.encode() not in path.read_bytes(), f"the PIN stands in {path}"


def test_a_sim_that_is_pulled_out_is_told_and_its_return_brings_the_modem_back(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2, health={"interval_seconds": 600.0})
    row, _ = yard.wait_online(1, 2)
    yard.farm.fault(1, "no_sim")
    blocked = yard.wait_state(row.serial, ModemState.SIM_BLOCKED)
    assert blocked.reason == "no SIM card in the modem"
    assert yard.browse(row) is None
    assert yard.browses(2)
    yard.farm.clear(1, "no_sim")
    yard.wait_online(1)
    assert yard.browses(1)
    yard.assert_sound()


def test_the_right_pin_is_entered_once_a_power_cycle_and_seen_nowhere(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=1, agent=False, modem={"pin": RIGHT_PIN})
    yard.farm.fault(1, "pin", pin=RIGHT_PIN)
    yard.playground.start_agent()
    (row,) = yard.wait_online(1)
    assert (yard.farm.modem(1).pins_entered, yard.farm.modem(1).pin_tries_left) == (1, 3)
    assert pin_entries(yard, row.serial) == ["ok"]
    yard.playground.stop_agent()
    yard.playground.start_agent()
    yard.wait_for(lambda: yard.agent_log().count("modem identified") == 2, "the second agent knows the modem")
    yard.wait_online(1)
    assert yard.farm.modem(1).pins_entered == 1
    yard.farm.replug(1)
    yard.wait_for(lambda: yard.farm.modem(1).pins_entered == 2, "the SIM wants its PIN again, and gets it")
    yard.wait_online(1)
    assert yard.farm.modem(1).pin_tries_left == 3
    yard.assert_sound()
    assert_unseen(yard, RIGHT_PIN)


def test_a_wrong_pin_costs_one_try_ever_whatever_is_restarted_or_replugged(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2, agent=False, modem={"pin": WRONG_PIN})
    yard.farm.fault(1, "pin", pin=RIGHT_PIN)
    yard.playground.start_agent()
    serial = yard.serial(1)
    yard.wait_state(serial, ModemState.SIM_BLOCKED)

    def settled(reason: str) -> bool:
        row = yard.row(serial)
        return row is not None and row.status is ModemState.SIM_BLOCKED and reason in row.reason

    yard.wait_for(lambda: settled("not tried again"), "the reason says that the PIN is not tried again")
    assert (yard.farm.modem(1).pins_entered, yard.farm.modem(1).pin_tries_left) == (1, 2)

    yard.playground.stop_agent()
    yard.playground.start_agent()
    yard.wait_for(lambda: yard.agent_log().count("modem identified") == 4, "the second agent knows both modems")
    yard.farm.replug(1, "2-1.3")
    yard.wait_for(
        lambda: (row := yard.row(serial)) is not None and row.slot == "2-1.3" and settled("not tried again"),
        "blocked in the other slot",
    )
    yard.wait_online(2)
    assert (yard.farm.modem(1).pins_entered, yard.farm.modem(1).pin_tries_left) == (1, 2)
    assert pin_entries(yard, serial) == ["error"]
    assert_unseen(yard, WRONG_PIN)
    assert_unseen(yard, RIGHT_PIN)

    # The operator corrects the settings: another value may be tried once.
    yard.playground.stop_agent()
    yard.playground.overrides["modem"]["pin"] = RIGHT_PIN
    yard.playground.write_settings()
    yard.playground.start_agent()
    yard.wait_online(1)
    assert (yard.farm.modem(1).pins_entered, yard.farm.modem(1).pin_tries_left) == (2, 3)
    assert_unseen(yard, RIGHT_PIN)
    yard.assert_sound()


def test_a_pin_that_is_wanted_and_not_known_is_asked_for(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=1)
    (row,) = yard.wait_online(1)
    yard.farm.fault(1, "pin", pin=RIGHT_PIN)
    blocked = yard.wait_state(row.serial, ModemState.SIM_BLOCKED)
    assert blocked.reason == "the SIM wants a PIN: set modem.pin"
    assert yard.farm.modem(1).pins_entered == 0
    yard.farm.clear(1, "pin")
    yard.wait_online(1)
    yard.assert_sound()


def test_a_sim_that_wants_its_puk_is_left_alone(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2, agent=False, modem={"pin": WRONG_PIN})
    yard.farm.fault(1, "puk")
    yard.playground.start_agent()
    blocked = yard.wait_state(yard.serial(1), ModemState.SIM_BLOCKED)
    assert "PUK" in blocked.reason
    yard.wait_online(2)
    # A few looks more: nothing is ever tried.
    looks = len([entry for entry in yard.logs(blocked.serial, 1000) if entry.command == "AT+CPIN?"])
    yard.wait_for(
        lambda: len([e for e in yard.logs(blocked.serial, 1000) if e.command == "AT+CPIN?"]) >= looks + 3, "more looks"
    )
    assert yard.farm.modem(1).pins_entered == 0
    assert pin_entries(yard, blocked.serial) == []
    yard.farm.clear(1, "puk")
    yard.wait_online(1)
    yard.assert_sound()
