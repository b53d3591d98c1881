"""The EC25 as a USB function: control requests, and endpoints with bounded queues. No I/O; answers go to a callback.

What a host reads and the modem has not said yet waits as a transfer; what the modem says and no transfer waits for is
kept, up to a bound, and lost beyond it, as in the module's own buffers.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from agent.sim.usbip.descriptors import (
    DATA_INTERFACE,
    NETWORK_IN,
    NETWORK_NOTIFY,
    NETWORK_OUT,
    SERIAL_IN,
    SERIAL_NOTIFY,
    SERIAL_OUT,
    Composition,
    descriptor,
)
from agent.sim.usbip.protocol import EPIPE

Reply = Callable[[int, int, bytes | int], None]
"""(sequence number, status, data that the device sends, or how many bytes it took)"""
_MOST_SERIAL_BYTES = 65_536
_MOST_MESSAGES = 64
_MOST_NOTIFICATIONS = 64
_RESPONSE_AVAILABLE = bytes([0xA1, 0x01, 0, 0, DATA_INTERFACE, 0, 0, 0])
_SETUP = struct.Struct("<BBHHH")
_STANDARD, _CLASS, _KIND = 0x00, 0x20, 0x60


class _Standard(IntEnum):
    """Standard requests (USB 2.0 §9.4)."""

    GET_STATUS = 0
    CLEAR_FEATURE = 1
    SET_FEATURE = 3
    GET_DESCRIPTOR = 6
    GET_CONFIGURATION = 8
    SET_CONFIGURATION = 9
    GET_INTERFACE = 10
    SET_INTERFACE = 11


class _Class(IntEnum):
    """Class requests of CDC 1.2 §6.2 and PSTN 1.2 §6.3."""

    SEND_ENCAPSULATED_COMMAND = 0x00
    GET_ENCAPSULATED_RESPONSE = 0x01
    SET_LINE_CODING = 0x20
    GET_LINE_CODING = 0x21
    SET_CONTROL_LINE_STATE = 0x22
    SEND_BREAK = 0x23


class Stalled(Exception):
    """The request is answered with a STALL handshake."""


class NeverAnswered(Exception):
    """The request is not answered at all, until the host gives it up."""


@dataclass(slots=True, kw_only=True)
class Listener:
    """Whom the function tells what the host does."""

    configured: Callable[[bool], None]
    serial: Callable[[int, bytes], None]
    """(port from 0, bytes)"""
    message: Callable[[bytes], None]
    """A QMUX frame."""
    packet: Callable[[bytes], None]
    """An IP packet."""
    wants_packets: Callable[[], None]
    """A transfer waits for an IP packet now."""


class _InEndpoint:
    """One IN endpoint: transfers that wait for data, or data that waits for transfers."""

    __slots__ = ("_bytes", "_most_bytes", "data", "lost", "transfers")

    def __init__(self, most_bytes: int) -> None:
        self.transfers: deque[tuple[int, int]] = deque()
        self.data: deque[bytes] = deque()
        self.lost = 0
        self._bytes = 0
        self._most_bytes = most_bytes

    def put(self, data: bytes, reply: Reply) -> None:
        if self.transfers:
            self._answer(data, reply)
        elif self._bytes + len(data) > self._most_bytes:
            self.lost += 1
        else:
            self._keep(data)

    def wait(self, sequence: int, length: int, reply: Reply) -> None:
        self.transfers.append((sequence, length))
        if self.data:
            data = self.data.popleft()
            self._bytes -= len(data)
            self._answer(data, reply)

    def _answer(self, data: bytes, reply: Reply) -> None:
        sequence, length = self.transfers.popleft()
        reply(sequence, 0, data[:length])
        if len(data) > length:
            rest = data[length:]
            if self.transfers:
                self._answer(rest, reply)
            else:
                self._keep(rest, first=True)

    def _keep(self, data: bytes, *, first: bool = False) -> None:
        (self.data.appendleft if first else self.data.append)(data)
        self._bytes += len(data)

    def clear(self) -> None:
        self.data.clear()
        self._bytes = 0


class Ec25Function:
    """One device, from import to disconnection. `reply` is where answers to transfers go."""

    def __init__(self, composition: Composition, serial: str | None, listener: Listener, reply: Reply) -> None:
        self.composition = composition
        self.configuration = 0
        self.hangs_on_open: int | None = None
        """A serial port whose line state is never acknowledged, so that opening it hangs."""
        self._usb_serial = serial
        self._listener = listener
        self._reply = reply
        self._serial = {address: _InEndpoint(_MOST_SERIAL_BYTES) for address in SERIAL_IN}
        self._notifications = _InEndpoint(_MOST_NOTIFICATIONS * len(_RESPONSE_AVAILABLE))
        self._network = _InEndpoint(0)
        self._messages: deque[bytes] = deque()
        self._lost_messages = 0
        self._unanswered: set[int] = set()
        # The ports' own notifications never come, but the host waits for them: refused, it would ask again and again.
        silent = {address: _InEndpoint(0) for address in SERIAL_NOTIFY if address is not None}
        self._in = {**self._serial, **silent, NETWORK_NOTIFY: self._notifications, NETWORK_IN: self._network}
        self._serial_out = {address: port for port, address in enumerate(SERIAL_OUT)}

    @property
    def lost(self) -> int:
        """Pieces of serial data, notifications and messages that nobody read in time."""
        return self._lost_messages + sum(endpoint.lost for endpoint in self._in.values())

    # -- what the modem says

    def say(self, port: int, data: bytes) -> None:
        """A serial port's bytes for the host."""
        self._serial[SERIAL_IN[port]].put(data, self._reply)

    def send_message(self, frame: bytes) -> None:
        """A QMUX frame for the host, which is told that there is one."""
        if len(self._messages) >= _MOST_MESSAGES:
            self._lost_messages += 1
            return
        self._messages.append(frame)
        self._notifications.put(_RESPONSE_AVAILABLE, self._reply)

    @property
    def packets_wanted(self) -> int:
        """How many IP packets the host has room for now; more are to wait where they are."""
        return len(self._network.transfers)

    def send_packet(self, packet: bytes) -> None:
        """An IP packet for the host; lost when there is no room."""
        self._network.put(packet, self._reply)

    # -- what the host does

    def submit(self, sequence: int, endpoint: int, length: int, setup: bytes, data: bytes, *, to_device: bool) -> None:
        """One URB. `endpoint` is its number without the direction."""
        if endpoint == 0:
            self._control(sequence, setup, data, to_device=to_device)
        elif to_device:
            self._reply(sequence, 0, len(data))
            self._receive(endpoint, data)
        else:
            waiting = self._in.get(endpoint | 0x80)
            if waiting is None:
                self._reply(sequence, EPIPE, b"")
                return
            waiting.wait(sequence, length, self._reply)
            if waiting is self._network:
                self._listener.wants_packets()

    def unlink(self, sequence: int) -> bool:
        """The host gives an URB up; False when it was answered already."""
        if sequence in self._unanswered:
            self._unanswered.discard(sequence)
            return True
        for endpoint in self._in.values():
            for transfer in endpoint.transfers:
                if transfer[0] == sequence:
                    endpoint.transfers.remove(transfer)
                    return True
        return False

    def _receive(self, endpoint: int, data: bytes) -> None:
        if endpoint == NETWORK_OUT:
            if data and self.composition is Composition.QMI:
                self._listener.packet(data)
        elif endpoint in self._serial_out:
            self._listener.serial(self._serial_out[endpoint], data)

    def _control(self, sequence: int, setup: bytes, data: bytes, *, to_device: bool) -> None:
        request_type, request, value, index, length = _SETUP.unpack(setup)
        try:
            if request_type & _KIND == _STANDARD:
                answer = self._standard(request, value)
            elif request_type & _KIND == _CLASS:
                answer = self._class(request, index, data)
            else:
                raise Stalled
        except Stalled:
            self._reply(sequence, EPIPE, b"")
        except NeverAnswered:
            self._unanswered.add(sequence)
        else:
            self._reply(sequence, 0, len(data) if to_device else answer[:length])

    def _standard(self, request: int, value: int) -> bytes:
        match request:
            case _Standard.GET_DESCRIPTOR:
                found = descriptor(self.composition, self._usb_serial, value >> 8, value & 0xFF)
                if found is None:
                    raise Stalled
                return found
            case _Standard.SET_CONFIGURATION:
                self._configure(value)
            case _Standard.GET_CONFIGURATION:
                return bytes([self.configuration])
            case _Standard.GET_STATUS:
                return b"\0\0"
            case _Standard.GET_INTERFACE:
                return b"\0"
            case _Standard.CLEAR_FEATURE | _Standard.SET_FEATURE | _Standard.SET_INTERFACE:
                pass
            case _:
                raise Stalled
        return b""

    def _configure(self, value: int) -> None:
        if value not in (0, 1):
            raise Stalled
        for endpoint in self._in.values():
            endpoint.clear()
        self._messages.clear()
        self.configuration = value
        self._listener.configured(bool(value))

    def _class(self, request: int, index: int, data: bytes) -> bytes:
        interface = index & 0xFF
        match request:
            case _Class.SET_CONTROL_LINE_STATE:
                if interface == self.hangs_on_open:
                    raise NeverAnswered
            case _Class.SEND_ENCAPSULATED_COMMAND if interface == DATA_INTERFACE:
                if self.composition is not Composition.QMI:
                    raise Stalled
                self._listener.message(data)
            case _Class.GET_ENCAPSULATED_RESPONSE if interface == DATA_INTERFACE:
                return self._messages.popleft() if self._messages else b""
            case _Class.GET_LINE_CODING:
                return struct.pack("<IBBB", 115_200, 0, 0, 8)
            case _Class.SET_LINE_CODING | _Class.SEND_BREAK:
                pass
            case _:
                raise Stalled
        return b""
