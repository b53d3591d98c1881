"""An emulated modem as a USB device of a virtual machine: the guest's own drivers make its ports and its link."""

from __future__ import annotations

import asyncio
import os

from agent.core.errors import TransientError
from agent.sim import links
from agent.sim.carrier import Carrier
from agent.sim.ec25.bearers import CLIENT_END, Traffic
from agent.sim.ec25.profile import Profile
from agent.sim.modem import EmulatedModem, Nodes
from agent.sim.tun import open_tun
from agent.sim.usb_topology import AT_PRIMARY, AT_SECONDARY, DIAG
from agent.sim.usbip.descriptors import PRODUCT_ID, RELEASE, VENDOR_ID, Composition, interface_classes
from agent.sim.usbip.function import Ec25Function, Listener
from agent.sim.usbip.guest_link import GuestLink
from agent.sim.usbip.protocol import ExportedDevice
from agent.sim.usbip.server import UrbConnection

BUS_NUMBER = 1
_LARGEST_PACKET_BYTES = 2048
_PACKETS_AT_ONCE = 32


class UsbipModem(EmulatedModem):
    """Its device is exported while it is plugged in; the guest imports it when it is told to."""

    def __init__(
        self,
        index: int,
        guest: GuestLink,
        position_of: dict[str, int],
        carrier: Carrier,
        profile: Profile,
        busy: asyncio.Lock,
    ) -> None:
        super().__init__(index, carrier, profile, busy)
        self._guest = guest
        self._position_of = position_of
        self._connection: UrbConnection | None = None
        self._function: Ec25Function | None = None
        self._attaching = asyncio.Lock()
        self._configured_before = False
        self._tun: int | None = None
        self._reading = False
        self._writable = True
        self._lost_before = 0
        self._received = [0, 0]
        self._sent = [0, 0]
        """Packets and bytes since it was plugged in."""
        carrier.meter = self._traffic

    # -- on and off the bus

    async def _appear(self, slot: str) -> None:
        del slot  # `attach` needs it whenever a guest comes, not only now
        self._tun = await self.carrier.make_link(lambda: open_tun(links.CARRIER_LINK))
        await self.carrier.attach_link()
        self._received, self._sent = [0, 0], [0, 0]
        self._configured_before = False
        if self._guest.connected:
            await self.attach()

    async def attach(self) -> None:
        """Have the guest import the device. Raises TransientError when it does not."""
        async with self._attaching:
            if self.slot is None or self._connection is not None:
                return
            found = await self._guest.attach(self.bus_id, self.device_id, self._position_of[self.slot])
        if found != self.slot:
            raise TransientError(
                f"modem {self.index} was to be in slot {self.slot}: the guest's kernel calls it {found}"
            )

    async def _disappear(self, *, announce: bool) -> None:
        # USB/IP knows no device that goes without a word.
        del announce
        self._let_go()
        if self._tun is not None:
            asyncio.get_running_loop().remove_reader(self._tun)
            os.close(self._tun)
            self._tun, self._reading = None, False

    async def _renew_ports(self) -> None:
        """The host does this by itself (`authorized`, a port reset): nothing is left to do but to look well again."""
        self.end_faults_until("usb_reset")
        self._open_ports()

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        self._forget_function()
        if connection is not None:
            connection.drop()

    def _forget_function(self) -> None:
        self._lost_before = self._lost()
        self._function = None
        self._close_channels()

    async def hang_open(self) -> None:
        if self._function is not None:
            self._function.hangs_on_open = AT_PRIMARY

    async def unhang_open(self) -> None:
        if self._function is not None:
            self._function.hangs_on_open = None

    # -- the server's side

    @property
    def bus_id(self) -> str:
        return f"{BUS_NUMBER}-{self.index}"

    @property
    def device_id(self) -> int:
        """`devid` of USB/IP: bus and device number."""
        return BUS_NUMBER << 16 | self.index

    @property
    def configured(self) -> bool:
        """Whether the guest's kernel has configured the device."""
        return self._function is not None and self._function.configuration != 0

    def describe(self) -> ExportedDevice | None:
        if self.slot is None:
            return None
        return ExportedDevice(
            bus_id=self.bus_id,
            bus_number=BUS_NUMBER,
            device_number=self.index,
            vendor_id=VENDOR_ID,
            product_id=PRODUCT_ID,
            release=RELEASE,
            configured=self.configured,
            interfaces=interface_classes(Composition(self.firmware.usbnet)),
        )

    def imported(self, connection: UrbConnection) -> Ec25Function | None:
        if self.slot is None:
            return None
        self._let_go()
        listener = Listener(
            configured=self._configured,
            serial=self._heard,
            message=lambda frame: None if self.qmi is None else self.qmi.receive(frame),
            packet=self._packet_out,
            wants_packets=self._follow_packets,
        )
        self._connection, self._writable = connection, True
        composition = Composition(self.firmware.usbnet)
        self._function = Ec25Function(composition, self.usb_serial, listener, connection.reply)
        return self._function

    def lost(self, connection: UrbConnection) -> None:
        if self._connection is connection:
            self._connection = None
            self._forget_function()
            self._follow_packets()

    def writable(self, *, writable: bool) -> None:
        self._writable = writable
        self._follow_packets()

    def _configured(self, configured: bool) -> None:
        self._close_channels()
        if not configured:
            return
        if self._configured_before:
            # The bus was reset, or the device deauthorised and authorised: no bearer outlives its ports.
            self.end_faults_until("usb_reset")
            self.firmware.clockwork.spawn(self.firmware.bearers.end_all(CLIENT_END, by_network=False))
        self._configured_before = True
        self._open_ports()

    def _open_ports(self) -> None:
        function = self._function
        if function is None or function.configuration == 0:
            return
        self._close_channels()
        with_qmi = function.composition is Composition.QMI
        self._open_channels(
            lambda data: function.say(DIAG, data),
            lambda data: function.say(AT_PRIMARY, data),
            lambda data: function.say(AT_SECONDARY, data),
            function.send_message if with_qmi else None,
        )
        function.hangs_on_open = AT_PRIMARY if "open_hang" in self.faults else None

    def _heard(self, port: int, data: bytes) -> None:
        channel = {DIAG: self.diag, AT_PRIMARY: self.at, AT_SECONDARY: self.at_secondary}.get(port)
        if channel is not None:
            channel.receive(data)

    # -- packets

    def _packet_out(self, packet: bytes) -> None:
        if self._tun is None:
            return
        self._sent[0] += 1
        self._sent[1] += len(packet)
        try:
            os.write(self._tun, packet)
        except OSError:
            # No IP packet, or no room: lost in the air.
            return

    def _follow_packets(self) -> None:
        """Read the carrier's packets only while the guest has room for them: else they wait in the TUN device, which
        drops what is too much."""
        wanted = self._tun is not None and self._writable and self._function is not None
        wanted = wanted and self._function is not None and self._function.packets_wanted > 0
        if self._tun is None or wanted == self._reading:
            return
        self._reading = wanted
        loop = asyncio.get_running_loop()
        if wanted:
            loop.add_reader(self._tun, self._packets_in)
        else:
            loop.remove_reader(self._tun)

    def _packets_in(self) -> None:
        function, tun = self._function, self._tun
        if function is not None and tun is not None:
            for _ in range(min(_PACKETS_AT_ONCE, function.packets_wanted)):
                try:
                    packet = os.read(tun, _LARGEST_PACKET_BYTES)
                except BlockingIOError:
                    break
                self._received[0] += 1
                self._received[1] += len(packet)
                function.send_packet(packet)
        self._follow_packets()

    def _traffic(self) -> Traffic:
        (rx_packets, rx_bytes), (tx_packets, tx_bytes) = self._received, self._sent
        return Traffic(rx_packets=rx_packets, tx_packets=tx_packets, rx_bytes=rx_bytes, tx_bytes=tx_bytes)

    def _lost(self) -> int:
        return self._lost_before + (0 if self._function is None else self._function.lost)

    def _nodes(self) -> Nodes:
        return Nodes()
