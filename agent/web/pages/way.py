"""The way of a modem's traffic from the USB bus to its proxy: how far it stands, where and why it does not. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from agent.modem.model import ModemState, RegistrationState
from agent.store.rows import ModemRow
from agent.web.pages.formats import measured, technology
from agent.web.pages.tones import tone_of


class Stage(StrEnum):
    """A step of the way."""

    USB = "USB"
    CONTROL = "AT"
    SIM = "SIM"
    NETWORK = "network"
    BEARER = "bearer"
    ROUTE = "route"
    PROXY = "proxy"


class Mark(StrEnum):
    """How a step stands."""

    PASSED = "passed"
    HERE = "here"
    """The way ends here: it is being worked on, or has failed."""
    BEYOND = "beyond"
    """Not reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step, as it is drawn."""

    stage: Stage
    mark: Mark
    tone: str
    value: str
    """What is known of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """All steps, and the one at which the way ends."""

    steps: tuple[Step, ...]
    stuck: Stage | None
    """None when traffic passes, and when nothing is wanted."""
    what: str
    """What is the matter, in a sentence."""
    advice: str
    """What to do about it; empty when there is nothing to do."""


ADVICE = {
    Stage.USB: "Is it plugged in, and has its hub power? On its host, `lastmile doctor` looks at both.",
    Stage.CONTROL: "lastmile resets the modem by itself. If that does not help, unplug it for ten seconds.",
    Stage.SIM: "Look at the card: is it in, active, and is modem.pin its PIN? PINs are never tried twice.",
    Stage.NETWORK: "Check the antenna and whether the card may use this network; `AT+COPS?` and `AT+QENG` tell more.",
    Stage.BEARER: "Check the APN and the card's credit with the carrier; a new connection is tried by itself.",
    Stage.ROUTE: "Reconnect the modem. If nothing passes then either, the carrier lets no traffic through.",
    Stage.PROXY: "On its host, `lastmile doctor` and the proxy's unit tell why it does not run.",
}
"""What to do when the way ends there for good."""
_WAITS = {
    Stage.USB: "Its ports are still appearing.",
    Stage.CONTROL: "It is being set up.",
    Stage.SIM: "The card is being read.",
    Stage.NETWORK: "It is looking for a network.",
    Stage.BEARER: "A data connection is being asked for.",
    Stage.ROUTE: "Its route is being set.",
    Stage.PROXY: "Its proxy is being started.",
}
_CONTROL_REASONS = (
    "AT port does not answer",
    "QMI port does not answer",
    "QMI mode",
    "USB mode",
    "setting the modem up",
)
_SIM_REASONS = ("SIM", "the PIN")


def look(modem: ModemRow) -> Way:
    """How far `modem` has come."""
    disabled = not modem.enabled
    stuck = None if disabled else _stuck(modem)
    tone = tone_of(modem.status)
    stages = tuple(Stage)
    here = len(stages) if stuck is None else stages.index(stuck)
    steps = tuple(
        Step(
            stage=stage,
            mark=_mark(place, here, disabled=disabled),
            tone=_tone(place, here, tone, disabled=disabled),
            value=_VALUES[stage](modem) if place <= here else "",
        )
        for place, stage in enumerate(stages)
    )
    if disabled:
        what = "Disabled: nothing is sent by this modem, and its proxy is closed."
        return Way(steps=steps, stuck=None, what=what, advice="Enable it to put it into service again.")
    if stuck is None:
        return Way(steps=steps, stuck=None, what="Traffic passes.", advice="")
    what = modem.reason or _WAITS[stuck]
    busy = tone == "busy"
    return Way(
        steps=steps,
        stuck=stuck,
        what=what[:1].upper() + what[1:] + ("" if what.endswith(".") else "."),
        advice="No need to do anything yet." if busy else ADVICE[stuck],
    )


def _stuck(modem: ModemRow) -> Stage | None:
    """The first step that does not stand, as the planner walks them; None when all do."""
    if modem.status is ModemState.ONLINE:
        return None
    if modem.path is None or modem.status is ModemState.DETECTED:
        return Stage.USB
    if modem.registration is None or any(text in modem.reason for text in _CONTROL_REASONS):
        return Stage.CONTROL
    if modem.status is ModemState.SIM_BLOCKED or any(text in modem.reason for text in _SIM_REASONS):
        return Stage.SIM
    if modem.registration not in (RegistrationState.HOME, RegistrationState.ROAMING):
        return Stage.NETWORK
    if modem.status is ModemState.REGISTERED:
        return Stage.NETWORK
    if modem.wan_address is None and modem.wan_address_ipv6 is None:
        return Stage.BEARER
    if modem.interface is None or modem.status is not ModemState.CONNECTING:
        return Stage.ROUTE
    return Stage.PROXY if modem.reason.startswith("connected") else Stage.BEARER


def _mark(place: int, here: int, *, disabled: bool) -> Mark:
    if disabled:
        return Mark.BEYOND
    if place == here:
        return Mark.HERE
    return Mark.PASSED if place < here else Mark.BEYOND


def _tone(place: int, here: int, tone: str, *, disabled: bool) -> str:
    if disabled or place > here:
        return "off"
    if place < here:
        return "good"
    return "bad" if tone == "off" else tone


def _network(modem: ModemRow) -> str:
    kind = technology(modem.access_technology) if modem.access_technology else ""
    name = " ".join(part for part in (modem.operator, kind) if part)
    level = measured(modem.rsrp_dbm, "dBm") if modem.rsrp_dbm is not None else ""
    return ", ".join(part for part in (name, level) if part)


_VALUES: dict[Stage, Callable[[ModemRow], str]] = {
    Stage.USB: lambda modem: modem.slot or "",
    Stage.CONTROL: lambda modem: modem.model or "",
    Stage.SIM: lambda modem: f"…{modem.iccid[-6:]}" if modem.iccid else "",
    Stage.NETWORK: _network,
    Stage.BEARER: lambda modem: modem.wan_address or modem.wan_address_ipv6 or "",
    Stage.ROUTE: lambda modem: f"table {modem.fib_table}",
    Stage.PROXY: lambda modem: f"TCP port {modem.proxy_port}",
}
