"""The emulated host: its network and mount namespaces, its sysfs and udev, its LAN and its uplink."""

from __future__ import annotations

import heapq
import zlib
from collections import defaultdict
from ipaddress import IPv4Network
from pathlib import Path

from agent.core.errors import ConfigError
from agent.sim import links, machine
from agent.sim.inotify import WriteWatcher
from agent.sim.leaks import LeakDetector
from agent.sim.namespaces import NamespaceThread, NetworkNamespace
from agent.sim.sysfs import SysfsTree
from agent.sim.udev_events import UdevAnnouncer

LAN_LINK, UPLINK = "lan0", "uplink0"
_UPLINK_HOST = ("198.18.0.2/24", "fd00:213::2/64")
_UPLINK_GATEWAY = ("198.18.0.1/24", "fd00:213::1/64")
# Strict reverse path filtering is what some distributions start with; the agent has to deal with it.
_SYSCTL = {"ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "1"}


class Numbers:
    """Numbers given out lowest first, as the kernel numbers ports and links."""

    def __init__(self) -> None:
        self._returned: dict[str, list[int]] = defaultdict(list)
        self._next: dict[str, int] = defaultdict(int)

    def take(self, kind: str) -> int:
        """The lowest number of that kind that is free."""
        if self._returned[kind]:
            return heapq.heappop(self._returned[kind])
        self._next[kind] += 1
        return self._next[kind] - 1

    def give_back(self, kind: str, number: int) -> None:
        heapq.heappush(self._returned[kind], number)

    def count(self, kind: str) -> int:
        """The next number of a kind that never goes back: USB device numbers."""
        self._next[kind] += 1
        return self._next[kind]


def lan_for(name: str, taken: tuple[IPv4Network, ...]) -> IPv4Network:
    """A /24 of 10.213.0.0/16 for a farm of that name that meets none of the `taken` networks."""
    first = zlib.crc32(name.encode()) % 256
    for step in range(256):
        network = IPv4Network(f"10.213.{(first + step) % 256}.0/24")
        if not any(network.overlaps(each) for each in taken):
            return network
    raise ConfigError("no free network is left in 10.213.0.0/16 for the farm's LAN")


class Host:
    """Made in the farm's own process; what needs a namespace runs in that namespace's thread."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.numbers = Numbers()
        self.tree = SysfsTree(directory / "sys", directory / "run-udev")
        self.namespace = NetworkNamespace.create(f"lm-{name}-host", _SYSCTL)
        self._uplink = NetworkNamespace.create(f"lm-{name}-uplink")
        self.network = NamespaceThread(self.namespace.enter)
        self.roamer = NamespaceThread(self.namespace.enter)
        """A thread that moves to the namespace it is needed in."""
        self.mounts = NamespaceThread(lambda: machine.enter_new_machine(self.tree.sys, self.tree.udev))
        self._machine = NamespaceThread(lambda: None)
        """Netlink of this machine itself; its library cannot be used beside a running event loop."""
        self.announcer = self.network.run_blocking(UdevAnnouncer)
        self.watcher = WriteWatcher()
        self.lan_link = f"lm-{name}"
        self._connect()

    def _connect(self) -> None:
        lan = self._machine.run_blocking(self._connect_machine)
        self.client_address, self.address = str(lan[1]), str(lan[2])
        self.network.run_blocking(self._connect_host)
        self.leaks = self.roamer.run_blocking(self._connect_uplink)
        self.network.run_blocking(lambda: links.add_default_routes(("198.18.0.1", "fd00:213::1")))
        self.leaks.serve()

    def _connect_machine(self) -> IPv4Network:
        links.delete_link(self.lan_link)
        lan = lan_for(self.name, links.ipv4_networks())
        links.add_pair(self.lan_link, LAN_LINK, self.namespace.descriptor)
        links.set_up(self.lan_link, (f"{lan[1]}/24",))
        return lan

    def _connect_host(self) -> None:
        links.bring_up_loopback()
        links.set_up(LAN_LINK, (f"{self.address}/24",))
        links.add_pair(UPLINK, "leak0", self._uplink.descriptor)
        links.set_up(UPLINK, _UPLINK_HOST)

    def _connect_uplink(self) -> LeakDetector:
        self._uplink.enter()
        links.bring_up_loopback()
        links.set_up("leak0", _UPLINK_GATEWAY)
        return LeakDetector()

    def close(self) -> None:
        """Take the namespaces and links away; the modems must be gone, and the programs inside ended."""
        self.leaks.close()
        self.watcher.close()
        self.announcer.close()
        self._machine.run_blocking(lambda: links.delete_link(self.lan_link))
        for thread in (self.mounts, self.roamer, self.network, self._machine):
            thread.close()
        self._uplink.delete()
        self.namespace.delete()
