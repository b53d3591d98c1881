"""Parameters of information lines: `+NAME: 1,"text",0A` (ITU-T V.250 §5.4)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent.core.errors import ProtocolError

_NAME = re.compile(r"[+^*%#]([A-Z0-9]+):", re.IGNORECASE)
_SEPARATED = re.compile(r'((?:"[^"]*"?|\([^)]*\)?|[^,"(])*)(,|$)')
_DECIMAL = re.compile(r"-?[0-9]{1,18}")
_HEXADECIMAL = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{1,16})")
_UNKNOWN = frozenset({"", "-"})


def name_of(line: str) -> str | None:
    """`CREG` for `+CREG: 1,1`; None for a line without such a name."""
    found = _NAME.match(line)
    return found[1].upper() if found else None


def parameters_of(line: str) -> str:
    """What follows `+NAME:`, outer blanks cut."""
    return line.partition(":")[2].strip()


def all_parameters(lines: Sequence[str], name: str) -> tuple[str, ...]:
    """The parameters of every line called `name`, in order."""
    return tuple(parameters_of(line) for line in lines if name_of(line) == name)


def last_parameters(lines: Sequence[str], name: str) -> str:
    """The parameters of the last line called `name`; raise ProtocolError when there is none."""
    found = all_parameters(lines, name)
    if not found:
        raise ProtocolError(f"no +{name} in the answer")
    return found[-1]


def split_fields(parameters: str) -> tuple[str, ...]:
    """Split at commas outside quotes and parentheses; quotes are kept, outer blanks cut."""
    fields: list[str] = []
    position = 0
    while found := _SEPARATED.match(parameters, position):
        fields.append(found[1].strip())
        position = found.end()
        if not found[2]:
            break
    return tuple(fields)


def unquote(field: str) -> str:
    """`field` without its quotes and the blanks around its text."""
    return field.strip().strip('"').strip()


def values(parameters: str) -> tuple[str, ...]:
    """`split_fields`, unquoted."""
    return tuple(unquote(field) for field in split_fields(parameters))


def decimal(field: str, what: str) -> int:
    """A decimal number, quoted or not; raise ProtocolError when `field` is none."""
    text = unquote(field)
    if not _DECIMAL.fullmatch(text):
        raise ProtocolError(f"{what} is not a number", text)
    return int(text)


def optional_decimal(field: str, what: str) -> int | None:
    """As `decimal`; None for an empty field or `-`."""
    return None if unquote(field) in _UNKNOWN else decimal(field, what)


def optional_hexadecimal(field: str, what: str) -> int | None:
    """A hexadecimal number, quoted or not; None for an empty field or `-`; else ProtocolError."""
    text = unquote(field)
    if text in _UNKNOWN:
        return None
    found = _HEXADECIMAL.fullmatch(text)
    if not found:
        raise ProtocolError(f"{what} is not a hexadecimal number", text)
    return int(found[1], 16)


def sole_line(lines: Sequence[str], name: str) -> str:
    """The text of a one-line answer that comes bare or after `+NAME:` (`+CGSN`, `+CIMI`, `+QGMR`)."""
    for line in lines:
        if name_of(line) == name:
            return unquote(parameters_of(line))
        if name_of(line) is None:
            return unquote(line)
    raise ProtocolError(f"no answer to +{name}")
