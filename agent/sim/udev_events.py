"""udev's events: the netlink datagrams that systemd-udevd sends and libudev's monitor receives.

Layout: systemd's src/libsystemd/sd-device/device-monitor.c, `monitor_netlink_header`; the numbers that a kernel filter
looks at (magic and hashes) are big-endian.
"""

from __future__ import annotations

import socket
import struct
import time

from agent.sim.sysfs import SysfsDevice

_NETLINK_KOBJECT_UEVENT = 15
_UDEV_GROUP = 2
_MAGIC = 0xFEED_CAFE
_HEADER_SIZE = 40


def murmur_hash2(data: bytes, seed: int = 0) -> int:
    """Austin Appleby's 32-bit MurmurHash2, with which libudev's filters find subsystem and devtype."""
    factor, mask = 0x5BD1_E995, 0xFFFF_FFFF
    state = (seed ^ len(data)) & mask
    whole = len(data) & ~3
    for (word,) in struct.iter_unpack("<I", data[:whole]):
        mixed = word * factor & mask
        mixed = (mixed ^ mixed >> 24) * factor & mask
        state = (state * factor & mask) ^ mixed
    if rest := data[whole:]:
        state = (state ^ int.from_bytes(rest, "little")) * factor & mask
    state = (state ^ state >> 13) * factor & mask
    return state ^ state >> 15


def render_event(properties: dict[str, str]) -> bytes:
    """One datagram; `properties` has at least ACTION, DEVPATH, SUBSYSTEM and SEQNUM."""
    body = b"".join(f"{key}={value}".encode() + b"\0" for key, value in properties.items())
    devtype = properties.get("DEVTYPE")
    return (
        b"libudev\0"
        + struct.pack(">I", _MAGIC)
        + struct.pack("=III", _HEADER_SIZE, _HEADER_SIZE, len(body))
        + struct.pack(
            ">IIII",
            murmur_hash2(properties["SUBSYSTEM"].encode()),
            murmur_hash2(devtype.encode()) if devtype else 0,
            0,
            0,
        )
        + body
    )


class UdevAnnouncer:
    """Sends events in the network namespace of the thread that makes it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_KOBJECT_UEVENT)
        self._socket.bind((0, 0))
        self._sequence = 0

    def announce(self, action: str, device: SysfsDevice) -> None:
        """Tell every listening monitor; that there is none is no error."""
        self._sequence += 1
        properties = {
            "ACTION": action,
            "DEVPATH": device.devpath,
            "SUBSYSTEM": device.subsystem,
            **device.kernel_properties,
            "SEQNUM": str(self._sequence),
            "USEC_INITIALIZED": str(time.monotonic_ns() // 1000),
            **device.properties,
        }
        if device.node is not None:
            properties["DEVNAME"] = f"/dev/{device.node}"
        try:
            self._socket.sendto(render_event(properties), (0, _UDEV_GROUP))
        except ConnectionRefusedError:
            return

    def close(self) -> None:
        self._socket.close()
