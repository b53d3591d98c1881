"""The real qmicli, the real qmi-proxy and pyserial against an emulated modem, inside the farm's namespaces."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.core.errors import DeviceError
from agent.sim.farm import Farm
from agent.sim.records import ModemStatus
from tests.postgres_fixture import missing_service
from tests.sim.drive import at, output, qmicli, run, until

pytestmark = pytest.mark.root


@pytest.mark.parametrize("proxy", [False, True], ids=["straight", "by qmi-proxy"])
def test_a_data_session_from_start_to_stop(farm: Farm, modem: ModemStatus, proxy: bool) -> None:
    def ask(*arguments: str) -> str:
        return qmicli(farm, modem.qmi_node, *arguments, proxy=proxy)

    assert f"IMEI: '{modem.imei}'" in ask("--dms-get-ids")
    assert "Application state: 'ready'" in ask("--uim-get-card-status")
    assert "Registration state: 'registered'" in ask("--nas-get-serving-system")
    assert "RSRP: '-" in ask("--nas-get-signal-info")
    assert "RSRP:" in ask("--nas-get-signal-strength")
    assert "Link layer protocol: 'raw-ip'" in ask("--wda-set-data-format=link-layer-protocol=raw-ip")
    assert "'disconnected'" in ask("--wds-get-packet-service-status")
    assert "OutOfCall" in ask("--wds-get-current-settings")
    started = ask("--wds-start-network=apn=internet,ip-type=4", "--client-no-release-cid")
    client = started.split("CID: '")[1].split("'")[0]
    handle = started.split("handle: '")[1].split("'")[0]
    mine = (f"--client-cid={client}", "--client-no-release-cid")
    assert "'connected'" in ask("--wds-get-packet-service-status", *mine)
    assert "NoEffect" in ask("--wds-start-network=apn=internet,ip-type=4", *mine)
    settings = ask("--wds-get-current-settings", *mine)
    (address,) = farm.modem(modem.modem).addresses
    assert f"IPv4 address: {address}\n" in settings
    assert "MTU: 1" in settings
    assert "TX bytes OK: 0" in ask("--wds-get-packet-statistics", *mine)
    assert "InvalidHandle" in ask("--wds-stop-network=77", *mine)
    assert "Network stopped" in ask(f"--wds-stop-network={handle}", f"--client-cid={client}")
    assert farm.modem(modem.modem).addresses == ()
    assert farm.modem(modem.modem).qmi_clients == {}


def test_both_families_have_settings_of_their_own(farm: Farm, modem: ModemStatus) -> None:
    for family in ("4", "6"):
        qmicli(farm, modem.qmi_node, f"--wds-start-network=apn=x,ip-type={family}", "--client-no-release-cid")
    ipv4, ipv6 = farm.modem(modem.modem).addresses
    # A client asks for the family it chose; the ids were given out in order.
    said = qmicli(farm, modem.qmi_node, "--wds-get-current-settings", "--client-cid=2", "--client-no-release-cid")
    assert f"IPv6 address: {ipv6}/64" in said
    assert ":" not in ipv4


def test_a_session_ends_when_its_client_id_is_released(farm: Farm, modem: ModemStatus) -> None:
    assert "Network started" in qmicli(farm, modem.qmi_node, "--wds-start-network=apn=internet")
    until(lambda: farm.modem(modem.modem).addresses == ())


def test_client_ids_run_out_and_come_back(farm: Farm, modem: ModemStatus) -> None:
    for _ in range(16):
        qmicli(farm, modem.qmi_node, "--wds-noop", "--client-no-release-cid")
    assert len(farm.modem(modem.modem).qmi_clients["wds"]) == 16
    assert "ClientIdsExhausted" in qmicli(farm, modem.qmi_node, "--wds-noop")
    qmicli(farm, modem.qmi_node, "--wds-noop", "--client-cid=5")
    assert "started" in qmicli(farm, modem.qmi_node, "--wds-start-network=apn=internet")


def test_an_unknown_client_id_is_told_so(farm: Farm, modem: ModemStatus) -> None:
    said = qmicli(farm, modem.qmi_node, "--wds-get-packet-service-status", "--client-cid=9", "--client-no-release-cid")
    assert "InvalidClientId" in said


@pytest.mark.parametrize(
    ("reason", "text"),
    [(8, "operator-determined-barring"), (27, "unknown-apn"), (29, "authentication-failed"), (33, "")],
)
def test_a_refused_call_says_why(farm: Farm, modem: ModemStatus, reason: int, text: str) -> None:
    farm.fault(modem.modem, "call_failed", reason=reason)
    said = qmicli(farm, modem.qmi_node, "--wds-start-network=apn=internet")
    assert "CallFailed" in said
    assert f"(6,{reason}): [3gpp] {text}" in said
    farm.clear(modem.modem, "call_failed")
    assert "started" in qmicli(farm, modem.qmi_node, "--wds-start-network=apn=internet")


def test_a_session_of_the_firmware_itself_gives_no_effect(farm: Farm, modem: ModemStatus) -> None:
    farm.fault(modem.modem, "session_exists")
    assert "NoEffect" in qmicli(farm, modem.qmi_node, "--wds-start-network=apn=internet")
    assert "IPv4 address" in qmicli(farm, modem.qmi_node, "--wds-get-current-settings")


def test_the_driver_tells_qmicli_that_the_port_is_qmi(farm: Farm, modem: ModemStatus) -> None:
    said = qmicli(farm, modem.qmi_node, "--get-wwan-iface", proxy=False)
    assert said.strip() == modem.link_name
    assert "802-3" in qmicli(farm, modem.qmi_node, "--get-expected-data-format", proxy=False)
    qmicli(farm, modem.qmi_node, "--set-expected-data-format=raw-ip", proxy=False)
    assert "raw-ip" in qmicli(farm, modem.qmi_node, "--get-expected-data-format", proxy=False)


def test_pyserial_talks_to_both_at_ports(farm: Farm, modem: ModemStatus) -> None:
    first = at(farm, modem.at_node, "AT", "ATE0", "ATI", "AT+CGSN", "AT+QCCID", "AT+COPS?")
    assert first[0].endswith("AT\r\r\nOK\r\n")
    assert first[2] == "\r\nQuectel\r\nEC25\r\nRevision: EC25EUXGAR08A17M1G\r\n\r\nOK\r\n"
    assert first[3] == f"\r\n{modem.imei}\r\n\r\nOK\r\n"
    assert modem.iccid in first[4]
    assert '+COPS: 0,0,"' in first[5]
    assert modem.at_node is not None
    second = f"/dev/ttyUSB{int(modem.at_node.removeprefix('/dev/ttyUSB')) + 1}"
    assert at(farm, second, "AT+CGSN")[0].startswith("AT+CGSN\r\r\n")


def test_a_hung_port_says_nothing_until_the_usb_reset(farm: Farm, modem: ModemStatus) -> None:
    farm.fault(modem.modem, "hang", until="usb_reset")
    assert at(farm, modem.at_node, "AT", seconds=0.3) == [""]
    authorized = f"/sys/bus/usb/devices/{modem.slot}/authorized"
    output(farm, "sh", "-c", f"echo 0 > {authorized}; echo 1 > {authorized}")
    until(lambda: farm.modem(modem.modem).faults == ())
    assert "OK" in at(farm, farm.modem(modem.modem).at_node, "AT")[0]


def test_a_hung_qmi_port_answers_nobody(farm: Farm, modem: ModemStatus) -> None:
    farm.fault(modem.modem, "qmi_hang")
    assert run(farm, "timeout", "1", "qmicli", "-d", str(modem.qmi_node), "--dms-get-ids").returncode == 124
    farm.clear(modem.modem)
    assert modem.imei in qmicli(farm, modem.qmi_node, "--dms-get-ids", proxy=False)


def require_fuse() -> None:
    if not Path("/dev/fuse").exists():
        missing_service("needs /dev/fuse: a container may have to be given it")


def test_an_open_that_hangs_can_be_killed_and_ends_with_the_fault(farm: Farm, modem: ModemStatus) -> None:
    require_fuse()
    farm.fault(modem.modem, "open_hang")
    started = time.monotonic()
    hung = run(farm, "timeout", "-s", "KILL", "0.5", "cat", str(modem.at_node))
    assert hung.returncode == -9 or hung.returncode == 137
    assert 0.4 < time.monotonic() - started < 5
    farm.clear(modem.modem)
    assert "OK" in at(farm, modem.at_node, "AT")[0]


def test_an_open_that_hangs_does_not_outlive_the_modem(farm: Farm, modem: ModemStatus) -> None:
    require_fuse()
    farm.fault(modem.modem, "open_hang")
    with subprocess.Popen(farm.command(["cat", str(modem.at_node)]), stderr=subprocess.PIPE) as cat:
        time.sleep(0.2)
        assert cat.poll() is None
        farm.unplug(modem.modem)
        _, errors = cat.communicate(timeout=5)
    assert errors


def test_garbled_answers_come_and_go(farm: Farm, modem: ModemStatus) -> None:
    farm.fault(modem.modem, "garble")
    assert at(farm, modem.at_node, "ATI", seconds=0.5)[0] != at(farm, modem.at_node, "ATI", seconds=0.5)[0]
    farm.clear(modem.modem)
    assert "Quectel" in at(farm, modem.at_node, "ATI")[0]


def test_echo_comes_back(farm: Farm, modem: ModemStatus) -> None:
    assert at(farm, modem.at_node, "ATE0", "AT")[1] == "\r\nOK\r\n"
    farm.fault(modem.modem, "echo")
    assert at(farm, modem.at_node, "AT")[0] == "AT\r\r\nOK\r\n"


def test_states_of_the_sim(farm: Farm, modem: ModemStatus) -> None:
    at(farm, modem.at_node, "AT+CMEE=2")
    farm.fault(modem.modem, "no_sim")
    assert "SIM not inserted" in at(farm, modem.at_node, "AT+CPIN?")[0]
    assert "Card state: 'absent'" in qmicli(farm, modem.qmi_node, "--uim-get-card-status")
    farm.clear(modem.modem)
    farm.fault(modem.modem, "pin", pin="4711")
    assert "+CPIN: SIM PIN" in at(farm, modem.at_node, "AT+CPIN?")[0]
    assert "pin1-or-upin-pin-required" in qmicli(farm, modem.qmi_node, "--uim-get-card-status")
    assert not farm.modem(modem.modem).registered
    assert "OK" in at(farm, modem.at_node, 'AT+CPIN="4711"')[0]
    until(lambda: farm.modem(modem.modem).registered)
    farm.clear(modem.modem)
    farm.fault(modem.modem, "puk")
    assert "+CPIN: SIM PUK" in at(farm, modem.at_node, "AT+CPIN?")[0]
    assert "puk1-or-upin-puk-required" in qmicli(farm, modem.qmi_node, "--uim-get-card-status")


def test_registration_denied_and_no_signal(farm: Farm, modem: ModemStatus) -> None:
    farm.fault(modem.modem, "denied")
    until(lambda: "registration-denied" in qmicli(farm, modem.qmi_node, "--nas-get-serving-system"))
    assert "CallFailed" in qmicli(farm, modem.qmi_node, "--wds-start-network=apn=internet")
    farm.clear(modem.modem)
    until(lambda: farm.modem(modem.modem).registered)
    farm.fault(modem.modem, "no_signal")
    assert "+CSQ: 99,99" in at(farm, modem.at_node, "AT+CSQ")[0]
    assert "searching" in qmicli(farm, modem.qmi_node, "--nas-get-serving-system")


def test_the_same_imei_twice(farm: Farm, modem: ModemStatus) -> None:
    other = farm.plug().modem
    farm.fault(other, "same_imei", other=modem.modem)
    assert farm.modem(other).imei == modem.imei
    assert modem.imei in at(farm, farm.modem(other).at_node, "AT+CGSN")[0]
    farm.unplug(other)


def test_a_modem_in_the_wrong_mode_has_no_qmi_until_it_is_repaired(farm: Farm, modem: ModemStatus) -> None:
    wrong = farm.fault(modem.modem, "usbnet", mode=1)
    assert wrong.qmi_node is None
    assert wrong.link_name is None
    until(lambda: '+QCFG: "usbnet",1' in at(farm, wrong.at_node, 'AT+QCFG="usbnet"', seconds=0.3)[0])
    assert "OK" in at(farm, wrong.at_node, 'AT+QCFG="usbnet",0', "AT+CFUN=1,1")[1]
    until(lambda: farm.modem(modem.modem).qmi_node is not None)


def test_cfun_takes_the_modem_off_the_bus_and_brings_it_back(farm: Farm, modem: ModemStatus) -> None:
    at(farm, modem.at_node, "AT+CFUN=1,1")
    until(lambda: farm.modem(modem.modem).slot is None)
    until(lambda: farm.modem(modem.modem).slot == modem.slot)
    until(lambda: farm.modem(modem.modem).registered)


def test_power_down_is_for_good(farm: Farm, modem: ModemStatus) -> None:
    at(farm, modem.at_node, "AT+QPOWD=1")
    until(lambda: farm.modem(modem.modem).slot is None)
    with pytest.raises(DeviceError, match="not plugged in"):
        farm.unplug(modem.modem)


def test_what_makes_no_sense_is_refused(farm: Farm, modem: ModemStatus) -> None:
    for name, arguments in (("nonsense", {}), ("hang", {"until": "doomsday"}), ("denied", {"until": "reboot"})):
        with pytest.raises(DeviceError):
            farm.fault(modem.modem, name, **arguments)
    with pytest.raises(DeviceError):
        farm.unplug(99)
    with pytest.raises(DeviceError, match="taken"):
        farm.plug(modem.slot)


def test_entering_the_farm_is_quick(farm: Farm) -> None:
    times = []
    for _ in range(5):
        started = time.monotonic()
        output(farm, "true")
        times.append(time.monotonic() - started)
    assert min(times) < 0.1


def test_numbers_change_on_replug(farm: Farm, modem: ModemStatus) -> None:
    other = farm.plug()
    farm.unplug(modem.modem)
    farm.unplug(other.modem)
    first, second = farm.replug(other.modem), farm.replug(modem.modem)
    assert (first.at_node, second.at_node) == (modem.at_node, other.at_node)
    assert (first.slot, second.slot) == (other.slot, modem.slot)
    farm.unplug(other.modem)


def test_a_modem_can_have_a_serial_number(farm: Farm, modem: ModemStatus) -> None:
    device = f"/sys/bus/usb/devices/{modem.slot}"
    assert run(farm, "cat", f"{device}/serial").returncode != 0
    farm.fault(modem.modem, "usb_serial", serial="EC25A1")
    assert output(farm, "cat", f"{device}/serial").strip() == "EC25A1"


def test_the_diag_port_is_recognised(farm: Farm, modem: ModemStatus) -> None:
    assert modem.at_node is not None
    diag = f"/dev/ttyUSB{int(modem.at_node.removeprefix('/dev/ttyUSB')) - 2}"
    script = "import serial, sys; port = serial.Serial(sys.argv[1], timeout=2); port.write(bytes.fromhex('0078f07e'));"
    said = output(farm, sys.executable, "-c", script + " print(port.read_until(b'~').hex())", diag)
    assert bytes.fromhex(said).startswith(b"\0Mar 21 2019")
