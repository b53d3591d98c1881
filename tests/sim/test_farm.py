"""A farm as a whole: hot-plug that pyudev sees, traffic, leaks, many modems, and leaving nothing behind."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time

import pytest

from agent.sim.farm import Farm, FarmClient
from agent.sim.records import CarrierEvent, Leak, ModemStatus
from tests.sim.drive import at, connect, output, qmicli, run, until

pytestmark = pytest.mark.root

_ENUMERATE = """
import json, pyudev
found = []
for device in pyudev.Context().list_devices():
    if device.subsystem in ("tty", "usbmisc", "net"):
        parent = device.find_parent("usb", "usb_device")
        interface = device.find_parent("usb", "usb_interface")
        found.append([device.subsystem, device.device_node or device.sys_name, parent.sys_name,
                      parent.attributes.asstring("idVendor"), interface.attributes.asstring("bInterfaceNumber"),
                      interface.driver])
print(json.dumps(sorted(found)))
"""
_MONITOR = """
import pyudev, sys
monitor = pyudev.Monitor.from_netlink(pyudev.Context())
for subsystem in ("usb", "tty", "usbmisc", "net"):
    monitor.filter_by(subsystem)
monitor.start()
print("listening", flush=True)
while (device := monitor.poll(8)) is not None:
    print(device.action, device.subsystem, device.device_type, device.sys_name, device.device_node, flush=True)
    if device.action == "remove" and device.device_type == "usb_device":
        break
"""


def test_pyudev_enumerates_a_modem_as_on_real_hardware(farm: Farm, modem: ModemStatus) -> None:
    found = json.loads(output(farm, sys.executable, "-c", _ENUMERATE))
    assert modem.at_node is not None
    first = int(modem.at_node.removeprefix("/dev/ttyUSB")) - 2
    assert [each for each in found if each[2] == modem.slot] == sorted(
        [
            ["net", modem.link_name, modem.slot, "2c7c", "04", "qmi_wwan"],
            ["usbmisc", modem.qmi_node, modem.slot, "2c7c", "04", "qmi_wwan"],
            *(["tty", f"/dev/ttyUSB{first + port}", modem.slot, "2c7c", f"0{port}", "option"] for port in range(4)),
        ]
    )
    index = output(farm, "cat", f"/sys/class/net/{modem.link_name}/ifindex").strip()
    assert index == str(modem.link_index)
    assert f"{index}: {modem.link_name}@" in output(farm, "ip", "-o", "link")


def test_pyudev_hears_of_plug_and_unplug(farm: Farm) -> None:
    with subprocess.Popen(
        farm.command([sys.executable, "-c", _MONITOR]), stdout=subprocess.PIPE, text=True
    ) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "listening\n"
        modem = farm.plug("4-1.5")
        farm.unplug(modem.modem)
        heard = listener.communicate(timeout=20)[0].splitlines()
    assert "add usb usb_device 4-1.5 /dev/bus/usb/004/002" in heard
    assert f"add tty None {str(modem.at_node)[5:]} {modem.at_node}" in heard
    assert f"add usbmisc None {str(modem.qmi_node)[5:]} {modem.qmi_node}" in heard
    assert f"add net wwan {modem.link_name} None" in heard
    assert heard.index("add usb usb_device 4-1.5 /dev/bus/usb/004/002") == 0
    assert heard[-1] == "remove usb usb_device 4-1.5 /dev/bus/usb/004/002"
    assert sum(line.startswith("remove ") for line in heard) == sum(line.startswith("add ") for line in heard)


def test_an_unannounced_departure_is_seen_by_enumeration_only(farm: Farm, modem: ModemStatus) -> None:
    farm.fault(modem.modem, "vanish", announce=False)
    found = json.loads(output(farm, sys.executable, "-c", _ENUMERATE))
    assert not [each for each in found if each[2] == modem.slot]
    assert run(farm, "test", "-e", str(modem.at_node)).returncode == 1


def test_whoever_has_the_port_open_sees_the_modem_go(farm: Farm, modem: ModemStatus) -> None:
    with subprocess.Popen(
        farm.command(["cat", str(modem.at_node)]), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as reader:
        time.sleep(0.2)
        assert reader.poll() is None
        farm.unplug(modem.modem)
        reader.communicate(timeout=5)


def test_traffic_goes_through_the_modem_and_tells_its_address(farm: Farm, modem: ModemStatus) -> None:
    address = connect(farm, modem.modem)
    told = json.loads(output(farm, "curl", "-s", "--max-time", "5", "http://198.51.100.1/who"))
    assert told == {"address": address, "modem": modem.modem, "server": "198.51.100.1", "path": "/who"}
    resolver = f"10.112.{modem.modem}.53"
    assert output(farm, "dig", "+short", f"@{resolver}", "myself.test").strip() == address
    assert output(
        farm, "curl", "-s", "http://198.51.100.9/bytes/300000", "-o", "/dev/null", "-w", "%{size_download}"
    ) == ("300000")
    log = farm.carrier_log(modem.modem)
    assert (
        CarrierEvent(kind="dns", source=address, destination=resolver, destination_port=53, detail="myself.test") in log
    )
    assert [event.detail for event in log if event.kind == "http"] == ["/who", "/bytes/300000"]
    counted = qmicli(farm, modem.qmi_node, "--wds-get-packet-statistics")
    assert int(counted.split("RX bytes OK: ")[1]) > 300_000


def test_udp_is_echoed_and_port_443_accepts(farm: Farm, modem: ModemStatus) -> None:
    connect(farm, modem.modem)
    script = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(3);"
        "s.connect(('198.51.100.77', 7)); s.send(b'hello'); print(s.recv(99).decode());"
        "socket.create_connection(('198.51.100.77', 443), 3).close()"
    )
    assert output(farm, sys.executable, "-c", script).strip() == "hello"
    assert {event.kind for event in farm.carrier_log(modem.modem)} == {"udp", "tcp"}


def test_without_a_bearer_nothing_passes(farm: Farm, modem: ModemStatus) -> None:
    connect(farm, modem.modem)
    reach = ("curl", "-s", "--max-time", "1", "http://198.51.100.1/")
    assert run(farm, *reach).returncode == 0
    farm.fault(modem.modem, "drop")
    until(lambda: farm.modem(modem.modem).addresses == ())
    assert run(farm, *reach).returncode == 28
    assert "NO-CARRIER" not in output(farm, "ip", "link", "show", str(modem.link_name))


def test_a_wrong_source_address_does_not_pass(farm: Farm, modem: ModemStatus) -> None:
    connect(farm, modem.modem)
    output(farm, "ip", "addr", "add", "10.99.99.99/32", "dev", str(modem.link_name))
    wrong = ("curl", "-s", "--max-time", "1", "--interface", "10.99.99.99", "http://198.51.100.1/")
    assert run(farm, *wrong).returncode == 28


def test_a_muted_carrier_keeps_the_bearer_but_answers_nothing(farm: Farm, modem: ModemStatus) -> None:
    connect(farm, modem.modem)
    farm.fault(modem.modem, "mute")
    reach = ("curl", "-s", "--max-time", "1", "http://198.51.100.1/")
    assert run(farm, *reach).returncode == 28
    assert "'connected'" in qmicli(farm, modem.qmi_node, "--wds-get-packet-service-status")
    farm.clear(modem.modem)
    assert run(farm, *reach).returncode == 0


def test_two_modems_can_have_one_address(farm: Farm, modem: ModemStatus) -> None:
    other = farm.plug().modem
    until(lambda: farm.modem(other).registered)
    address = connect(farm, modem.modem)
    farm.fault(other, "same_address", other=modem.modem)
    assert connect(farm, other) == address
    told = json.loads(output(farm, "curl", "-s", "--max-time", "5", "http://198.51.100.1/"))
    assert (told["address"], told["modem"]) == (address, other)
    farm.unplug(other)


def test_a_bearer_can_be_given_another_address(farm: Farm, modem: ModemStatus) -> None:
    before = connect(farm, modem.modem)
    (after,) = farm.fault(modem.modem, "address_change").addresses
    assert after != before
    assert run(farm, "curl", "-s", "--max-time", "1", "http://198.51.100.1/").returncode == 28
    assert after in qmicli(farm, modem.qmi_node, "--wds-get-current-settings")


def test_rotation_needs_to_stay_away_long_enough(farm: Farm, modem: ModemStatus) -> None:
    def reattach(wait_seconds: float) -> str:
        at(farm, modem.at_node, "AT+CFUN=4")
        time.sleep(wait_seconds)
        at(farm, modem.at_node, "AT+CFUN=1")
        until(lambda: farm.modem(modem.modem).registered)
        return connect(farm, modem.modem)

    first = connect(farm, modem.modem)
    assert reattach(0) == first
    assert reattach(0.8) != first


def test_the_leak_detector_sees_what_leaves_by_the_uplink(farm: Farm) -> None:
    farm.leaks(forget=True)
    assert farm.leaks() == ()
    assert run(farm, "curl", "-s", "--max-time", "1", "http://203.0.113.9/").returncode == 28
    run(farm, "dig", "+time=1", "+tries=1", "@9.9.9.9", "example.org")
    run(farm, "curl", "-s", "--max-time", "1", "http://[2001:db8::9]/")
    seen = {(leak.protocol, leak.destination, leak.destination_port) for leak in farm.leaks()}
    assert seen == {("tcp", "203.0.113.9", 80), ("udp", "9.9.9.9", 53), ("tcp", "2001:db8::9", 80)}
    assert Leak(protocol="udp", source="198.18.0.2", destination="9.9.9.9", destination_port=53) in farm.leaks()
    farm.leaks(forget=True)
    assert farm.leaks() == ()


def test_a_client_on_this_machine_reaches_the_farm(farm: Farm) -> None:
    script = f"""
import socket
with socket.create_server(("{farm.info.host_address}", 3128)) as server:
    print("listening", flush=True)
    connection, (client, _) = server.accept()
    connection.sendall(client.encode())
    connection.close()
"""
    with subprocess.Popen(farm.command([sys.executable, "-c", script]), stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "listening\n"
        with socket.create_connection((farm.info.host_address, 3128), 5) as client:
            assert client.recv(100).decode() == farm.info.client_address


def test_a_second_client_drives_the_same_farm(farm: Farm, modem: ModemStatus) -> None:
    client = FarmClient(farm.directory)
    try:
        assert client.modem(modem.modem) == farm.modem(modem.modem)
        assert client.environment["SYSTEMD_DEVICE_VERIFY_SYSFS"] == "0"
    finally:
        client.disconnect()


_ADAPTERS = """
import json, sys, time
from agent.host.hotplug import UdevHotplug
from agent.host.usb import SysfsUsbBus
source = UdevHotplug(("2c7c:0125",))
(modem,) = [each for each in source.scan() if each.slot == sys.argv[1]]
print(json.dumps([modem.at_node, modem.qmi_node, modem.link_index, modem.complete]), flush=True)
SysfsUsbBus().reset(modem)
heard = set()
until = time.monotonic() + 5
while sys.argv[1] not in heard and time.monotonic() < until:
    heard |= source.wait(0.5)
print(json.dumps(sorted(heard)))
source.close()
"""


def test_the_agents_own_adapters_find_and_reset_a_modem(farm: Farm, modem: ModemStatus) -> None:
    farm.fault(modem.modem, "hang", until="usb_reset")
    said = output(farm, sys.executable, "-c", _ADAPTERS, str(modem.slot)).splitlines()
    assert json.loads(said[0]) == [modem.at_node, modem.qmi_node, modem.link_index, True]
    assert json.loads(said[-1]) == [modem.slot]
    until(lambda: farm.modem(modem.modem).faults == ())
