"""The DIAG port: enough of Qualcomm's protocol to be recognised (libqcdm's commands.c and hdlc).

A frame is a command with its arguments, its CRC (ITU-T X.25, little-endian), and 7E; 7D escapes both bytes within.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from agent.sim.ec25.firmware import Firmware, Power

_END, _ESCAPE, _FLIP = 0x7E, 0x7D, 0x20
_LONGEST_FRAME = 2048
_VERSION_INFO, _BAD_COMMAND = 0x00, 0x13
_VERSION = struct.Struct("<B11s8s11s8s8sBBBHBBB")


def _crc(data: bytes) -> bytes:
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
    return (value ^ 0xFFFF).to_bytes(2, "little")


def render_frame(body: bytes) -> bytes:
    """The body with its CRC, escaped and ended."""
    sent = bytearray()
    for byte in body + _crc(body):
        sent += bytes([_ESCAPE, byte ^ _FLIP]) if byte in (_END, _ESCAPE) else bytes([byte])
    return bytes([*sent, _END])


def parse_frame(frame: bytes) -> bytes | None:
    """The body of what stood between two ends; None when it is damaged."""
    found, escaped = bytearray(), False
    for byte in frame:
        if byte == _ESCAPE and not escaped:
            escaped = True
        else:
            found.append(byte ^ _FLIP if escaped else byte)
            escaped = False
    body, crc = bytes(found[:-2]), bytes(found[-2:])
    return body if body and not escaped and crc == _crc(body) else None


class DiagPort:
    """Feed `receive` with what the host writes; answers go to `write`."""

    def __init__(self, firmware: Firmware, write: Callable[[bytes], None]) -> None:
        self.hung = False
        """Answers nothing more."""
        self._firmware = firmware
        self._write = write
        self._pending = bytearray()

    def receive(self, data: bytes) -> None:
        """The host wrote `data`."""
        if self.hung or self._firmware.power is not Power.ON:
            return
        self._pending += data
        while (end := self._pending.find(_END)) >= 0:
            frame = bytes(self._pending[:end])
            del self._pending[: end + 1]
            if (body := parse_frame(frame)) is not None:
                self._write(render_frame(_answer(body)))
        if len(self._pending) > _LONGEST_FRAME:
            self._pending.clear()


def _answer(request: bytes) -> bytes:
    if request[0] != _VERSION_INFO:
        return bytes([_BAD_COMMAND]) + request
    built = (b"Mar 21 2019", b"09:00:00")
    return _VERSION.pack(_VERSION_INFO, *built, *built, b"EC25", 0, 6, 0, 1, 2, 0, 0)
