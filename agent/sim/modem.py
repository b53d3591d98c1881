"""One emulated modem in the farm: firmware, carrier, and how it comes to and goes from the emulated host's bus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from agent.core.errors import InvariantError
from agent.sim import links, machine
from agent.sim.carrier import Carrier
from agent.sim.ec25.at_channel import AtChannel
from agent.sim.ec25.bearers import CLIENT_END
from agent.sim.ec25.firmware import Firmware, Owner, Power
from agent.sim.ec25.profile import Profile
from agent.sim.ec25.qmi_port import QmiPort
from agent.sim.ec25.sim_card import SimCard
from agent.sim.host import Host
from agent.sim.open_hang import OpenHang
from agent.sim.records import ModemStatus
from agent.sim.sysfs import SysfsDevice
from agent.sim.terminal import Terminal
from agent.sim.usb_topology import AT_PRIMARY, AT_SECONDARY, SERIAL_PORTS, Numbers, Topology

_Receive = Callable[[bytes], None]


def imei_of(index: int) -> str:
    """A 15-digit IMEI, with its check digit (3GPP TS 23.003 annex B), for modem `index`."""
    body = f"86758604{index:06d}"
    total = 0
    for place, digit in enumerate(body):
        value = int(digit) * (2 if place % 2 else 1)
        total += value // 10 + value % 10
    return f"{body}{-total % 10}"


class EmulatedModem:
    """A device with an IMEI and a SIM, plugged or not. Its methods are called one at a time (the farm's lock)."""

    def __init__(self, index: int, host: Host, carrier: Carrier, profile: Profile, busy: asyncio.Lock) -> None:
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
        self.hung_open: OpenHang | None = None
        self.returning = False
        """Off the bus for a reboot: it comes back by itself."""
        self._resetting = False
        self._host = host
        self._busy = busy
        self._topology: Topology | None = None
        self._terminals: list[tuple[str, Terminal]] = []

    # -- on and off the bus

    async def plug(self, slot: str) -> None:
        """Appear in the slot and boot; every number is new."""
        if self.slot is not None:
            raise InvariantError(f"modem {self.index} is in slot {self.slot} already")
        self.returning = False
        self.end_faults_until("usb_reset", "reboot")
        self.slot = self.home_slot = slot
        topology = await self._enumerate(slot)
        for ancestor in topology.ancestors():
            if not self._host.tree.directory(ancestor).exists():
                self._host.tree.add(ancestor)
        self._add((topology.device, *topology.interfaces))
        authorized = self._host.tree.directory(topology.device) / "authorized"
        self._host.watcher.watch(authorized, partial(self._authorized_written, authorized))
        self.firmware.power_on()

    async def unplug(self, *, announce: bool = True) -> None:
        """Go from the bus; without `announce` udev says nothing of it."""
        if self.slot is None or self._topology is None:
            raise InvariantError(f"modem {self.index} is not plugged in")
        topology, self.slot = self._topology, None
        await self.firmware.power_off()
        await self._take_away((topology.device, *topology.interfaces), announce=announce)

    async def usb_reset(self) -> None:
        """The host deauthorised and authorised the device: its ports go and come back; the firmware runs on, but no
        bearer outlives the ports it was for."""
        if self.slot is None or self._topology is None:
            return
        slot = self.slot
        await self.firmware.bearers.end_all(CLIENT_END, by_network=False)
        await self._take_away(self._topology.interfaces, announce=True)
        self.end_faults_until("usb_reset")
        topology = await self._enumerate(slot, device=self._topology.numbers.device)
        self._add(topology.interfaces)

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

    async def _power_off(self) -> None:
        async with self._busy:
            if self.slot is not None:
                await self.unplug()

    def _authorized_written(self, path: Path) -> None:
        # Two writes in a row may be noticed twice when the second is there already.
        if not self._resetting and path.exists() and path.read_text().strip() == "1":
            self._resetting = True
            self.firmware.clockwork.spawn(self._reset_by_host(), outlives_power=True)

    async def _reset_by_host(self) -> None:
        async with self._busy:
            self._resetting = False
            await self.usb_reset()

    # -- ports

    async def _enumerate(self, slot: str, device: int | None = None) -> Topology:
        numbers = self._host.numbers
        with_qmi = self.firmware.usbnet == 0
        link_name, link_index = None, None
        mac = f"02:50:f4:00:{self.index >> 8:02x}:{self.index & 255:02x}"
        if with_qmi:
            link_name = f"wwan{numbers.take('wwan')}"
            link_index = await self._host.network.run(partial(self._make_link, link_name, mac))
            await self.carrier.attach_link()
            self.carrier.link = (self._host.network.thread_id, link_name)
        self._topology = Topology(
            slot=slot,
            numbers=Numbers(
                device=device or numbers.count(f"bus{slot.partition('-')[0]}") + 1,
                ttys=tuple(numbers.take("tty") for _ in range(SERIAL_PORTS)),
                wdm=numbers.take("wdm") if with_qmi else None,
                link_index=link_index,
                link_name=link_name,
                mac=mac,
            ),
        )
        self._open_ports(self._topology.numbers)
        nodes = [(name, terminal.path) for name, terminal in self._terminals]
        await self._host.mounts.run(lambda: machine.place_nodes(nodes))
        if "open_hang" in self.faults:
            await self.hang_open()
        return self._topology

    def _make_link(self, name: str, mac: str) -> int:
        links.add_pair(name, links.CARRIER_LINK, self.carrier.namespace.descriptor, mac=mac)
        return links.silence_arp(name)

    def _open_ports(self, numbers: Numbers) -> None:
        channels: list[AtChannel] = []
        for number, tty in enumerate(numbers.ttys):
            receive: _Receive | None = None
            if number in (AT_PRIMARY, AT_SECONDARY):
                place = len(channels)
                channels.append(AtChannel(self.firmware, self._writer(f"ttyUSB{tty}"), urcs=number == AT_PRIMARY))
                receive = channels[place].receive
            self._terminals.append((f"ttyUSB{tty}", Terminal(receive)))
        self.at, self.at_secondary = channels
        if numbers.wdm is not None:
            name = f"cdc-wdm{numbers.wdm}"
            self.qmi = QmiPort(self.firmware, self._writer(name))
            self._terminals.append((name, Terminal(self.qmi.receive)))
        self.at.hung = self.at_secondary.hung = "hang" in self.faults
        self.at.garbled = "garble" in self.faults
        if self.qmi is not None:
            self.qmi.hung = "qmi_hang" in self.faults

    def _writer(self, name: str) -> _Receive:
        """Writes to the terminal of that name while it is there."""

        def write(data: bytes) -> None:
            for each, terminal in self._terminals:
                if each == name:
                    terminal.write(data)

        return write

    async def hang_open(self) -> None:
        """Cover the AT_PRIMARY node with a file that cannot be opened."""
        if self._topology is None or self.hung_open is not None:
            return
        node = Path("/dev", f"ttyUSB{self._topology.numbers.ttys[AT_PRIMARY]}")
        self.hung_open = hang = OpenHang()
        await self._host.mounts.run(lambda: hang.mount(node))
        hang.serve()

    async def unhang_open(self) -> None:
        if self.hung_open is None or self._topology is None:
            return
        node = f"ttyUSB{self._topology.numbers.ttys[AT_PRIMARY]}"
        hang, self.hung_open = self.hung_open, None
        await self._host.mounts.run(lambda: machine.uncover_node(node))
        hang.close()

    def _add(self, devices: tuple[SysfsDevice, ...]) -> None:
        for device in devices:
            self._host.tree.add(device)
        for device in devices:
            self._host.announcer.announce("add", device)
        for device in reversed(devices):
            if device.devtype in {"usb_interface", "usb_device"}:
                self._host.announcer.announce("bind", device)

    async def _take_away(self, devices: tuple[SysfsDevice, ...], *, announce: bool) -> None:
        if self._topology is None:
            return
        numbers = self._topology.numbers
        await self.unhang_open()
        for port in (self.at, self.at_secondary, self.qmi):
            if port is not None:
                port.close()
        self.at = self.at_secondary = self.qmi = None
        terminals, self._terminals = self._terminals, []
        for _name, terminal in terminals:
            terminal.close()
        await self._host.mounts.run(lambda: machine.remove_nodes([name for name, _ in terminals]))
        if (link_name := numbers.link_name) is not None:
            await self._host.network.run(lambda: links.delete_link(link_name))
            self.carrier.link = None
            self._host.numbers.give_back("wwan", int(link_name.removeprefix("wwan")))
        for tty in numbers.ttys:
            self._host.numbers.give_back("tty", tty)
        if numbers.wdm is not None:
            self._host.numbers.give_back("wdm", numbers.wdm)
        for device in reversed(devices):
            self._host.tree.remove(device)
            if announce:
                self._host.announcer.announce("remove", device)
        if self.slot is None:
            self._topology = None

    # -- what others may know

    def status(self) -> ModemStatus:
        numbers = None if self._topology is None else self._topology.numbers
        bearers = self.firmware.bearers
        addresses = (bearers.settings(family) for family in bearers.families)
        with_qmi = numbers is not None and numbers.wdm is not None
        return ModemStatus(
            modem=self.index,
            imei=self.firmware.imei,
            iccid=self.firmware.sim.iccid,
            slot=self.slot,
            at_node=None if numbers is None else f"/dev/ttyUSB{numbers.ttys[AT_PRIMARY]}",
            qmi_node=f"/dev/cdc-wdm{numbers.wdm}" if numbers is not None and with_qmi else None,
            link_name=None if numbers is None else numbers.link_name,
            link_index=None if numbers is None else numbers.link_index,
            registered=self.firmware.registered and self.firmware.power is Power.ON,
            addresses=tuple(str(each.interface.ip) for each in addresses if each is not None),
            qmi_clients={} if self.qmi is None else self.qmi.clients,
            faults=tuple(sorted(self.faults)),
            pin_tries_left=self.firmware.sim.pin_tries_left,
            pins_entered=self.firmware.sim.pins_entered,
        )
