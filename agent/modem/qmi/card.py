"""The answer to `--uim-get-card-status`: `Slot [1]` since libqmi 1.20, `Card [0]` before."""

from __future__ import annotations

import re

from agent.core.errors import ProtocolError
from agent.modem.model import Sim, SimState
from agent.modem.qmi.output import Entry, entries

_CARD = re.compile(r"(?:Slot|Card) \[([0-9]+)\]")
_APPLICATION = re.compile(r"Application \[([0-9]+)\]")
_PRIMARY = re.compile(r"slot '([0-9]+)', application '([0-9]+)'")

_APPLICATION_STATES = {
    "ready": SimState.READY,
    "pin1-or-upin-pin-required": SimState.PIN_REQUIRED,
    "puk1-or-upin-puk-required": SimState.PUK_REQUIRED,
    "pin1-blocked": SimState.FAILURE,
    "illegal": SimState.FAILURE,
    "detected": SimState.BUSY,
}
_PERSONALISATION_STATES = {
    "in-progress": SimState.BUSY,
    "code-required": SimState.LOCKED_TO_NETWORK,
    "puk-code-required": SimState.LOCKED_TO_NETWORK,
    "permanently-blocked": SimState.LOCKED_TO_NETWORK,
}


def parse_card_status(text: str) -> Sim:
    """State of the SIM whose application is provisioned, else of the first card that is present; raise ProtocolError
    when no card slot is shown."""
    found = entries(text)
    cards = _blocks(found, _CARD)
    if not cards:
        raise ProtocolError("qmicli showed no card slot", text)
    primary = next((_PRIMARY.match(entry.value) for entry in found if entry.key == "Primary GW"), None)
    card = cards.get(int(primary[1])) if primary else None
    if card is None or _value(card, "Card state") != "present":
        card = next((each for each in cards.values() if _value(each, "Card state") == "present"), None)
    if card is None:
        states = {_value(each, "Card state") for each in cards.values()}
        return Sim(state=SimState.FAILURE if any("error" in state for state in states) else SimState.ABSENT)
    applications = _blocks(card, _APPLICATION)
    application = applications.get(int(primary[2])) if primary else None
    if application is None:
        application = next(iter(applications.values()), ())
    return Sim(state=_application_state(application))


def _application_state(application: tuple[Entry, ...]) -> SimState:
    state = _value(application, "Application state")
    if state == "check-personalization-state":
        word = _value(application, "Personalization state").lstrip("'").partition("'")[0]
        return _PERSONALISATION_STATES.get(word, SimState.BUSY)
    if not application:
        return SimState.BUSY
    return _APPLICATION_STATES.get(state, SimState.UNKNOWN)


def _blocks(found: tuple[Entry, ...], head: re.Pattern[str]) -> dict[int, tuple[Entry, ...]]:
    """The entries under each numbered head, by its number."""
    result: dict[int, tuple[Entry, ...]] = {}
    number: int | None = None
    for entry in found:
        match = head.fullmatch(entry.key)
        if match:
            number = int(match[1])
            result[number] = ()
        elif number is not None:
            result[number] += (entry,)
    return result


def _value(block: tuple[Entry, ...], key: str) -> str:
    return next((entry.value for entry in block if entry.key == key), "")
