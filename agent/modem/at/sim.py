"""`+CPIN`, `+QCCID`, `+CIMI` (3GPP TS 27.007 §8.3, §5.6; Quectel EC2x AT manual §5)."""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.errors import CmeError
from agent.core.identifiers import Iccid, Imsi
from agent.modem.at.fields import last_parameters, sole_line, unquote
from agent.modem.model import SimState

_STATES = {
    "READY": SimState.READY,
    "SIM PIN": SimState.PIN_REQUIRED,
    "SIM PUK": SimState.PUK_REQUIRED,
    "SIM PIN2": SimState.PIN2_REQUIRED,
    "SIM PUK2": SimState.PUK2_REQUIRED,
    "PH-SIM PIN": SimState.LOCKED_TO_PHONE,
    "PH-SIM PUK": SimState.LOCKED_TO_PHONE,
    "PH-FSIM PIN": SimState.LOCKED_TO_PHONE,
    "PH-FSIM PUK": SimState.LOCKED_TO_PHONE,
    "NOT INSERTED": SimState.ABSENT,
    "NOT READY": SimState.BUSY,
}
_NETWORK_LOCKS = ("PH-NET", "PH-NETSUB", "PH-SP", "PH-CORP")

_STATES_OF_ERRORS = {
    5: SimState.LOCKED_TO_PHONE,
    6: SimState.LOCKED_TO_PHONE,
    7: SimState.LOCKED_TO_PHONE,
    10: SimState.ABSENT,
    11: SimState.PIN_REQUIRED,
    12: SimState.PUK_REQUIRED,
    13: SimState.FAILURE,
    14: SimState.BUSY,
    15: SimState.FAILURE,
    17: SimState.PIN2_REQUIRED,
    18: SimState.PUK2_REQUIRED,
    **dict.fromkeys(range(40, 48), SimState.LOCKED_TO_NETWORK),
}


def parse_sim_state(lines: Sequence[str]) -> SimState:
    """The answer to `AT+CPIN?`, or its URC; UNKNOWN for a word that is not known."""
    word = " ".join(unquote(last_parameters(lines, "CPIN")).upper().split())
    if word.startswith(_NETWORK_LOCKS):
        return SimState.LOCKED_TO_NETWORK
    return _STATES.get(word, SimState.UNKNOWN)


def sim_state_of_error(error: CmeError) -> SimState | None:
    """What a CME error says of the SIM; None when it says nothing of it."""
    return _STATES_OF_ERRORS.get(error.code) if error.code is not None else None


def parse_iccid(lines: Sequence[str]) -> Iccid:
    """The answer to `AT+QCCID`; a filler `F` at its end is cut."""
    return Iccid.parse(sole_line(lines, "QCCID"))


def parse_imsi(lines: Sequence[str]) -> Imsi:
    """The answer to `AT+CIMI`."""
    return Imsi.parse(sole_line(lines, "CIMI"))
