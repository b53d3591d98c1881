"""The transport whose modems appear in a virtual machine."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from agent.core.errors import ConfigError, TransientError
from agent.sim.carrier import Carrier
from agent.sim.ec25.profile import Profile
from agent.sim.leaks import LeakDetector
from agent.sim.modem import EmulatedModem
from agent.sim.namespaces import NamespaceThread
from agent.sim.records import FarmInfo, GuestStatus
from agent.sim.usbip.guest_link import GuestLink
from agent.sim.usbip.modem import UsbipModem
from agent.sim.usbip.network import CLIENT_ADDRESS, GUEST_ADDRESS, LAN_TAP, GuestNetwork
from agent.sim.usbip.server import UsbipServer

USBIP_TCP_PORT, CONTROL_TCP_PORT = 3240, 3241
PORTS_OF_A_CONTROLLER, CONTROLLERS = 15, 8
"""High-speed ports of Debian's vhci-hcd, and how many such controllers it makes (CONFIG_USBIP_VHCI_*)."""


def slot_at(position: int) -> str:
    """USB path of the `position`-th port (0 is the first) in a guest without other controllers, where each virtual one
    has a root hub for high speed and then one for super speed."""
    controller, port = divmod(position, PORTS_OF_A_CONTROLLER)
    return f"{2 * controller + 1}-{port + 1}"


class UsbipTransport:
    """Networks, servers and modems of one farm."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._network = GuestNetwork(name)
        self._guest = GuestLink(self._guest_arrived)
        self._modems: list[UsbipModem] = []
        self._server = UsbipServer(lambda: list(self._modems))
        self._positions = {slot_at(position): position for position in range(PORTS_OF_A_CONTROLLER * CONTROLLERS)}
        self._arrival: asyncio.Task[None] | None = None
        self._without_power: list[UsbipModem] = []

    @property
    def leaks(self) -> LeakDetector:
        return self._network.leaks

    @property
    def roamer(self) -> NamespaceThread:
        return self._network.roamer

    def info(self, pid: int) -> FarmInfo:
        task = f"/proc/{pid}/task/{self._network.client.thread_id}"
        return FarmInfo(
            name=self._name,
            pid=pid,
            mount_namespace=f"{task}/ns/mnt",
            root=f"{task}/root",
            network_namespace=str(self._network.namespace.path),
            host_address=GUEST_ADDRESS,
            client_address=CLIENT_ADDRESS,
            lan_link=LAN_TAP,
        )

    def slot(self, number: int) -> str:
        return slot_at(number - 1)

    def parse_slot(self, text: str) -> str:
        if text not in self._positions:
            raise ConfigError(f"no slot {text!r}: the virtual controllers have {slot_at(0)} to {slot_at(119)}")
        return text

    def make_modem(self, index: int, carrier: Carrier, profile: Profile, busy: asyncio.Lock) -> EmulatedModem:
        modem = UsbipModem(index, self._guest, self._positions, carrier, profile, busy)
        self._modems.append(modem)
        return modem

    async def start(self) -> None:
        await self._server.start(self._network.listen(USBIP_TCP_PORT))
        await self._guest.start(self._network.listen(CONTROL_TCP_PORT))

    async def call(self, method: str) -> Any:
        if method == "guest":
            attached = tuple(modem.index for modem in self._modems if modem.configured)
            told = GuestStatus(connected=self._guest.connected, boot_id=self._guest.boot_id, attached=attached)
            return asdict(told)
        if method == "outage":
            return await self._outage()
        raise ConfigError(f"the farm knows no {method!r}")

    async def close(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
        await self._guest.close()
        await self._server.close()
        self._network.close()

    # -- the guest

    async def _outage(self) -> None:
        """The power of the whole rack is gone."""
        self._without_power = [modem for modem in self._modems if await modem.take_power()]

    def _guest_arrived(self) -> None:
        """It has booted, or its daemon was started again: whatever an earlier one had is not there any more."""
        self._server.drop_all()
        if self._arrival is not None:
            self._arrival.cancel()
        self._arrival = asyncio.get_running_loop().create_task(self._show_everything())
        self._arrival.add_done_callback(self._shown)

    async def _show_everything(self) -> None:
        failures = []
        for modem in self._modems:
            try:
                if modem in self._without_power:
                    self._without_power.remove(modem)
                    await modem.give_power()
                await modem.attach()
            except TransientError as error:
                failures.append(str(error))
        if failures:
            raise TransientError("; ".join(failures))

    def _shown(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, TransientError) and not self._guest.connected:
            # It went while it was told of the modems; the next one is told of all of them.
            return
        asyncio.get_running_loop().call_exception_handler(
            {"message": "the guest was not shown all modems", "exception": error, "task": task}
        )
