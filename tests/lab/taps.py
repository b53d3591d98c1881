"""The three links of a VM: taps in network namespaces, opened there and handed to QEMU as file descriptors.

The farm makes them persistent in its own namespaces; a VM that needs no farm gets some of its own, which go with it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from agent.sim import kernel, links
from agent.sim.namespaces import NAMES, NamespaceThread
from tests.lab.machine import LabError

_T = TypeVar("_T")
_TUNSETIFF = 0x4004_54CA
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000

LAN, UPLINK, BUS = "lan0", "uplink0", "bus0"
HOST_ADDRESSES = {LAN: ("10.213.0.1/24",), UPLINK: ("198.18.0.1/24", "fd00:213::1/64"), BUS: ("192.0.2.1/30",)}
"""The near side of each link. The guest has .2 and ::2 of the same networks (tests/lab/image/root)."""


def open_tap(name: str) -> int:
    """A descriptor of the tap in the calling thread's network namespace, which is made when there is none.

    With virtio's header, so that checksums need not be computed by an emulated processor."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(
            descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR)
        )
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class Taps:
    """Open descriptors for eth0, eth1 and eth2, until `close`."""

    def __init__(self, descriptors: tuple[int, int, int], threads: tuple[NamespaceThread, ...] = ()) -> None:
        self.descriptors = descriptors
        self._threads = threads

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        for thread in self._threads:
            thread.close()

    def run(self, work: Callable[[], _T]) -> _T:
        """Do `work` in the namespace where the links' near ends are: for taps of one's own only."""
        return self._threads[0].run_blocking(work)


def own_taps() -> Taps:
    """All three in one new namespace without a name."""
    thread = NamespaceThread(lambda: kernel.unshare(kernel.CLONE_NEWNET))
    try:
        return Taps(thread.run_blocking(_make_all), (thread,))
    except BaseException:
        thread.close()
        raise


def _make_all() -> tuple[int, int, int]:
    links.bring_up_loopback()
    descriptors = (open_tap(LAN), open_tap(UPLINK), open_tap(BUS))
    for name, addresses in HOST_ADDRESSES.items():
        links.set_up(name, addresses)
    return descriptors


def farm_taps(farm_name: str) -> Taps:
    """Those that the farm of that name has made."""
    places = {LAN: "host", UPLINK: "uplink", BUS: "host"}
    opened = {}
    for name, place in places.items():
        with _in_namespace(f"lm-{farm_name}-{place}") as thread:
            opened[name] = thread.run_blocking(partial(_open_existing, name))
    return Taps((opened[LAN], opened[UPLINK], opened[BUS]))


def _open_existing(name: str) -> int:
    # Else a mistyped name would make a tap that leads nowhere.
    if name not in {found for _, found in socket.if_nameindex()}:
        raise LabError(f"the farm has no link {name}")
    return open_tap(name)


@contextmanager
def _in_namespace(name: str) -> Iterator[NamespaceThread]:
    descriptor = os.open(NAMES / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        thread = NamespaceThread(lambda: kernel.setns(descriptor, kernel.CLONE_NEWNET))
        try:
            yield thread
        finally:
            thread.close()
    finally:
        os.close(descriptor)
