"""The types of parameter values, and how they are written (TR-106, data types; SOAP 1.1 §5)."""

from __future__ import annotations

WIRE_TYPES = {
    "string": "xsd:string",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "unsignedInt": "xsd:unsignedInt",
    "long": "xsd:long",
    "unsignedLong": "xsd:unsignedLong",
    "dateTime": "xsd:dateTime",
    "hexBinary": "xsd:hexBinary",
    # XML Schema has no `base64`; SOAP's own encoding has.
    "base64": "SOAP-ENC:base64",
}
_BY_LOWER_NAME = {name.lower(): name for name in WIRE_TYPES} | {
    "base64binary": "base64",
    "integer": "int",
    "short": "int",
    "byte": "int",
    "unsignedshort": "unsignedInt",
    "unsignedbyte": "unsignedInt",
}
AS_WRITTEN = {f"{prefix}:{name}": name for prefix in ("xsd", "xs", "SOAP-ENC", "soapenc") for name in WIRE_TYPES}
"""The usual ways to write a type."""


def type_of(written: str) -> str:
    """The type that an `xsi:type` names: any prefix, any case; what is no type of CWMP's data models is `string`."""
    known = AS_WRITTEN.get(written)
    if known is not None:
        return known
    return _BY_LOWER_NAME.get(written.rpartition(":")[2].strip().lower(), "string")
