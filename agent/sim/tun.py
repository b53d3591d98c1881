"""TUN and TAP devices (the kernel's Documentation/networking/tuntap.rst), made where the calling thread is."""

from __future__ import annotations

import fcntl
import os
import struct

_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_IFF_TUN, _IFF_TAP, _IFF_NO_PI = 0x0001, 0x0002, 0x1000
_REQUEST = struct.Struct("16sH22x")


def open_tun(name: str) -> int:
    """A TUN device, as a descriptor that does not block: one IP packet a read or write. It goes with the descriptor."""
    return _open(name, _IFF_TUN | _IFF_NO_PI)


def open_tap(name: str) -> int:
    """A TAP device, which may be there already, as a descriptor that does not block: one Ethernet frame a read or
    write."""
    return _open(name, _IFF_TAP | _IFF_NO_PI)


def make_persistent_tap(name: str) -> None:
    """A TAP device that stays when nobody has it open: whoever opens it next gets its Ethernet frames."""
    descriptor = open_tap(name)
    try:
        fcntl.ioctl(descriptor, _TUNSETPERSIST, 1)
    finally:
        os.close(descriptor)


def _open(name: str, flags: int) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, _REQUEST.pack(name.encode(), flags))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
