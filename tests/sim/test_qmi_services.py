"""QMI services of an emulated modem beyond the data session: what ModemManager asks of them, and what they tell."""

from __future__ import annotations

import pytest

from agent.sim.ec25.qmux import QmiFault
from agent.sim.farm import Farm
from agent.sim.records import ModemStatus
from tests.sim.drive import at, qmicli, until
from tests.sim.qmi_client import DMS, NAS, UIM, WDS, QmiClient
from tests.sim.test_firmware import Bench, on_bench

SERVING_SYSTEM, SYSTEM_INFO, SIGNAL_INFO, CARD_STATUS, EVENT_REPORT = 0x24, 0x4E, 0x51, 0x32, 0x01


# -- on the bench: indications, and requests that qmicli cannot make


def test_registration_is_told_to_those_who_asked_for_it() -> None:
    async def test(bench: Bench) -> None:
        qmi = QmiClient(bench.firmware)
        one, other = qmi.allocate(NAS), qmi.allocate(NAS)
        assert qmi.ask(NAS, one, 0x03, {0x13: b"\1", 0x18: b"\1"}).fault == 0
        await bench.ask("AT+COPS=2")
        (left,) = qmi.indications(NAS, SERVING_SYSTEM)
        assert left.client == one != other
        assert left.tlvs[1][:3] == bytes([0, 2, 2])
        await bench.ask("AT+COPS=0")
        states = [each.tlvs[1][0] for each in qmi.indications(NAS, SERVING_SYSTEM)]
        assert states == [2, 1]
        qmi.ask(NAS, one, 0x03, {0x13: b"\0"})
        await bench.ask("AT+COPS=2")
        assert not qmi.indications(NAS, SERVING_SYSTEM)
        await bench.ask("AT+COPS=0")
        assert qmi.indications(NAS, SYSTEM_INFO)

    on_bench(test)


def test_a_client_that_is_given_back_is_told_nothing_more() -> None:
    async def test(bench: Bench) -> None:
        qmi = QmiClient(bench.firmware)
        client = qmi.allocate(NAS)
        qmi.ask(NAS, client, 0x03, {0x13: b"\1"})
        qmi.ask(0, 0, 0x23, {1: bytes([NAS, client])})
        assert qmi.allocate(NAS) == client
        await bench.ask("AT+COPS=2")
        assert not qmi.indications(NAS, SERVING_SYSTEM)

    on_bench(test)


def test_the_signal_is_told_at_first_and_not_again_while_it_stays() -> None:
    async def test(bench: Bench) -> None:
        qmi = QmiClient(bench.firmware)
        client = qmi.allocate(NAS)
        qmi.ask(NAS, client, 0x03, {0x19: b"\1"})
        (told,) = qmi.indications(NAS, SIGNAL_INFO)
        assert told.tlvs == qmi.ask(NAS, client, 0x4F).tlvs
        qmi.ask(NAS, client, 0x03, {0x19: b"\1"})
        assert not qmi.indications(NAS, SIGNAL_INFO)

    on_bench(test)


def test_the_card_and_the_operating_mode_are_told() -> None:
    async def test(bench: Bench) -> None:
        qmi = QmiClient(bench.firmware)
        card, device = qmi.allocate(UIM), qmi.allocate(DMS)
        assert qmi.ask(UIM, card, 0x2E, {1: bytes([0b10001, 0, 0, 0])}).tlvs[0x10] == bytes([1, 0, 0, 0])
        qmi.ask(DMS, device, EVENT_REPORT, {0x14: b"\1"})
        bench.firmware.sim.present = False
        bench.firmware.sim_changed()
        (gone,) = qmi.indications(UIM, CARD_STATUS)
        assert gone.tlvs == qmi.ask(UIM, card, 0x2F).tlvs
        qmi.ask(DMS, device, 0x2E, {1: b"\1"})
        (low,) = qmi.indications(DMS, EVENT_REPORT)
        assert low.tlvs == {0x14: b"\1"}

    on_bench(test)


def test_a_port_that_is_closed_or_hung_tells_nothing() -> None:
    async def test(bench: Bench) -> None:
        qmi = QmiClient(bench.firmware)
        qmi.ask(NAS, qmi.allocate(NAS), 0x03, {0x13: b"\1"})
        qmi.port.hung = True
        await bench.ask("AT+COPS=2")
        qmi.port.hung = False
        qmi.port.close()
        await bench.ask("AT+COPS=0")
        assert not qmi.indications(NAS, SERVING_SYSTEM)
        assert not bench.firmware.on_change

    on_bench(test)


def pin(identifier: int, *texts: bytes, skip: bytes = b"") -> dict[int, bytes]:
    body = bytes([identifier]) + skip + b"".join(bytes([len(text)]) + text for text in texts)
    return {1: b"\0\0", 2: body}


def test_a_pin_is_verified_changed_and_blocked_with_a_count_of_tries() -> None:
    async def test(bench: Bench) -> None:
        qmi = QmiClient(bench.firmware)
        client = qmi.allocate(UIM)
        wrong = qmi.ask(UIM, client, 0x26, pin(1, b"0000"))
        assert (wrong.fault, wrong.tlvs[0x10]) == (QmiFault.INCORRECT_PIN, bytes([2, 10]))
        right = qmi.ask(UIM, client, 0x26, pin(1, b"4711"))
        assert (right.fault, right.tlvs[0x10]) == (0, bytes([3, 10]))
        assert bench.firmware.sim.usable
        assert qmi.ask(UIM, client, 0x28, pin(1, b"4711", b"0815")).fault == 0
        assert qmi.ask(UIM, client, 0x25, pin(1, b"4711", skip=b"\0")).fault == QmiFault.INCORRECT_PIN
        assert qmi.ask(UIM, client, 0x28, pin(1, b"1111", b"2222")).fault == QmiFault.INCORRECT_PIN
        blocked = qmi.ask(UIM, client, 0x28, pin(1, b"1111", b"2222"))
        assert (blocked.fault, blocked.tlvs[0x10]) == (QmiFault.PIN_BLOCKED, bytes([0, 10]))
        assert qmi.ask(UIM, client, 0x27, pin(1, b"00000000", b"1234")).fault == QmiFault.PIN_BLOCKED
        assert qmi.ask(UIM, client, 0x27, pin(1, b"12345678", b"1234")).fault == 0
        assert bench.firmware.sim.pin == "1234"
        assert qmi.ask(UIM, client, 0x26, pin(2, b"1234")).fault == QmiFault.INVALID_ARGUMENT
        assert qmi.ask(UIM, client, 0x26, {1: b"\0\0", 2: b"\1\7xy"}).fault == QmiFault.MALFORMED_MESSAGE
        assert qmi.ask(UIM, client, 0x26, {1: b"\0\0"}).fault == QmiFault.MISSING_ARGUMENT

    on_bench(test, pin="4711")


@pytest.mark.parametrize(
    ("identifier", "path", "content"),
    [
        (0x2FE2, [0x3F00], "989410000000000000f1"),
        (0x6F07, [0x3F00, 0x7FFF], "08 29 26 10 00 00 00 00 10"),
        (0x6FAD, [0x3F00, 0x7F20], "00 00 00 02"),
    ],
)
def test_files_of_the_card_are_read_in_pieces(identifier: int, path: list[int], content: str) -> None:
    async def test(bench: Bench) -> None:
        qmi = QmiClient(bench.firmware)
        client = qmi.allocate(UIM)
        words = b"".join(each.to_bytes(2, "little") for each in path)
        name = {1: b"\0\0", 2: identifier.to_bytes(2, "little") + bytes([len(words)]) + words}
        wanted = bytes.fromhex(content)
        for offset, length in ((0, 0), (1, 2)):
            cut = wanted[offset : offset + length] if length else wanted
            heard = qmi.ask(UIM, client, 0x20, {**name, 3: bytes([offset, 0, length, 0])})
            assert heard.tlvs == {0x10: b"\x90\0", 0x11: len(cut).to_bytes(2, "little") + cut}

    on_bench(test)


def test_files_are_closed_before_the_pin_except_the_card_s_number() -> None:
    async def test(bench: Bench) -> None:
        qmi = QmiClient(bench.firmware)
        client = qmi.allocate(UIM)
        everything = {1: b"\0\0", 3: bytes(4)}
        iccid = qmi.ask(UIM, client, 0x20, {**everything, 2: bytes.fromhex("e22f02003f")})
        imsi = qmi.ask(UIM, client, 0x20, {**everything, 2: bytes.fromhex("076f04003fff7f")})
        assert iccid.fault == 0
        assert (imsi.fault, imsi.tlvs) == (QmiFault.ACCESS_DENIED, {0x10: b"\x69\x82"})

    on_bench(test, pin="4711")


def test_no_client_is_answered_about_messages_that_the_firmware_does_not_know() -> None:
    async def test(bench: Bench) -> None:
        qmi = QmiClient(bench.firmware)
        for service in (WDS, DMS, NAS, UIM):
            assert qmi.ask(service, qmi.allocate(service), 0x5555).fault == QmiFault.INVALID_QMI_COMMAND

    on_bench(test)


# -- in a farm: the real qmicli

in_farm = pytest.mark.root


@in_farm
def test_where_the_modem_stands(farm: Farm, modem: ModemStatus) -> None:
    said = qmicli(farm, modem.qmi_node, "--nas-get-system-info")
    lte = said.partition("LTE service:")[2]
    assert "Status: 'available'" in lte
    assert "MCC: '262'" in lte
    assert "Tracking Area Code" in lte
    assert "current-serving, home" in qmicli(farm, modem.qmi_node, "--nas-network-scan")
    assert "PLMN: '2620" in qmicli(farm, modem.qmi_node, "--nas-get-cell-location-info")
    until(lambda: "Operator Name: '" in qmicli(farm, modem.qmi_node, "--nas-get-operator-name"))


@in_farm
def test_a_modem_that_may_not_use_lte_finds_no_cell(farm: Farm, modem: ModemStatus) -> None:
    def choose(wanted: str) -> str:
        return qmicli(farm, modem.qmi_node, f"--nas-set-system-selection-preference={wanted}")

    assert "successfully" in choose("umts")
    assert not farm.modem(modem.modem).registered
    said = qmicli(farm, modem.qmi_node, "--nas-get-system-selection-preference")
    assert "Mode preference: 'umts'" in said
    assert "LTE band preference: '1, 3, 5, 7, 8, 20, 28, 38, 40, 41'" in said
    assert "successfully" in choose("lte,manual=99999")
    assert not farm.modem(modem.modem).registered
    assert "successfully" in choose("gsm|umts|lte,automatic")
    until(lambda: farm.modem(modem.modem).registered)


@in_farm
def test_the_card_loses_its_power_and_has_it_again(farm: Farm, modem: ModemStatus) -> None:
    assert "SIM power off" in qmicli(farm, modem.qmi_node, "--uim-sim-power-off=1")
    assert "power-down" in qmicli(farm, modem.qmi_node, "--uim-get-card-status")
    assert "+CME ERROR: 13" in at(farm, modem.at_node, "AT+CPIN?")[0]
    assert not farm.modem(modem.modem).registered
    assert "SIM power on" in qmicli(farm, modem.qmi_node, "--uim-sim-power-on=1")
    until(lambda: farm.modem(modem.modem).registered)


@in_farm
def test_profiles_are_the_contexts_of_the_at_port(farm: Farm, modem: ModemStatus) -> None:
    created = qmicli(farm, modem.qmi_node, "--wds-create-profile=3gpp,apn=abc,pdp-type=IP,auth=PAP,username=u,name=n")
    assert "Profile index: '2'" in created
    assert '+CGDCONT: 2,"IP","abc"' in at(farm, modem.at_node, "AT+CGDCONT?")[0]
    at(farm, modem.at_node, 'AT+CGDCONT=1,"IPV4V6","internet"')
    listed = qmicli(farm, modem.qmi_node, "--wds-get-profile-list=3gpp")
    assert "[2] 3gpp - n" in listed
    assert "APN: 'internet'" in listed
    assert "APN: internet" in qmicli(farm, modem.qmi_node, "--wds-get-lte-attach-parameters")
    assert "deleted" in qmicli(farm, modem.qmi_node, "--wds-delete-profile=3gpp,2")
    assert "invalid-profile-number" in qmicli(farm, modem.qmi_node, "--wds-delete-profile=3gpp,2")
    assert "started" in qmicli(farm, modem.qmi_node, "--wds-start-network=3gpp-profile=1,ip-type=4")


@in_farm
def test_facts_about_the_device(farm: Farm, modem: ModemStatus) -> None:
    for option, text in {
        "--dms-get-band-capabilities": "LTE bands: '1, 3, 5, 7, 8, 20, 28, 38, 40, 41'",
        "--dms-get-software-version": "EC25EUXGAR08A17M1G",
        "--dms-get-power-state": "external-source",
        "--dms-get-msisdn": "NotProvisioned",
        "--dms-uim-get-pin-status": "InvalidQmiCommand",
        "--wds-get-channel-rates": "Max RX rate:     150000000bps",
        "--wds-get-current-data-bearer-technology": "OutOfCall",
    }.items():
        assert text in qmicli(farm, modem.qmi_node, option), option
