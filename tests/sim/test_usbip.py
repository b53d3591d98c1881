"""A farm over USB/IP, seen by a client of its server and by a stand-in for the virtual machine."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.errors import AgentError
from agent.sim.farm import Farm
from agent.sim.namespaces import NamespaceThread, NetworkNamespace, names_of
from agent.sim.records import Leak
from agent.sim.tun import open_tap
from agent.sim.usbip import guest_attach
from tests.sim import drive
from tests.sim.drive import until
from tests.sim.ip_packets import Datagram, parse_datagram
from tests.sim.qmi_client import CTL, DMS, WDS, Heard, parse, request
from tests.sim.usbip_client import IN, OUT, StandInGuest, UsbDevice

pytestmark = pytest.mark.root

ECHO = "198.51.100.9", "2001:db8:51::9"
NETWORK_IN, NETWORK_OUT = 8, 5


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    drive.require("ip")
    directory: Path = tmp_path_factory.mktemp("usbip")
    made = Farm.create(drive.farm_name("v"), directory, profile="instant", transport="usbip")
    try:
        yield made
    finally:
        drive.end_checked(made)


@pytest.fixture
def guest(farm: Farm) -> Iterator[StandInGuest]:
    with StandInGuest(farm) as made:
        until(lambda: farm.guest().connected)
        yield made
    for modem in farm.status():
        farm.clear(modem.modem)
        if modem.slot is not None:
            farm.unplug(modem.modem)
    until(lambda: not farm.guest().connected)


def plug(farm: Farm, guest: StandInGuest, slot: str | None = None) -> tuple[int, UsbDevice]:
    """A new modem that the stand-in has configured, and that is registered."""
    number = farm.plug(slot).modem
    device = guest.devices[f"1-{number}"]
    device.configure()
    until(lambda: farm.modem(number).registered)
    return number, device


def ask(device: UsbDevice, service: int, client: int, message: int, tlvs: dict[int, bytes] | None = None) -> Heard:
    heard = parse(device.ask_qmi(request(service, client, message, tlvs or {})))
    assert heard.fault == 0
    return heard


def connect(farm: Farm, number: int, device: UsbDevice, family: int = 4) -> tuple[int, str]:
    """Start a bearer; (QMI client, address)."""
    client = ask(device, CTL, 0, 0x22, {1: bytes([WDS])}).tlvs[1][1]
    device.control(0x21, 0x00, 0, 4, request(WDS, client, 0x20, {0x14: b"internet", 0x19: bytes([family])}))
    messages = []
    for _ in range(2):
        device.wait(device.submit(9, IN, 8))
        messages.append(parse(device.control(0xA1, 0x01, 0, 4, 4096).data))
    # The packet service status indication comes before the answer.
    assert [(each.message, each.fault) for each in messages] == [(0x22, None), (0x20, 0)]
    wanted = ":" if family == 6 else "."
    return client, next(each for each in farm.modem(number).addresses if wanted in each)


def echo(address: str, payload: bytes, port: int = 4000) -> bytes:
    return Datagram(address, ECHO[":" in address], port, 7, payload).render()


def fetch_all(device: UsbDevice) -> list[bytes]:
    """Every packet that the modem still has for the host."""
    fetched: list[bytes] = []
    device.connection.settimeout(0.5)
    while True:
        transfer = device.submit(NETWORK_IN, IN, 2048)
        try:
            fetched.append(device.wait(transfer).data)
        except TimeoutError:
            assert device.unlink(transfer) == -104
            return fetched


def test_a_guest_is_shown_what_is_plugged_in_and_what_comes_later(farm: Farm) -> None:
    before = farm.plug("3-2")
    assert before.slot == "3-2"
    with StandInGuest(farm, slot_of=lambda position: f"{position // 15 * 2 + 1}-{position % 15 + 1}") as guest:
        until(lambda: f"1-{before.modem}" in guest.devices)
        later = farm.plug()
        assert later.slot == "1-1"
        assert [(each["attach"], each["port"]) for each in guest.asked] == [
            (f"1-{before.modem}", 16),
            (f"1-{later.modem}", 0),
        ]
        guest.devices[f"1-{later.modem}"].configure()
        until(lambda: farm.guest().attached == (later.modem,))
        with StandInGuest(farm, slot_of=lambda position: f"{position // 15 * 2 + 1}-{position % 15 + 1}") as next_one:
            until(lambda: len(next_one.devices) == 2)
            assert farm.guest().attached == ()
        with pytest.raises(ConnectionError):
            guest.devices[f"1-{later.modem}"].configure()
    for number in (before.modem, later.modem):
        farm.unplug(number)


def test_a_guest_that_calls_the_slot_something_else_is_an_error(farm: Farm) -> None:
    with StandInGuest(farm, slot_of=lambda _: "9-9") as guest:
        until(lambda: farm.guest().connected)
        with pytest.raises(AgentError, match="9-9"):
            farm.plug()
        assert guest.asked
    farm.unplug(farm.status()[-1].modem)
    with pytest.raises(AgentError, match="no slot"):
        farm.plug("2-1")


def test_the_list_of_devices(farm: Farm, guest: StandInGuest) -> None:
    number, _ = plug(farm, guest)
    with guest.connect(3240) as connection:
        connection.sendall(struct.pack(">HHI", 0x0111, 0x8005, 0))
        data = b"".join(iter(lambda: connection.recv(4096), b""))
    assert struct.unpack_from(">HHII", data) == (0x0111, 5, 0, 1)
    assert data[12 + 256 :].startswith(f"1-{number}".encode() + b"\0")
    assert len(data) == 12 + 312 + 5 * 4
    assert data[-4:] == bytes([255, 255, 255, 0])


def test_what_is_not_there_cannot_be_imported(guest: StandInGuest) -> None:
    with pytest.raises(OSError, match="no 1-199"):
        guest.import_device("1-199")
    with guest.connect(3240) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert connection.recv(100) == b""


def test_ports_of_an_imported_modem_answer(farm: Farm, guest: StandInGuest) -> None:
    number, device = plug(farm, guest)
    device_descriptor = device.control(0x80, 6, 0x0100, 0, 18).data
    assert struct.unpack_from("<HH", device_descriptor, 8) == (0x2C7C, 0x0125)
    said = device.ask_at("ATI")
    assert said.endswith(b"ATI\r\r\nQuectel\r\nEC25\r\nRevision: EC25EUXGAR08A17M1G\r\n\r\nOK\r\n")
    assert device.ask_at("AT+CGSN", endpoint=4).startswith(b"AT+CGSN\r\r\n" + farm.modem(number).imei.encode())
    device.wait(device.submit(1, OUT, bytes.fromhex("0078f07e")))
    assert device.wait(device.submit(1, IN, 512)).data[1:12] == b"Mar 21 2019"
    client = ask(device, CTL, 0, 0x22, {1: bytes([DMS])}).tlvs[1][1]
    assert ask(device, DMS, client, 0x25).tlvs[0x11] == farm.modem(number).imei.encode()


def test_an_unplugged_modem_is_gone_in_the_middle_of_everything(farm: Farm, guest: StandInGuest) -> None:
    number, device = plug(farm, guest)
    silent = device.submit(2, IN, 512)
    assert device.unlink(silent) == -104
    waiting = device.submit(NETWORK_IN, IN, 2048)
    farm.unplug(number)
    with pytest.raises(ConnectionError):
        device.wait(waiting)
    assert farm.replug(number).slot == "1-1"
    again = guest.devices[f"1-{number}"]
    assert again is not device
    again.configure()
    assert b"OK" in again.ask_at("AT")


def test_a_reboot_takes_it_off_the_bus_and_shows_it_again(farm: Farm, guest: StandInGuest) -> None:
    number, device = plug(farm, guest)
    device.ask_at("AT+CFUN=1,1")
    until(lambda: guest.devices[f"1-{number}"] is not device)
    assert farm.modem(number).slot == "1-1"


def test_packets_pass_while_there_is_a_bearer_and_are_counted(farm: Farm, guest: StandInGuest) -> None:
    number, device = plug(farm, guest)
    client, address = connect(farm, number, device)
    _, address6 = connect(farm, number, device, 6)
    transfers = [device.submit(NETWORK_IN, IN, 2048) for _ in range(3)]
    sent = 0
    for transfer, source in zip(transfers, (address, address6, address), strict=True):
        packet = echo(source, source.encode() * (1200 // len(source)))
        sent += len(packet)
        device.wait(device.submit(NETWORK_OUT, OUT, packet))
        told = parse_datagram(device.wait(transfer).data)
        assert (told.destination, told.source_port, told.payload[: len(source)]) == (source, 7, source.encode())
        assert len(told.payload) == 1200 // len(source) * len(source)
    statistics = ask(device, WDS, client, 0x24, {1: bytes(4)}).tlvs
    assert struct.unpack("<I", statistics[0x10]) == struct.unpack("<I", statistics[0x11]) == (3,)
    assert struct.unpack("<Q", statistics[0x19]) == (sent,)
    assert [each.kind for each in farm.carrier_log(number)] == ["udp"] * 3
    farm.fault(number, "drop")
    until(lambda: farm.modem(number).addresses == ())
    device.wait(device.submit(NETWORK_OUT, OUT, echo(address, b"late")))
    assert fetch_all(device) == []


def test_packets_that_nobody_fetches_are_lost_beyond_a_bound_and_the_next_ones_pass(
    farm: Farm, guest: StandInGuest
) -> None:
    number, device = plug(farm, guest)
    _, address = connect(farm, number, device)
    for count in range(3000):
        transfer = device.submit(NETWORK_OUT, OUT, echo(address, count.to_bytes(4, "big") + bytes(800)))
        if count % 100 == 99:
            device.wait(transfer)
    fetched = [parse_datagram(packet).payload[:4] for packet in fetch_all(device)]
    assert 100 <= len(fetched) < 2000
    assert fetched == sorted(set(fetched))
    device.wait(device.submit(NETWORK_OUT, OUT, echo(address, b"still there")))
    assert [parse_datagram(packet).payload for packet in fetch_all(device)] == [b"still there"]


def test_a_reset_of_the_bus_ends_bearers_client_ids_and_faults_of_ports(farm: Farm, guest: StandInGuest) -> None:
    number, device = plug(farm, guest)
    connect(farm, number, device)
    farm.fault(number, "hang", until="usb_reset")
    device.configure(0)
    assert farm.guest().attached == ()
    device.configure()
    until(lambda: farm.modem(number).addresses == ())
    assert farm.modem(number).qmi_clients == {}
    assert farm.modem(number).faults == ()
    assert b"OK" in device.ask_at("AT")
    assert farm.modem(number).registered


def test_an_open_that_hangs_until_the_fault_ends(farm: Farm, guest: StandInGuest) -> None:
    number, device = plug(farm, guest)
    farm.fault(number, "open_hang")
    line_state = struct.pack("<BBHHH", 0x21, 0x22, 3, 2, 0)
    device.connection.settimeout(0.3)
    with pytest.raises(TimeoutError):
        device.wait(hung := device.submit(0, OUT, b"", line_state))
    assert device.unlink(hung) == -104
    farm.clear(number, "open_hang")
    assert device.wait(device.submit(0, OUT, b"", line_state)).status == 0


def test_a_serial_number_and_another_composition(farm: Farm, guest: StandInGuest) -> None:
    number, _ = plug(farm, guest)
    farm.fault(number, "usb_serial", serial="0123456789ABCDEF")
    device = guest.devices[f"1-{number}"]
    assert device.control(0x80, 6, 0x0303, 0x0409, 255).data[2:].decode("utf-16-le") == "0123456789ABCDEF"
    farm.fault(number, "usbnet", mode=1)
    device = guest.devices[f"1-{number}"]
    assert device.control(0x80, 6, 0x0200, 0, 9).data[4] == 6


def test_a_power_outage_waits_for_the_guest_to_come_back(farm: Farm, guest: StandInGuest) -> None:
    numbers = [plug(farm, guest)[0] for _ in range(3)]
    farm.outage()
    assert [farm.modem(number).slot for number in numbers] == [None] * 3
    with StandInGuest(farm) as returned:
        until(lambda: len(returned.devices) == 3)
        assert [farm.modem(number).slot for number in numbers] == ["1-1", "1-2", "1-3"]


def test_what_leaves_by_the_uplink_is_a_leak(farm: Farm) -> None:
    place = NetworkNamespace(f"lm-{farm.name}-uplink")
    inside = NamespaceThread(place.enter)
    descriptor = inside.run_blocking(lambda: open_tap("uplink0"))
    try:
        packet = Datagram("198.18.0.2", "192.0.2.99", 999, 53, b"x").render()
        os.write(descriptor, bytes.fromhex("ffffffffffff525400d500020800") + packet)
        wanted = Leak(protocol="udp", source="198.18.0.2", destination="192.0.2.99", destination_port=53)
        until(lambda: wanted in farm.leaks())
    finally:
        os.close(descriptor)
        inside.close()
        os.close(place.descriptor)
    farm.leaks(forget=True)


def test_nothing_is_left_of_a_closed_farm(tmp_path: Path) -> None:
    drive.require("ip")
    made = Farm.create(drive.farm_name("w"), tmp_path, modems=2, profile="instant", transport="usbip")
    assert names_of(f"lm-{made.name}-") == [f"lm-{made.name}-{part}" for part in ("c1", "c2", "host", "uplink")]
    assert [modem.slot for modem in made.status()] == ["1-1", "1-2"]
    assert "10.213.0.1/24" in drive.output(made, "ip", "-br", "addr", "show", "lan0")
    drive.end_checked(made)
    assert names_of(f"lm-{made.name}-") == []


def test_the_guest_finds_its_ports_and_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = "hub port sta spd dev      sockfd local_busid\n"
    for controller in range(2):
        folder = tmp_path / f"vhci_hcd.{controller}"
        for bus, speed in ((2 * controller + 3, "480"), (2 * controller + 4, "5000")):
            (folder / f"usb{bus}").mkdir(parents=True)
            (folder / f"usb{bus}" / "speed").write_text(speed + "\n")
        lines = [f"hs  {controller * 4 + port:04d} 004 000 00000000 000000 0-0\n" for port in range(2)]
        lines += [f"ss  {controller * 4 + 2 + port:04d} 004 000 00000000 000000 0-0\n" for port in range(2)]
        (tmp_path / "vhci_hcd.0" / ("status" if not controller else "status.1")).write_text(head + "".join(lines))
    monkeypatch.setattr(guest_attach, "CONTROLLERS", tmp_path)
    monkeypatch.setattr(guest_attach, "FIRST", tmp_path / "vhci_hcd.0")
    assert guest_attach.high_speed_ports() == [(0, "004"), (1, "004"), (4, "004"), (5, "004")]
    assert [guest_attach.slot_of(position, 4) for position in range(4)] == ["3-1", "3-2", "5-1", "5-2"]
