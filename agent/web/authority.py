"""Which role an AT command line needs, and which lines are not taken at all. Pure."""

from __future__ import annotations

import re

from agent.store.rows import Role

# What asks, watches, or is undone by the agent's next pass. Everything else could brick a modem, cost money
# or end a
# SIM card, and firmware has more such commands than anybody could list: it takes an admin.
_OPERATORS_COMMANDS = frozenset(
    {
        *("CSQ", "CESQ", "QCSQ", "QNWINFO", "QENG", "QSPN", "QRSRP", "QRSRQ", "QSINR", "QCAINFO"),
        *("CGSN", "GSN", "CGMM", "CGMR", "CGMI", "GMM", "GMR", "GMI", "QGMR", "QCCID", "CCID", "ICCID", "CIMI", "CNUM"),
        *("CREG", "CGREG", "CEREG", "COPS", "CPAS", "CMEE", "CGEREP", "CLAC", "CCLK", "CTZU", "QLTS", "QTEMP", "CEER"),
        *("CFUN", "CGATT", "CGACT", "CGPADDR", "CGCONTRDP", "QPING", "CSCS", "CMGF", "CPMS"),
    }
)
_EXTENDED = re.compile(r"\+\s*([A-Z0-9]+)\s*(=\s*\?|\?|=.*)?\s*", re.DOTALL)
_BASIC = re.compile(r"\s*((E[01]?|V1?|Q0?|I[0-9]?|H0?)\s*)*")
_NAME_ONLY = re.compile(r'="[A-Z0-9/_]+"')
_PARTS = re.compile(r'(?:"[^"]*"?|[^;"])+')


def needed_role(line: str) -> Role:
    """The least role that may send this AT command line (3GPP TS 27.007 §4.2: one line, several commands)."""
    text = line.strip()[2:].upper()
    parts = _PARTS.findall(text) or [""]
    return Role.OPERATOR if all(_is_harmless(part) for part in parts) else Role.ADMIN


def _is_harmless(part: str) -> bool:
    basic, plus, extended = part.partition("+")
    if not _BASIC.fullmatch(basic):
        return False
    if not plus:
        return True
    found = _EXTENDED.fullmatch("+" + extended)
    if found is None:
        return False
    suffix = re.sub(r"\s", "", found[2] or "")
    asks = suffix in ("?", "=?") or (found[1] == "QCFG" and _NAME_ONLY.fullmatch(suffix) is not None)
    return asks or found[1] in _OPERATORS_COMMANDS
