"""The EC25 as a USB function, without a host: descriptors, control requests, endpoints."""

from __future__ import annotations

import struct

import pytest

from agent.sim.usbip.descriptors import (
    NETWORK_IN,
    SERIAL_IN,
    Composition,
    configuration_descriptor,
    descriptor,
    interface_classes,
)
from agent.sim.usbip.function import Ec25Function, Listener

EPIPE = -32
NETWORK, AT = NETWORK_IN & 0x0F, SERIAL_IN[2] & 0x0F


class Desk:
    """A function, and everything that it said."""

    def __init__(self, composition: Composition = Composition.QMI, serial: str | None = None) -> None:
        self.replies: dict[int, tuple[int, bytes | int]] = {}
        self.heard: list[tuple[object, ...]] = []
        listener = Listener(
            configured=lambda configured: self.heard.append(("configured", configured)),
            serial=lambda port, data: self.heard.append(("serial", port, data)),
            message=lambda frame: self.heard.append(("message", frame)),
            packet=lambda packet: self.heard.append(("packet", packet)),
            wants_packets=lambda: self.heard.append(("wanted",)),
        )
        self.function = Ec25Function(composition, serial, listener, self._reply)
        self._number = 0

    def _reply(self, sequence: int, status: int, result: bytes | int) -> None:
        assert sequence not in self.replies, "answered twice"
        self.replies[sequence] = (status, result)

    def submit(self, endpoint: int, data: bytes | int, setup: bytes = bytes(8)) -> int:
        self._number += 1
        to_device = isinstance(data, bytes)
        length = len(data) if isinstance(data, bytes) else data
        sent = data if isinstance(data, bytes) else b""
        self.function.submit(self._number, endpoint, length, setup, sent, to_device=to_device)
        return self._number

    def control(self, kind: int, request: int, value: int = 0, index: int = 0, data: bytes | int = 255) -> int:
        length = len(data) if isinstance(data, bytes) else data
        return self.submit(0, data, struct.pack("<BBHHH", kind, request, value, index, length))


def walk(body: bytes) -> list[tuple[int, bytes]]:
    """(type, whole descriptor) of each one in a configuration."""
    found = []
    while body:
        assert 2 <= body[0] <= len(body)
        found.append((body[1], body[: body[0]]))
        body = body[body[0] :]
    return found


@pytest.mark.parametrize("composition", list(Composition))
def test_every_composition_is_a_sound_configuration(composition: Composition) -> None:
    whole = configuration_descriptor(composition)
    assert struct.unpack_from("<H", whole, 2) == (len(whole),)
    parts = walk(whole)
    interfaces = [each for kind, each in parts if kind == 4]
    assert {each[2] for each in interfaces} == set(range(whole[4]))
    endpoints, expected = 0, 0
    for kind, each in parts:
        if kind == 4:
            assert endpoints == expected, "an interface has other endpoints than it says"
            endpoints, expected = 0, each[4]
        endpoints += kind == 5
    assert endpoints == expected
    addresses = [each[2] for kind, each in parts if kind == 5]
    assert len(addresses) == len(set(addresses))
    assert [each[5:8] for each in interfaces[:4]] == [b"\xff\xff\xff", b"\xff\0\0", b"\xff\0\0", b"\xff\0\0"]
    assert len(interface_classes(composition)) == whole[4]


def test_the_qmi_composition_is_the_module_s() -> None:
    whole = configuration_descriptor(Composition.QMI)
    assert len(whole) == 209
    assert sum(kind == 5 for kind, _ in walk(whole)) == 14
    assert interface_classes(Composition.QMI)[4] == (255, 255, 255)


def test_there_is_no_serial_number_unless_one_is_given() -> None:
    stock, unique = (descriptor(Composition.QMI, serial, 1, 0) for serial in (None, "EC25A1"))
    assert stock is not None
    assert unique is not None
    assert struct.unpack_from("<HH", stock, 8) == (0x2C7C, 0x0125)
    assert (stock[16], unique[16]) == (0, 3)
    assert descriptor(Composition.QMI, None, 3, 3) is None
    text = descriptor(Composition.QMI, "EC25A1", 3, 3)
    assert text is not None
    assert text[2:].decode("utf-16-le") == "EC25A1"


def test_an_answer_is_no_longer_than_was_asked_for() -> None:
    desk = Desk()
    assert desk.replies[desk.control(0x80, 6, 0x0200, 0, 9)] == (0, configuration_descriptor(Composition.QMI)[:9])


def test_what_it_does_not_know_stalls() -> None:
    desk = Desk()
    for kind, request, value in ((0x80, 6, 0x0F00), (0x80, 6, 0x0309), (0xC0, 1, 0), (0x00, 9, 7), (0xA1, 0x7F, 0)):
        assert desk.replies[desk.control(kind, request, value)][0] == EPIPE
    assert desk.replies[desk.submit(0x0C, 512)][0] == EPIPE


def test_data_waits_for_transfers_and_transfers_wait_for_data() -> None:
    desk = Desk()
    first, second = desk.submit(AT, 4), desk.submit(AT, 512)
    assert not desk.replies
    desk.function.say(2, b"123456")
    assert desk.replies == {first: (0, b"1234"), second: (0, b"56")}
    desk.function.say(2, b"ab")
    desk.function.say(2, b"cd")
    assert desk.replies[desk.submit(AT, 1)] == (0, b"a")
    assert desk.replies[desk.submit(AT, 512)] == (0, b"b")
    assert desk.replies[desk.submit(AT, 512)] == (0, b"cd")


def test_a_port_that_nobody_reads_keeps_some_and_counts_what_it_loses() -> None:
    desk = Desk()
    for _ in range(100):
        desk.function.say(2, bytes(1000))
    assert desk.function.lost == 35
    for _ in range(100):
        desk.function.send_message(b"x")
    assert desk.function.lost == 35 + 36
    read = 0
    while (answer := desk.replies[desk.control(0xA1, 1, 0, 4)][1]) == b"x":
        read += 1
    assert (read, answer) == (64, b"")


def test_packets_are_wanted_only_while_transfers_wait() -> None:
    desk = Desk()
    desk.function.send_packet(b"early")
    assert desk.function.lost == 1
    transfer = desk.submit(NETWORK, 2048)
    assert desk.heard == [("wanted",)]
    assert desk.function.packets_wanted == 1
    desk.function.send_packet(b"now")
    assert desk.replies[transfer] == (0, b"now")
    assert desk.function.packets_wanted == 0


def test_an_unlinked_transfer_is_not_answered_and_takes_no_data() -> None:
    desk = Desk()
    first, second = desk.submit(AT, 512), desk.submit(AT, 512)
    assert desk.function.unlink(first)
    assert not desk.function.unlink(first)
    desk.function.say(2, b"x")
    assert desk.replies == {second: (0, b"x")}
    assert not desk.function.unlink(second)


def test_a_new_configuration_forgets_what_was_said_before() -> None:
    desk = Desk()
    desk.function.say(2, b"stale")
    desk.function.send_message(b"stale")
    desk.control(0x00, 9, 1, 0, b"")
    assert desk.heard[-1] == ("configured", True)
    assert desk.replies[desk.control(0xA1, 1, 0, 4)] == (0, b"")
    assert desk.submit(AT, 512) not in desk.replies
    assert desk.replies[desk.control(0x80, 8, 0, 0, 1)] == (0, b"\1")
    desk.control(0x00, 9, 0, 0, b"")
    assert desk.heard[-1] == ("configured", False)


def test_what_the_host_sends_reaches_its_port() -> None:
    desk = Desk()
    assert desk.replies[desk.submit(3, b"AT\r")] == (0, 3)
    assert desk.replies[desk.control(0x21, 0, 0, 4, b"\1frame")] == (0, 6)
    assert desk.replies[desk.submit(5, b"E" * 1500)] == (0, 1500)
    assert desk.replies[desk.submit(5, b"")] == (0, 0)
    assert desk.heard == [("serial", 2, b"AT\r"), ("message", b"\1frame"), ("packet", b"E" * 1500)]


def test_an_open_that_hangs_is_never_answered_until_it_is_given_up() -> None:
    desk = Desk()
    desk.function.hangs_on_open = 2
    other, hung = desk.control(0x21, 0x22, 3, 3, b""), desk.control(0x21, 0x22, 3, 2, b"")
    assert desk.replies == {other: (0, 0)}
    assert desk.function.unlink(hung)


@pytest.mark.parametrize("composition", [Composition.ECM, Composition.MBIM, Composition.RNDIS])
def test_no_other_composition_speaks_qmi(composition: Composition) -> None:
    desk = Desk(composition)
    assert desk.replies[desk.control(0x21, 0, 0, 4, b"\1frame")][0] == EPIPE
    desk.submit(5, b"packet")
    assert not desk.heard


def test_a_port_s_own_notifications_never_come_and_are_no_error() -> None:
    desk = Desk()
    transfers = [desk.submit(endpoint, 10) for endpoint in (3, 5, 7)]
    assert not desk.replies
    assert all(desk.function.unlink(transfer) for transfer in transfers)
