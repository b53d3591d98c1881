"""The networks around a virtual machine: its LAN, its uplink with the leak detector, and the backplane to its bus.

Three TAP devices that stay, for whoever starts the machine to open: `lan0` and `bus0` in the namespace of the LAN's
client, and `uplink0` in one of its own, where whatever arrives has left by the machine's uplink. Nothing is forwarded
between them.
"""

from __future__ import annotations

import socket

from agent.sim import links
from agent.sim.leaks import LeakDetector
from agent.sim.namespaces import NamespaceThread, NetworkNamespace
from agent.sim.tun import make_persistent_tap

LAN_TAP, BUS_TAP, UPLINK_TAP = "lan0", "bus0", "uplink0"
CLIENT_ADDRESS, GUEST_ADDRESS = "10.213.0.1", "10.213.0.2"
BUS_ADDRESS = "192.0.2.1"
_LAN = (f"{CLIENT_ADDRESS}/24",)
_BUS = (f"{BUS_ADDRESS}/30",)
_UPLINK = ("198.18.0.1/24", "fd00:213::1/64")
_BACKLOG = 256


class GuestNetwork:
    """Made in the farm's own process, with its event loop running."""

    def __init__(self, name: str) -> None:
        self.namespace = NetworkNamespace.create(f"lm-{name}-host")
        self._uplink = NetworkNamespace.create(f"lm-{name}-uplink")
        self.client = NamespaceThread(self.namespace.enter)
        self.roamer = NamespaceThread(self.namespace.enter)
        self.client.run_blocking(self._connect_client)
        self.leaks = self.roamer.run_blocking(self._connect_uplink)
        self.leaks.serve()

    def _connect_client(self) -> None:
        links.bring_up_loopback()
        for tap, addresses in ((LAN_TAP, _LAN), (BUS_TAP, _BUS)):
            make_persistent_tap(tap)
            links.set_up(tap, addresses)

    def _connect_uplink(self) -> LeakDetector:
        self._uplink.enter()
        links.bring_up_loopback()
        make_persistent_tap(UPLINK_TAP)
        links.set_up(UPLINK_TAP, _UPLINK)
        return LeakDetector()

    def listen(self, tcp_port: int) -> socket.socket:
        """A socket that listens on the backplane."""

        def work() -> socket.socket:
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            made.setblocking(False)
            made.bind((BUS_ADDRESS, tcp_port))
            made.listen(_BACKLOG)
            return made

        return self.client.run_blocking(work)

    def close(self) -> None:
        """Take the namespaces away, and the devices with them."""
        self.leaks.close()
        for thread in (self.roamer, self.client):
            thread.close()
        self._uplink.delete()
        self.namespace.delete()
