"""The emulator's formats: QMUX, AT lines, udev datagrams, DNS, packets, addresses."""

from __future__ import annotations

import struct

import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sim.carrier_addresses import settings_for
from agent.sim.carrier_servers import answer_dns
from agent.sim.ec25.at_line import AtCommand, AtRefused, Form, parse_line
from agent.sim.ec25.qmux import QmuxDecoder, render_response
from agent.sim.ec25.sim_card import CardLock, SimCard
from agent.sim.host import Numbers
from agent.sim.leaks import parse_packet
from agent.sim.modem import imei_of
from agent.sim.records import Leak
from agent.sim.udev_events import murmur_hash2, render_event


@pytest.mark.parametrize("size", range(1, 30))
def test_requests_are_found_in_any_chunking(size: int) -> None:
    version_info = bytes.fromhex("010b00000000000121000000")
    frame = struct.pack("<BHBBB", 1, 5 + 7 + 11, 0, 1, 3) + struct.pack("<BHHH", 0, 9, 0x20, 11)
    frame += struct.pack("<BH", 0x14, 8) + b"internet"
    stream = version_info + b"\xff\xfe" + frame
    decoder = QmuxDecoder()
    found = [each for start in range(0, len(stream), size) for each in decoder.receive(stream[start : start + size])]
    assert [(each.service, each.client, each.transaction, each.message) for each in found] == [
        (0, 0, 1, 0x21),
        (1, 3, 9, 0x20),
    ]
    assert found[1].tlvs == {0x14: b"internet"}


@given(st.binary(max_size=300))
def test_no_bytes_upset_the_decoder(data: bytes) -> None:
    for request in QmuxDecoder().receive(data):
        assert render_response(request, ((1, b"x"),), 14)


def test_a_line_holds_several_commands() -> None:
    assert parse_line('ATE0;+CSQ;+cpin?;+QCFG="usbnet",0;+CREG=?;&D2') == (
        AtCommand(name="E", arguments=("0",)),
        AtCommand(name="+CSQ"),
        AtCommand(name="+CPIN", form=Form.READ),
        AtCommand(name="+QCFG", form=Form.SET, arguments=("usbnet", "0")),
        AtCommand(name="+CREG", form=Form.TEST),
        AtCommand(name="&D", arguments=("2",)),
    )


@pytest.mark.parametrize("line", ["", "XT", "AT!", "ATE0+CSQ", "AT+"])
def test_what_is_no_command_line_is_refused(line: str) -> None:
    with pytest.raises(AtRefused):
        parse_line(line)


def test_separators_inside_quotes_do_not_separate() -> None:
    assert parse_line('AT+CGDCONT=1,"IP","a;b,c"')[0].arguments == ("1", "IP", "a;b,c")


def test_a_pin_blocks_after_three_wrong_tries_and_the_puk_frees_it() -> None:
    def lock_after_power_cycle() -> CardLock:
        sim.power_cycle()
        return sim.lock

    sim = SimCard(iccid="1", imsi="2", pin="1234")
    assert lock_after_power_cycle() is CardLock.PIN
    assert [sim.enter_pin("0000") for _ in range(3)] == [False] * 3
    assert lock_after_power_cycle() is CardLock.PUK
    assert not sim.enter_puk("00000000", "1111")
    assert sim.enter_puk("12345678", "1111")
    assert sim.usable
    assert lock_after_power_cycle() is CardLock.PIN
    assert sim.enter_pin("1111")


def test_numbers_are_given_out_lowest_first() -> None:
    numbers = Numbers()
    assert [numbers.take("tty") for _ in range(4)] == [0, 1, 2, 3]
    numbers.give_back("tty", 2)
    numbers.give_back("tty", 0)
    assert [numbers.take("tty") for _ in range(3)] == [0, 2, 4]


def test_no_two_modems_share_an_address_unless_asked_to() -> None:
    addresses = [settings_for(index, generation, 4).interface.ip for index in range(1, 61) for generation in range(20)]
    assert len(set(addresses)) == len(addresses)
    assert {settings_for(index, 0, 4).interface.network.prefixlen for index in range(1, 9)} == {27, 28, 29, 30}


def test_imeis_have_their_check_digit() -> None:
    digits = [int(digit) for digit in imei_of(7)]
    doubled = [digit * 2 if place % 2 else digit for place, digit in enumerate(digits)]
    assert len(digits) == 15
    assert sum(value // 10 + value % 10 for value in doubled) % 10 == 0


def test_hash_is_the_one_that_libudev_filters_by() -> None:
    assert murmur_hash2(b"") == 0
    event = render_event({"ACTION": "add", "DEVPATH": "/devices/x", "SUBSYSTEM": "tty", "SEQNUM": "1"})
    assert event[:8] == b"libudev\0"
    assert struct.unpack_from("=III", event, 12)[:2] == (40, 40)
    assert len(event) == 40 + struct.unpack_from("=I", event, 20)[0]


def test_resolver_answers_every_name_and_tells_the_caller_its_address() -> None:
    def ask(name: str, kind: str, source: str) -> dns.message.Message:
        wire, heard = answer_dns(dns.message.make_query(name, kind).to_wire(), source)
        assert wire is not None
        assert heard == name
        return dns.message.from_wire(wire)

    assert ask("myself.test", "A", "10.64.1.2").answer[0][0].to_text() == "10.64.1.2"
    assert ask("myself.test", "TXT", "10.64.1.2").answer[0][0].to_text() == '"10.64.1.2"'
    assert ask("example.org", "A", "10.64.1.2").answer[0][0].to_text().startswith("198.51.100.")
    assert ask("example.org", "AAAA", "10.64.1.2").answer == []
    assert ask("no.invalid", "A", "10.64.1.2").rcode() == dns.rcode.NXDOMAIN
    assert answer_dns(b"nonsense", "10.64.1.2") == (None, "")


@given(st.binary(max_size=200), st.sampled_from([0x0800, 0x86DD, 0x0806]))
def test_no_packet_upsets_the_leak_detector(packet: bytes, protocol: int) -> None:
    assert isinstance(parse_packet(protocol, packet), Leak | None)


def test_a_udp_packet_is_understood() -> None:
    header = bytes.fromhex("4500001c00000000401100000a000001") + bytes([9, 9, 9, 9])
    leak = parse_packet(0x0800, header + struct.pack(">HHHH", 4242, 53, 8, 0))
    assert leak == Leak(protocol="udp", source="10.0.0.1", destination="9.9.9.9", destination_port=53)
