"""Which text is a value of which XML Schema type (TR-069 A6 table 6, TR-106 §3.2)."""

from __future__ import annotations

import base64
import binascii
import re
from enum import StrEnum


class ValueType(StrEnum):
    """The types that parameters have; the value is the local name in XML Schema (base64 is SOAP's)."""

    STRING = "string"
    INT = "int"
    UNSIGNED_INT = "unsignedInt"
    LONG = "long"
    UNSIGNED_LONG = "unsignedLong"
    BOOLEAN = "boolean"
    DATE_TIME = "dateTime"
    BASE64 = "base64"
    HEX_BINARY = "hexBinary"


_RANGES = {
    ValueType.INT: (-(2**31), 2**31 - 1),
    ValueType.UNSIGNED_INT: (0, 2**32 - 1),
    ValueType.LONG: (-(2**63), 2**63 - 1),
    ValueType.UNSIGNED_LONG: (0, 2**64 - 1),
}
_INTEGER = re.compile(r"[+-]?\d{1,20}")
_DATE_TIME = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"
)
_HEX = re.compile(r"([0-9A-Fa-f]{2})*")
_EMPTY = {ValueType.BOOLEAN: "false", ValueType.DATE_TIME: "0001-01-01T00:00:00Z"}


def is_valid(kind: ValueType, text: str) -> bool:
    """Whether `text` is in the lexical space of `kind` and in its range."""
    match kind:
        case ValueType.STRING:
            return True
        case ValueType.BOOLEAN:
            return text in {"0", "1", "true", "false"}
        case ValueType.DATE_TIME:
            return _DATE_TIME.fullmatch(text) is not None
        case ValueType.HEX_BINARY:
            return _HEX.fullmatch(text) is not None
        case ValueType.BASE64:
            return _is_base64(text)
        case _:
            low, high = _RANGES[kind]
            return _INTEGER.fullmatch(text) is not None and low <= int(text) <= high


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def type_named(name: str) -> ValueType | None:
    """`xsd:unsignedInt`, `unsignedInt` or `soapenc:base64` to a type; None when there is none of that name."""
    local = name.rpartition(":")[2]
    if local == "base64Binary":
        return ValueType.BASE64
    return next((each for each in ValueType if each.value == local), None)


def type_label(kind: ValueType) -> str:
    """What `xsi:type` says of it; the prefixes are those of `agent.sim.cpe.soap`."""
    return "soap-enc:base64" if kind is ValueType.BASE64 else f"xsd:{kind.value}"


def empty_value(kind: ValueType) -> str:
    """What a parameter of a new instance holds."""
    return "0" if kind in _RANGES else _EMPTY.get(kind, "")
