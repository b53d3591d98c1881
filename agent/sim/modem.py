"""One emulated modem of a farm, on whatever kind of bus: firmware, carrier, ports, and how it comes and goes."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from agent.core.errors import InvariantError
from agent.sim.carrier import Carrier
from agent.sim.ec25.at_channel import AtChannel
from agent.sim.ec25.bearers import CLIENT_END
from agent.sim.ec25.diag import DiagPort
from agent.sim.ec25.firmware import Firmware, Owner, Power
from agent.sim.ec25.profile import Profile
from agent.sim.ec25.qmi_port import QmiPort
from agent.sim.ec25.sim_card import SimCard
from agent.sim.records import ModemStatus

Receive = Callable[[bytes], None]


def imei_of(index: int) -> str:
    """A 15-digit IMEI, with its check digit (3GPP TS 23.003 annex B), for modem `index`."""
    body = f"86758604{index:06d}"
    total = 0
    for place, digit in enumerate(body):
        value = int(digit) * (2 if place % 2 else 1)
        total += value // 10 + value % 10
    return f"{body}{-total % 10}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """What the host calls a modem's ports now; None for what it does not have, or what only the host knows."""

    at: str | None = None
    qmi: str | None = None
    link_name: str | None = None
    link_index: int | None = None


class EmulatedModem(ABC):
    """A device with an IMEI and a SIM, plugged or not. Its methods are called one at a time (the farm's lock).

    A kind of bus adds how the device appears, disappears and gets its ports anew."""

    def __init__(self, index: int, carrier: Carrier, profile: Profile, busy: asyncio.Lock) -> None:
        self.index = index
        self.carrier = carrier
        self.faults: dict[str, str] = {}
        """Active faults, and until what they last: cleared, usb_reset or reboot."""
        self.slot: str | None = None
        self.home_slot: str | None = None
        """Where it was last plugged in."""
        sim = SimCard(iccid=f"894901000000000{index:04d}", imsi=f"26201{index:010d}")
        owner = Owner(
            reboot=lambda: self.firmware.clockwork.spawn(self._reboot(), outlives_power=True),
            power_off=lambda: self.firmware.clockwork.spawn(self._power_off(), outlives_power=True),
        )
        self.firmware = Firmware(
            imei=imei_of(index), sim=sim, seed=index, profile=profile, carrier=carrier, owner=owner
        )
        self.at: AtChannel | None = None
        self.at_secondary: AtChannel | None = None
        self.qmi: QmiPort | None = None
        self.diag: DiagPort | None = None
        self.usb_serial: str | None = None
        """iSerial; None: there is none, as with the stock firmware."""
        self.returning = False
        """Off the bus for a reboot: it comes back by itself."""
        self._busy = busy

    # -- what a kind of bus does

    @abstractmethod
    async def _appear(self, slot: str) -> None:
        """Be on the bus in that slot, with every port."""

    @abstractmethod
    async def _disappear(self, *, announce: bool) -> None:
        """Be gone; without `announce` the host is not told."""

    @abstractmethod
    async def _renew_ports(self) -> None:
        """The ports go and come back: a USB reset."""

    @abstractmethod
    async def hang_open(self) -> None:
        """Whoever opens the AT_PRIMARY port waits."""

    @abstractmethod
    async def unhang_open(self) -> None:
        """The port opens again."""

    @abstractmethod
    def _nodes(self) -> Nodes:
        """What the host calls the ports."""

    def _lost(self) -> int:
        """Pieces of what the ports said and the host did not read in time."""
        return 0

    # -- on and off the bus

    async def plug(self, slot: str) -> None:
        """Appear in the slot and boot; every number is new."""
        if self.slot is not None:
            raise InvariantError(f"modem {self.index} is in slot {self.slot} already")
        self.returning = False
        self.end_faults_until("usb_reset", "reboot")
        self.slot = self.home_slot = slot
        await self._appear(slot)
        self.firmware.power_on()

    async def unplug(self, *, announce: bool = True) -> None:
        """Go from the bus; without `announce` the host is not told of it."""
        if self.slot is None:
            raise InvariantError(f"modem {self.index} is not plugged in")
        self.slot = None
        await self.firmware.power_off()
        await self._disappear(announce=announce)

    async def usb_reset(self) -> None:
        """The host deauthorised and authorised the device: its ports go and come back; the firmware runs on, but no
        bearer outlives the ports it was for."""
        if self.slot is None:
            return
        await self.firmware.bearers.end_all(CLIENT_END, by_network=False)
        await self._renew_ports()

    def end_faults_until(self, *events: str) -> None:
        """Forget the faults that last until one of `events`; the ports that come back next are well."""
        for name in [name for name, until in self.faults.items() if until in events]:
            del self.faults[name]

    async def _reboot(self) -> None:
        async with self._busy:
            slot = self.slot
            if slot is None:
                return
            await self.unplug()
            self.returning = True
        await asyncio.sleep(self.firmware.profile.reboot_seconds)
        async with self._busy:
            if self.returning:
                await self.plug(slot)

    async def give_power(self) -> None:
        """Be plugged in where it was, when it is not: the power is back."""
        async with self._busy:
            if self.slot is None and self.home_slot is not None:
                await self.plug(self.home_slot)

    async def take_power(self) -> bool:
        """Be gone from the bus, and stay away from it; False when it was not there and was not to come back."""
        async with self._busy:
            returning, self.returning = self.returning, False
            if self.slot is None:
                return returning
            await self.unplug()
            return True

    async def _power_off(self) -> None:
        async with self._busy:
            if self.slot is not None:
                await self.unplug()

    # -- ports

    def _open_channels(self, diag: Receive, at: Receive, at_secondary: Receive, qmi: Receive | None) -> None:
        """Give the firmware its ports; each argument is what writes to one of them. Faults of ports are there again."""
        self.diag = DiagPort(self.firmware, diag)
        self.at = AtChannel(self.firmware, at, urcs=True)
        self.at_secondary = AtChannel(self.firmware, at_secondary, urcs=False)
        self.diag.hung = self.at.hung = self.at_secondary.hung = "hang" in self.faults
        self.at.garbled = "garble" in self.faults
        if qmi is not None:
            self.qmi = QmiPort(self.firmware, qmi)
            self.qmi.hung = "qmi_hang" in self.faults

    def _close_channels(self) -> None:
        """The ports are gone; none is no error."""
        for port in (self.at, self.at_secondary, self.qmi):
            if port is not None:
                port.close()
        self.diag = self.at = self.at_secondary = self.qmi = None

    # -- what others may know

    def status(self) -> ModemStatus:
        nodes = self._nodes()
        bearers = self.firmware.bearers
        addresses = (bearers.settings(family) for family in bearers.families)
        return ModemStatus(
            modem=self.index,
            imei=self.firmware.imei,
            iccid=self.firmware.sim.iccid,
            slot=self.slot,
            at_node=nodes.at,
            qmi_node=nodes.qmi,
            link_name=nodes.link_name,
            link_index=nodes.link_index,
            registered=self.firmware.registered and self.firmware.power is Power.ON,
            addresses=tuple(str(each.interface.ip) for each in addresses if each is not None),
            qmi_clients={} if self.qmi is None else self.qmi.clients,
            faults=tuple(sorted(self.faults)),
            pin_tries_left=self.firmware.sim.pin_tries_left,
            pins_entered=self.firmware.sim.pins_entered,
            lost=self._lost(),
        )
