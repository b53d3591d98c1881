"""USB/IP messages without I/O (the kernel's Documentation/usb/usbip_protocol.rst); all numbers big-endian."""

from __future__ import annotations

import struct
from dataclasses import dataclass

VERSION = 0x0111
REQUEST_DEVICES, REPLY_DEVICES = 0x8005, 0x0005
REQUEST_IMPORT, REPLY_IMPORT = 0x8003, 0x0003
CMD_SUBMIT, CMD_UNLINK, RET_SUBMIT, RET_UNLINK = 1, 2, 3, 4
DIRECTION_OUT = 0
HIGH_SPEED = 3
OK, FAILED = 0, 1
EPIPE, ECONNRESET = -32, -104
OPERATION = struct.Struct(">HHI")
HEADER = struct.Struct(">IIIIIIiiii8s")
"""Of an URB: command, sequence number, device, direction, endpoint; then, for a submit: transfer flags, length, start
frame, packets, interval, setup packet. For an unlink the sixth field is the other URB's sequence number."""
_RETURN = struct.Struct(">IIIIIiiiii8x")
BUS_ID_BYTES = 32
LARGEST_TRANSFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedDevice:
    """What the list of devices and an import say of one."""

    bus_id: str
    bus_number: int
    device_number: int
    vendor_id: int
    product_id: int
    release: int
    configured: bool
    interfaces: tuple[tuple[int, int, int], ...]


def render_device(device: ExportedDevice, *, with_interfaces: bool) -> bytes:
    """`struct usbip_usb_device`, and its interfaces where a list wants them."""
    path = f"/sys/devices/emulated/{device.bus_id}".encode()
    text = path.ljust(256, b"\0") + device.bus_id.encode().ljust(BUS_ID_BYTES, b"\0")
    text += struct.pack(">III", device.bus_number, device.device_number, HIGH_SPEED)
    text += struct.pack(">HHH", device.vendor_id, device.product_id, device.release)
    text += bytes([0, 0, 0, int(device.configured), 1, len(device.interfaces)])
    if with_interfaces:
        text += b"".join(bytes([*kind, 0]) for kind in device.interfaces)
    return text


def render_devices(devices: list[ExportedDevice]) -> bytes:
    """The answer to a request for the list."""
    head = OPERATION.pack(VERSION, REPLY_DEVICES, OK) + struct.pack(">I", len(devices))
    return head + b"".join(render_device(device, with_interfaces=True) for device in devices)


def render_import(device: ExportedDevice | None) -> bytes:
    """The answer to an import; None refuses it."""
    if device is None:
        return OPERATION.pack(VERSION, REPLY_IMPORT, FAILED)
    return OPERATION.pack(VERSION, REPLY_IMPORT, OK) + render_device(device, with_interfaces=False)


def render_return(sequence: int, status: int, length: int) -> bytes:
    """RET_SUBMIT without its data; `length` bytes were transferred."""
    return _RETURN.pack(RET_SUBMIT, sequence, 0, 0, 0, status, length, 0, 0, 0)


def render_unlinked(sequence: int, status: int) -> bytes:
    """RET_UNLINK; status ECONNRESET: the URB will not be answered, 0: it was already."""
    return _RETURN.pack(RET_UNLINK, sequence, 0, 0, 0, status, 0, 0, 0, 0)
