"""Messages of CPEs that are written by hand."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from xml.sax.saxutils import escape

from tests.acs.soap.wire import envelope, value

NAMESPACE = "urn:dslforum-org:cwmp-1-0"
OUI, PRODUCT_CLASS = "001122", "HandWritten"
_numbers = itertools.count(1)


def new_serial() -> str:
    """A serial number that no other test has."""
    return f"HW{next(_numbers):06d}"


def device_id_of(serial: str) -> str:
    return f"{OUI}-{PRODUCT_CLASS}-{serial}"


def inform(
    serial: str,
    events: Sequence[str] = ("2 PERIODIC",),
    *,
    namespace: str = NAMESPACE,
    identifier: str = "1",
    values: Sequence[tuple[str, str]] = (),
) -> bytes:
    """An Inform with as little as may be."""
    structs = "".join(value(escape(name), f"<Value>{escape(text)}</Value>") for name, text in values)
    listed = f"<ParameterList>{structs}</ParameterList>" if values else ""
    told = "".join(f"<EventStruct><EventCode>{escape(each)}</EventCode></EventStruct>" for each in events)
    return envelope(
        f"<cwmp:Inform><DeviceId><Manufacturer>M</Manufacturer><OUI>{OUI}</OUI>"
        f"<ProductClass>{PRODUCT_CLASS}</ProductClass><SerialNumber>{escape(serial)}</SerialNumber></DeviceId>"
        f"<Event>{told}</Event>{listed}</cwmp:Inform>",
        header=f'<cwmp:ID s:mustUnderstand="1">{identifier}</cwmp:ID>' if identifier else "",
        namespace=namespace,
    )


def rpc(body: str, identifier: str = "") -> bytes:
    """Another message; `identifier` is that of the ACS's request when it is an answer."""
    return envelope(body, header=f'<cwmp:ID s:mustUnderstand="1">{escape(identifier)}</cwmp:ID>' if identifier else "")
