"""QMUX frames and their TLVs, both ways, without I/O (libqmi's qmi-message.c; all numbers little-endian).

01 | length 2 | flags 1 | service 1 | client 1 | SDU: control flags 1, transaction 1 or 2, message 2, length 2, TLVs
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

_MARKER = 0x01
_FROM_MODEM = 0x80
_SMALLEST = 6


class Service(IntEnum):
    """QMI services that an EC25's data agent meets."""

    CTL = 0x00
    WDS = 0x01
    DMS = 0x02
    NAS = 0x03
    UIM = 0x0B
    WDA = 0x1A


class QmiFault(IntEnum):
    """Protocol errors (libqmi, QmiProtocolError)."""

    MALFORMED_MESSAGE = 1
    CLIENT_IDS_EXHAUSTED = 5
    INVALID_CLIENT_ID = 7
    INVALID_HANDLE = 9
    INCORRECT_PIN = 12
    CALL_FAILED = 14
    OUT_OF_CALL = 15
    NOT_PROVISIONED = 16
    MISSING_ARGUMENT = 17
    NO_EFFECT = 26
    NO_FREE_PROFILE = 27
    INVALID_PDP_TYPE = 28
    PIN_BLOCKED = 35
    PIN_ALWAYS_BLOCKED = 36
    INVALID_ARGUMENT = 48
    DEVICE_NOT_READY = 52
    NETWORK_NOT_READY = 53
    INVALID_QMI_COMMAND = 71
    INFORMATION_UNAVAILABLE = 74
    SIM_FILE_NOT_FOUND = 80
    EXTENDED_INTERNAL = 81
    ACCESS_DENIED = 82
    NOT_SUPPORTED = 94
    NO_SIM = 102
    PIN_RESTRICTION = 104


Tlvs = tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a control point asks."""

    service: int
    client: int
    transaction: int
    message: int
    tlvs: dict[int, bytes]


class QmuxDecoder:
    """Cuts a byte stream into requests; what is no frame is skipped, a frame that makes no sense is dropped."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> list[Request]:
        """Take bytes and return the requests that are complete."""
        self._buffer += data
        found: list[Request] = []
        while True:
            start = self._buffer.find(_MARKER)
            if start < 0:
                self._buffer.clear()
                return found
            del self._buffer[:start]
            if len(self._buffer) < 3:
                return found
            size = int.from_bytes(self._buffer[1:3], "little") + 1
            if len(self._buffer) < size:
                return found
            frame = bytes(self._buffer[:size])
            del self._buffer[:size]
            try:
                found.append(_parse_frame(frame))
            except (struct.error, IndexError):
                continue


def _parse_frame(frame: bytes) -> Request:
    _flags, service, client = struct.unpack_from("<BBB", frame, 3)
    layout = "<BBHH" if service == Service.CTL else "<BHHH"
    _control, transaction, message, length = struct.unpack_from(layout, frame, _SMALLEST)
    body = frame[_SMALLEST + struct.calcsize(layout) :][:length]
    tlvs, offset = {}, 0
    while offset < len(body):
        kind, size = struct.unpack_from("<BH", body, offset)
        tlvs[kind] = body[offset + 3 : offset + 3 + size]
        offset += 3 + size
    return Request(service=service, client=client, transaction=transaction, message=message, tlvs=tlvs)


def render_response(request: Request, tlvs: Tlvs, fault: int = 0) -> bytes:
    """The answer to a request: its result, then `tlvs`."""
    result = (0x02, struct.pack("<HH", 1 if fault else 0, fault))
    flags = 0x01 if request.service == Service.CTL else 0x02
    return _frame(request.service, request.client, flags, request.transaction, request.message, (result, *tlvs))


def render_indication(service: int, client: int, message: int, tlvs: Tlvs) -> bytes:
    """Something the modem says by itself to one client."""
    return _frame(service, client, 0x02 if service == Service.CTL else 0x04, 0, message, tlvs)


def _frame(service: int, client: int, flags: int, transaction: int, message: int, tlvs: Tlvs) -> bytes:
    body = b"".join(struct.pack("<BH", kind, len(value)) + value for kind, value in tlvs)
    layout = "<BBHH" if service == Service.CTL else "<BHHH"
    sdu = struct.pack(layout, flags, transaction, message, len(body)) + body
    return struct.pack("<BHBBB", _MARKER, len(sdu) + 5, _FROM_MODEM, service, client) + sdu
