"""USB descriptors of an EC25 (USB 2.0 §9.6), in each composition that `AT+QCFG="usbnet"` chooses.

The QMI composition follows a public dump of an EC21/EC25: five interfaces, 14 endpoints, 209 bytes. The layouts of the
others are those of their classes (ECM 1.2, MBIM 1.0, RNDIS as rndis_host takes it), enough for a kernel to choose
its driver.
"""

from __future__ import annotations

import struct
from enum import IntEnum

VENDOR_ID, PRODUCT_ID, RELEASE = 0x2C7C, 0x0125, 0x0318
SERIAL_PORTS = 4
DATA_INTERFACE = 4
NETWORK_IN, NETWORK_OUT, NETWORK_NOTIFY = 0x88, 0x05, 0x89
SERIAL_IN = (0x81, 0x82, 0x84, 0x86)
SERIAL_OUT = (0x01, 0x02, 0x03, 0x04)
SERIAL_NOTIFY = (None, 0x83, 0x85, 0x87)
_DEVICE, _CONFIGURATION, _STRING, _QUALIFIER = 1, 2, 3, 6
_BULK, _INTERRUPT = 2, 3
_PACKET_BYTES = 512
_MAC_STRING = 4
STRINGS = {1: "Quectel, Incorporated", 2: "LTE Module", _MAC_STRING: "0250F4000001"}
_SERIAL_STRING = 3


class Composition(IntEnum):
    """`AT+QCFG="usbnet"`."""

    QMI = 0
    ECM = 1
    MBIM = 2
    RNDIS = 3


def _endpoint(address: int, kind: int, size: int, interval: int) -> bytes:
    return struct.pack("<BBBBHB", 7, 5, address, kind, size, interval)


def _bulk(address: int) -> bytes:
    return _endpoint(address, _BULK, _PACKET_BYTES, 0)


def _interface(number: int, endpoints: int, kind: tuple[int, int, int], alternate: int = 0) -> bytes:
    return bytes([9, 4, number, alternate, endpoints, *kind, 0])


def _functional(text: str) -> bytes:
    return bytes.fromhex(text)


# Header 1.10, call management, ACM capabilities, union with itself: what the module says of its vendor-class ports.
_SERIAL_FUNCTIONAL = _functional("05240010 01 05240100 00 04240202 05240600 00")
_HEADER = _functional("0524001001")
_UNION = _functional("0524060405")


def _serial_interfaces() -> bytes:
    found = _interface(0, 2, (0xFF, 0xFF, 0xFF)) + _bulk(SERIAL_IN[0]) + _bulk(SERIAL_OUT[0])
    for number, notify in enumerate(SERIAL_NOTIFY):
        if notify is not None:
            found += _interface(number, 3, (0xFF, 0, 0)) + _SERIAL_FUNCTIONAL + _endpoint(notify, _INTERRUPT, 10, 9)
            found += _bulk(SERIAL_IN[number]) + _bulk(SERIAL_OUT[number])
    return found


def _qmi() -> bytes:
    found = _interface(DATA_INTERFACE, 3, (0xFF, 0xFF, 0xFF)) + _endpoint(NETWORK_NOTIFY, _INTERRUPT, 8, 9)
    return found + _bulk(NETWORK_IN) + _bulk(NETWORK_OUT)


def _pair(control: tuple[int, int, int], functional: bytes, data: tuple[int, int, int], *, alternate: bool) -> bytes:
    """A control interface with its notifications, and a data interface beside it."""
    found = _interface(DATA_INTERFACE, 1, control) + functional + _endpoint(NETWORK_NOTIFY, _INTERRUPT, 16, 9)
    if alternate:
        found += _interface(DATA_INTERFACE + 1, 0, data)
    found += _interface(DATA_INTERFACE + 1, 2, data, int(alternate))
    return found + _bulk(NETWORK_IN) + _bulk(NETWORK_OUT)


def _ecm() -> bytes:
    ethernet = struct.pack("<BBBBIHHB", 13, 0x24, 0x0F, _MAC_STRING, 0, 1514, 0, 0)
    return _pair((2, 6, 0), _HEADER + _UNION + ethernet, (10, 0, 0), alternate=True)


def _mbim() -> bytes:
    function = struct.pack("<BBBHHBBHB", 12, 0x24, 0x1B, 0x0100, 4096, 32, 128, 1500, 0x20)
    return _pair((2, 14, 0), _HEADER + _UNION + function, (10, 0, 2), alternate=True)


def _rndis() -> bytes:
    return _pair((0xE0, 1, 3), _HEADER + _UNION, (10, 0, 0), alternate=False)


_DATA_FUNCTIONS = {Composition.QMI: _qmi, Composition.ECM: _ecm, Composition.MBIM: _mbim, Composition.RNDIS: _rndis}


def configuration_descriptor(composition: Composition) -> bytes:
    """The only configuration, with all that is below it; self-powered with remote wake-up, 500 mA."""
    body = _serial_interfaces() + _DATA_FUNCTIONS[composition]()
    interfaces = SERIAL_PORTS + (1 if composition is Composition.QMI else 2)
    return struct.pack("<BBHBBBBB", 9, _CONFIGURATION, 9 + len(body), interfaces, 1, 0, 0xA0, 250) + body


def interface_classes(composition: Composition) -> tuple[tuple[int, int, int], ...]:
    """Class, subclass and protocol of each interface's first setting, as USB/IP's list of devices wants them."""
    body, found, offset = configuration_descriptor(composition), [], 0
    while offset < len(body):
        if body[offset + 1] == 4 and body[offset + 3] == 0:
            found.append((body[offset + 5], body[offset + 6], body[offset + 7]))
        offset += body[offset]
    return tuple(found)


def descriptor(composition: Composition, serial: str | None, kind: int, index: int) -> bytes | None:
    """What GET_DESCRIPTOR is answered, in full; None: the device stalls. `serial` None: there is no iSerial, as with
    the module's stock firmware."""
    if kind == _DEVICE:
        serial_index = 0 if serial is None else _SERIAL_STRING
        identity = (VENDOR_ID, PRODUCT_ID, RELEASE)
        return struct.pack("<BBHBBBBHHHBBBB", 18, 1, 0x200, 0, 0, 0, 64, *identity, 1, 2, serial_index, 1)
    if kind == _CONFIGURATION and index == 0:
        return configuration_descriptor(composition)
    if kind == _QUALIFIER:
        return struct.pack("<BBHBBBBBB", 10, _QUALIFIER, 0x200, 0, 0, 0, 64, 1, 0)
    if kind == _STRING:
        return _string(serial, index)
    return None


def _string(serial: str | None, index: int) -> bytes | None:
    if index == 0:
        return struct.pack("<BBH", 4, _STRING, 0x0409)
    text = serial if index == _SERIAL_STRING else STRINGS.get(index)
    if text is None:
        return None
    encoded = text.encode("utf-16-le")
    return bytes([len(encoded) + 2, _STRING]) + encoded
