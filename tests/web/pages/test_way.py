"""The picture of a modem's way agrees with the planner: what the planner waits for is where the way ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.modem.health import Health
from agent.modem.model import DataSession, ModemState, RegistrationState, SimState
from agent.modem.planner import plan
from agent.modem.reporting import _report
from agent.store.rows import ModemRow
from agent.web.pages.way import ADVICE, Mark, Stage, look
from tests.modem.world import PIN, World, desired
from tests.web.pages.rows import make_modem

SESSION = DataSession(client_id=3, packet_data_handle=99)
_SET_UP: dict[str, Any] = {
    "echo": False,
    "error_mode": 2,
    "functionality": 1,
    "usbnet": 0,
    "reports": (2, 2, 2),
    "events": (2, 1),
    "operator_mode": 0,
    "sim": SimState.READY,
}


def row_of(world: World, *, enabled: bool = True, pin: str | None = PIN) -> ModemRow:
    """The row that the agent's report of this world leaves."""
    wanted = desired(enabled=enabled, pin=pin)
    observed = world.observe()
    decided = plan(observed, world.intent(wanted), Health(), 1000.0)
    report = _report(wanted, observed, decided.state, decided.reason, sample=False)
    return make_modem(
        status=report.state,
        reason=report.reason,
        enabled=enabled,
        path=report.path,
        interface=report.interface,
        registration=report.registration,
        operator=report.operator,
        access_technology=report.access_technology,
        wan_address=report.wan_address,
        wan_address_ipv6=report.wan_address_ipv6,
        proxy_running=report.proxy_running,
    )


@pytest.mark.parametrize(
    ("world", "stage"),
    [
        (World(plugged=False), Stage.USB),
        (World(**{**_SET_UP, "echo": True}), Stage.CONTROL),
        (World(**{**_SET_UP, "usbnet": 1}), Stage.CONTROL),
        (World(**{**_SET_UP, "sim": SimState.ABSENT}), Stage.SIM),
        (World(**{**_SET_UP, "sim": SimState.PUK_REQUIRED}), Stage.SIM),
        (World(**{**_SET_UP, "sim": SimState.PIN_REQUIRED}), Stage.SIM),
        (World(**_SET_UP, coverage=RegistrationState.SEARCHING), Stage.NETWORK),
        (World(**{**_SET_UP, "reports": (0, 0, 0)}, coverage=RegistrationState.HOME), Stage.NETWORK),
        (World(**_SET_UP, coverage=RegistrationState.HOME, bearer=None), Stage.BEARER),
        (
            World(**_SET_UP, coverage=RegistrationState.HOME, bearer=SESSION, remembered=SESSION, raw_ip=True),
            Stage.PROXY,
        ),
    ],
)
def test_the_way_ends_where_the_planner_waits(world: World, stage: Stage) -> None:
    way = look(row_of(world))
    assert way.stuck is stage
    assert [step.stage for step in way.steps if step.mark is Mark.HERE] == [stage]
    assert way.what


def test_the_way_is_open_when_the_planner_has_nothing_left_to_do() -> None:
    world = World(**_SET_UP, coverage=RegistrationState.HOME)
    for _ in range(12):
        observed = world.observe()
        decided = plan(observed, world.intent(desired()), Health(), 1000.0)
        for action in decided.actions:
            world.execute(action)
    way = look(row_of(world))
    assert way.stuck is None
    assert {step.mark for step in way.steps} == {Mark.PASSED}
    assert way.advice == ""


@pytest.mark.parametrize(
    ("reason", "registration", "stage"),
    [
        ("the AT port does not answer: reset usb", None, Stage.CONTROL),
        ("recovery did not help: the QMI port does not answer", "home", Stage.CONTROL),
        ("recovery did not help: the SIM does not answer (SIM failure)", "searching", Stage.SIM),
        ("recovery did not help: registration denied by the network", "denied", Stage.NETWORK),
        ("recovery did not help: asking for a data connection", "home", Stage.BEARER),
    ],
)
def test_recovery_hides_nothing(reason: str, registration: str | None, stage: Stage) -> None:
    modem = make_modem(status=ModemState.QUARANTINED, reason=reason, registration=registration, wan_address=None)
    way = look(modem)
    assert way.stuck is stage
    assert way.advice == ADVICE[stage]


@pytest.mark.parametrize(
    ("values", "stage"),
    [
        ({"reason": "no way through: TCP: no answer"}, Stage.ROUTE),
        ({"reason": "the network link is gone", "interface": None}, Stage.ROUTE),
    ],
)
def test_a_modem_that_passes_nothing_is_stuck_at_its_route(values: dict[str, Any], stage: Stage) -> None:
    assert look(make_modem(status=ModemState.DEGRADED, **values)).stuck is stage


def test_a_disabled_modem_has_no_failing_step() -> None:
    way = look(replace(make_modem(status=ModemState.OFFLINE, reason="disabled by the operator"), enabled=False))
    assert way.stuck is None
    assert {step.mark for step in way.steps} == {Mark.BEYOND}
    assert way.what.startswith("Disabled")


@pytest.mark.parametrize("status", list(ModemState))
def test_every_state_has_a_way_and_words(status: ModemState) -> None:
    way = look(make_modem(status=status, reason="", registration=None, wan_address=None))
    assert way.what
    assert (way.stuck is None) == (status is ModemState.ONLINE)
