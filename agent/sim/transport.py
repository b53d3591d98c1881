"""How a farm's modems reach the machine that has them: one emulator, several transports."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from agent.core.errors import ConfigError
from agent.core.identifiers import Slot
from agent.sim.carrier import Carrier
from agent.sim.ec25.profile import Profile
from agent.sim.host import Host
from agent.sim.leaks import LeakDetector
from agent.sim.modem import EmulatedModem
from agent.sim.namespaces import NamespaceThread
from agent.sim.pty_modem import PtyModem
from agent.sim.records import FarmInfo
from agent.sim.usb_topology import slot_of


class Transport(Protocol):
    """What a farm needs of the place where its modems appear."""

    @property
    def leaks(self) -> LeakDetector: ...

    @property
    def roamer(self) -> NamespaceThread:
        """A thread that may move to any network namespace."""

    def info(self, pid: int) -> FarmInfo:
        """Where the farm of that process is."""

    def slot(self, number: int) -> str:
        """The `number`-th place for a modem (1 is the first)."""

    def parse_slot(self, text: str) -> str:
        """A place that somebody names; ConfigError when there is none such."""

    def make_modem(self, index: int, carrier: Carrier, profile: Profile, busy: asyncio.Lock) -> EmulatedModem: ...

    async def start(self) -> None: ...

    async def call(self, method: str) -> Any:
        """What only this transport can be asked; ConfigError for anything else."""

    async def close(self) -> None:
        """Take everything away; the modems must be gone."""


class PtyTransport:
    """The emulated host: a program in its namespaces finds the modems in /sys, /dev and udev's events."""

    def __init__(self, name: str, host: Host) -> None:
        self._name = name
        self._host = host

    @property
    def leaks(self) -> LeakDetector:
        return self._host.leaks

    @property
    def roamer(self) -> NamespaceThread:
        return self._host.roamer

    def info(self, pid: int) -> FarmInfo:
        host = self._host
        return FarmInfo(
            name=self._name,
            pid=pid,
            mount_namespace=f"/proc/{pid}/task/{host.mounts.thread_id}/ns/mnt",
            root=f"/proc/{pid}/task/{host.mounts.thread_id}/root",
            network_namespace=str(host.namespace.path),
            host_address=host.address,
            client_address=host.client_address,
            lan_link=host.lan_link,
        )

    def slot(self, number: int) -> str:
        return slot_of(number)

    def parse_slot(self, text: str) -> str:
        return str(Slot.parse(text))

    def make_modem(self, index: int, carrier: Carrier, profile: Profile, busy: asyncio.Lock) -> EmulatedModem:
        return PtyModem(index, self._host, carrier, profile, busy)

    async def start(self) -> None:
        return

    async def call(self, method: str) -> Any:
        raise ConfigError(f"the farm knows no {method!r}")

    async def close(self) -> None:
        self._host.close()
