"""`+CREG`, `+CGREG`, `+CEREG`: read answers and URCs (3GPP TS 27.007 §7.2, §10.1.20, §10.1.22)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent.core.errors import ProtocolError
from agent.modem.at.fields import (
    decimal,
    last_parameters,
    name_of,
    optional_hexadecimal,
    parameters_of,
    split_fields,
    unquote,
)
from agent.modem.model import AccessTechnology, RegistrationState


class Domain(StrEnum):
    """The domain a modem is registered in, by the command that reports it."""

    CS = "CREG"
    PS = "CGREG"
    EPS = "CEREG"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationReport:
    """One line of registration."""

    domain: Domain
    reports: int | None
    """`<n>`; None in a URC, which does not say."""
    state: RegistrationState
    access_technology: AccessTechnology = AccessTechnology.UNKNOWN
    area_code: int | None = None
    """LAC or TAC."""
    cell_id: int | None = None


_STATES = {
    0: RegistrationState.IDLE,
    1: RegistrationState.HOME,
    2: RegistrationState.SEARCHING,
    3: RegistrationState.DENIED,
    4: RegistrationState.UNKNOWN,
    5: RegistrationState.ROAMING,
    6: RegistrationState.HOME,  # for SMS only: reported of the CS domain by a data plan without voice
    7: RegistrationState.ROAMING,
    8: RegistrationState.DENIED,  # emergency bearers only
    9: RegistrationState.HOME,  # CSFB not preferred
    10: RegistrationState.ROAMING,
}

_TECHNOLOGIES = {
    0: AccessTechnology.GSM,
    1: AccessTechnology.GSM,
    2: AccessTechnology.UMTS,
    3: AccessTechnology.GSM,
    4: AccessTechnology.UMTS,
    5: AccessTechnology.UMTS,
    6: AccessTechnology.UMTS,
    7: AccessTechnology.LTE,
    8: AccessTechnology.GSM,
    9: AccessTechnology.LTE,
    10: AccessTechnology.LTE,
    11: AccessTechnology.NR,
    12: AccessTechnology.NR,
    13: AccessTechnology.LTE,
}


def access_technology(number: int | None) -> AccessTechnology:
    """`<AcT>` as its family."""
    return _TECHNOLOGIES.get(number, AccessTechnology.UNKNOWN) if number is not None else AccessTechnology.UNKNOWN


def is_read_answer(parameters: str) -> bool:
    """Whether these are `<n>,<stat>[,…]` and not a URC's `<stat>[,<lac>,<ci>[,…]]`.

    The second field decides: `<stat>` is a bare number of at most 10, a `<lac>` is quoted or has four digits. With
    three fields there is always a `<lac>`, since no read answer has three.
    """
    fields = split_fields(parameters)
    if len(fields) < 2 or len(fields) == 3:
        return False
    return re.fullmatch(r"[0-9]{1,3}", fields[1]) is not None and int(fields[1]) in _STATES


def parse_registration_line(line: str) -> RegistrationReport:
    """Parse an answer or a URC, told apart by shape; raise ProtocolError when it is neither."""
    try:
        domain = Domain(name_of(line) or "")
    except ValueError as exc:
        raise ProtocolError("not a registration line", line) from exc
    fields = list(split_fields(parameters_of(line)))
    reports = decimal(fields.pop(0), "<n>") if is_read_answer(parameters_of(line)) else None
    if not fields:
        raise ProtocolError("registration without a state", line)
    state = _STATES.get(decimal(fields.pop(0), "<stat>"), RegistrationState.UNKNOWN)
    area, cell, technology = _location(fields)
    return RegistrationReport(
        domain=domain,
        reports=reports,
        state=state,
        access_technology=access_technology(technology),
        area_code=optional_hexadecimal(area, "area code"),
        cell_id=optional_hexadecimal(cell, "cell id"),
    )


def _location(fields: Sequence[str]) -> tuple[str, str, int | None]:
    """(area code, cell id, AcT) of what follows `<stat>`; some firmware puts a `<rac>` before the cell id."""
    if len(fields) < 2:
        return (fields[0] if fields else ""), "", None
    if len(fields) == 4 and not _is_technology(fields[2]):
        return fields[0], fields[2], int(unquote(fields[3])) if _is_technology(fields[3]) else None
    return (
        fields[0],
        fields[1],
        int(unquote(fields[2])) if len(fields) > 2 and _is_technology(fields[2]) else None,
    )


def _is_technology(field: str) -> bool:
    return re.fullmatch(r"[0-9]{1,2}", unquote(field)) is not None and int(unquote(field)) in _TECHNOLOGIES


def parse_registration(lines: Sequence[str], domain: Domain) -> RegistrationReport:
    """The answer to `AT+CREG?` and its sisters; raise ProtocolError when there is none."""
    return parse_registration_line(f"+{domain}: {last_parameters(lines, domain)}")
