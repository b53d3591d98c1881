"""An emulated modem on the emulated host's bus: its ports are pseudo terminals, its link one end of a veth pair."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from agent.sim import links, machine
from agent.sim.carrier import Carrier
from agent.sim.ec25.profile import Profile
from agent.sim.host import Host
from agent.sim.modem import EmulatedModem, Nodes, Receive
from agent.sim.open_hang import OpenHang
from agent.sim.sysfs import SysfsDevice
from agent.sim.terminal import Terminal
from agent.sim.usb_topology import AT_PRIMARY, AT_SECONDARY, DIAG, SERIAL_PORTS, Numbers, Topology


class PtyModem(EmulatedModem):
    """Shown to the host by a tree that stands for sysfs, by udev's events, by terminals and by a link."""

    def __init__(self, index: int, host: Host, carrier: Carrier, profile: Profile, busy: asyncio.Lock) -> None:
        super().__init__(index, carrier, profile, busy)
        self.hung_open: OpenHang | None = None
        self._resetting = False
        self._host = host
        self._topology: Topology | None = None
        self._terminals: list[tuple[str, Terminal]] = []

    async def _appear(self, slot: str) -> None:
        topology = await self._enumerate(slot)
        for ancestor in topology.ancestors():
            if not self._host.tree.directory(ancestor).exists():
                self._host.tree.add(ancestor)
        self._add((topology.device, *topology.interfaces))
        authorized = self._host.tree.directory(topology.device) / "authorized"
        self._host.watcher.watch(authorized, partial(self._authorized_written, authorized))

    async def _disappear(self, *, announce: bool) -> None:
        if self._topology is None:
            return
        topology = self._topology
        await self._take_away((topology.device, *topology.interfaces), announce=announce)
        self._topology = None

    async def _renew_ports(self) -> None:
        if self._topology is None:
            return
        await self._take_away(self._topology.interfaces, announce=True)
        self.end_faults_until("usb_reset")
        topology = await self._enumerate(self._topology.slot, device=self._topology.numbers.device)
        self._add(topology.interfaces)

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
            self.carrier.meter = partial(links.read_traffic, self._host.network.thread_id, link_name)
        self._topology = Topology(
            slot=slot,
            usb_serial=self.usb_serial,
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
        ttys = [f"ttyUSB{tty}" for tty in numbers.ttys]
        wdm = None if numbers.wdm is None else f"cdc-wdm{numbers.wdm}"
        serial = (ttys[DIAG], ttys[AT_PRIMARY], ttys[AT_SECONDARY])
        diag, primary, secondary = map(self._writer, serial)
        self._open_channels(diag, primary, secondary, None if wdm is None else self._writer(wdm))
        channels = (self.diag, self.at, self.at_secondary)
        receivers = {name: port.receive for name, port in zip(serial, channels, strict=True) if port is not None}
        self._terminals += [(name, Terminal(receivers.get(name))) for name in ttys]
        if wdm is not None and self.qmi is not None:
            self._terminals.append((wdm, Terminal(self.qmi.receive)))

    def _writer(self, name: str) -> Receive:
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
        self._close_channels()
        terminals, self._terminals = self._terminals, []
        for _name, terminal in terminals:
            terminal.close()
        await self._host.mounts.run(lambda: machine.remove_nodes([name for name, _ in terminals]))
        if (link_name := numbers.link_name) is not None:
            await self._host.network.run(lambda: links.delete_link(link_name))
            self.carrier.meter = None
            self._host.numbers.give_back("wwan", int(link_name.removeprefix("wwan")))
        for tty in numbers.ttys:
            self._host.numbers.give_back("tty", tty)
        if numbers.wdm is not None:
            self._host.numbers.give_back("wdm", numbers.wdm)
        for device in reversed(devices):
            self._host.tree.remove(device)
            if announce:
                self._host.announcer.announce("remove", device)

    def _nodes(self) -> Nodes:
        if self._topology is None:
            return Nodes()
        numbers = self._topology.numbers
        return Nodes(
            at=f"/dev/ttyUSB{numbers.ttys[AT_PRIMARY]}",
            qmi=None if numbers.wdm is None else f"/dev/cdc-wdm{numbers.wdm}",
            link_name=numbers.link_name,
            link_index=numbers.link_index,
        )
