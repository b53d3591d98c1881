"""`+COPS` and `+QNWINFO` (3GPP TS 27.007 §7.3; Quectel EC2x AT manual §6)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.errors import ProtocolError
from agent.modem.at.fields import decimal, last_parameters, optional_decimal, values
from agent.modem.at.registration import access_technology
from agent.modem.model import AccessTechnology

_ESCAPED_BYTE = re.compile(r"\\[0-9A-Fa-f]{2}")
_GROUP = re.compile(r'\(((?:"[^"]*"|[^()"])*)\)')
_NUMERIC_FORMAT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSelection:
    """The answer to `AT+COPS?`."""

    mode: int
    """0 is automatic."""
    name: str | None = None
    """Without what cannot be printed; None when there is none, which also holds for seconds after
    registering."""
    plmn: str | None = None
    """MCC and MNC, when the format is numeric."""
    access_technology: AccessTechnology = AccessTechnology.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundOperator:
    """One of the operators `AT+COPS=?` found."""

    status: int
    """0 unknown, 1 available, 2 current, 3 forbidden"""
    name: str | None
    plmn: str
    access_technology: AccessTechnology


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInfo:
    """`AT+QNWINFO`."""

    access_technology: AccessTechnology
    plmn: str
    band: str
    channel: int | None


def clean_name(text: str) -> str | None:
    """An operator's name without quotes, escaped bytes such as `\\00`, U+FFFD and what cannot be printed;
    None when nothing is left."""
    text = _ESCAPED_BYTE.sub("", text.strip().strip('"'))
    printable = "".join(each for each in text if each.isprintable() and each != "�")
    return " ".join(printable.split()) or None


def parse_operator(lines: Sequence[str]) -> OperatorSelection:
    """The answer to `AT+COPS?`."""
    mode, _, rest = last_parameters(lines, "COPS").partition(",")
    if not rest:
        return OperatorSelection(mode=decimal(mode, "<mode>"))
    name_format, _, rest = rest.partition(",")
    # The name may hold anything, commas and quotes too: it is what stands between the format and the last number.
    text, _, technology = rest.rpartition(",")
    if not re.fullmatch(r"\s*[0-9]{1,2}\s*", technology):
        text, technology = rest, ""
    name = clean_name(text)
    numeric = decimal(name_format, "<format>") == _NUMERIC_FORMAT
    return OperatorSelection(
        mode=decimal(mode, "<mode>"),
        name=None if numeric else name,
        plmn=name if numeric else None,
        access_technology=access_technology(optional_decimal(technology, "<AcT>")),
    )


def parse_operator_scan(lines: Sequence[str]) -> tuple[FoundOperator, ...]:
    """The answer to `AT+COPS=?`; the lists of supported modes and formats at its end are left out."""
    found: list[FoundOperator] = []
    for group in _GROUP.findall(last_parameters(lines, "COPS")):
        fields = values(group)
        if len(fields) < 4 or not re.fullmatch(r"[0-9]{5,6}", fields[3]):
            continue
        technology = optional_decimal(fields[4], "<AcT>") if len(fields) > 4 else None
        found.append(
            FoundOperator(
                status=decimal(fields[0], "<stat>"),
                name=clean_name(fields[1]) or clean_name(fields[2]),
                plmn=fields[3],
                access_technology=access_technology(technology),
            )
        )
    return tuple(found)


def parse_network_info(lines: Sequence[str]) -> NetworkInfo | None:
    """The answer to `AT+QNWINFO`; None when there is no service."""
    parameters = last_parameters(lines, "QNWINFO")
    fields = values(parameters)
    if len(fields) == 1 and "SERVICE" in fields[0].upper():
        return None
    if len(fields) < 3:
        raise ProtocolError("not a network description", parameters)
    channel = optional_decimal(fields[3], "channel") if len(fields) > 3 else None
    return NetworkInfo(
        access_technology=_technology_of(fields[0].upper()), plmn=fields[1], band=fields[2], channel=channel
    )


def _technology_of(word: str) -> AccessTechnology:
    if "LTE" in word:
        return AccessTechnology.LTE
    if "NR" in word or "5G" in word:
        return AccessTechnology.NR
    if any(each in word for each in ("WCDMA", "HSPA", "HSDPA", "HSUPA", "SCDMA")):
        return AccessTechnology.UMTS
    if any(each in word for each in ("GSM", "GPRS", "EDGE")):
        return AccessTechnology.GSM
    return AccessTechnology.UNKNOWN
