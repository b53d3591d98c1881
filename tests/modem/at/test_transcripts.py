"""Every transcript, parsed to what a person reads in it."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface

import pytest

from agent.modem.at.bearers import parse_addresses
from agent.modem.at.codes import cme_error
from agent.modem.at.configuration import parse_usbnet
from agent.modem.at.exchange import AtExchange
from agent.modem.at.identity import parse_ati
from agent.modem.at.operators import OperatorSelection, parse_network_info, parse_operator, parse_operator_scan
from agent.modem.at.redaction import HIDDEN, redact
from agent.modem.at.registration import Domain, parse_registration, parse_registration_line
from agent.modem.at.serving_cell import ServingCell, ServingState, parse_serving_cell
from agent.modem.at.signal_quality import parse_csq, parse_qcsq
from agent.modem.at.sim import parse_iccid, parse_sim_state, sim_state_of_error
from agent.modem.model import (
    AccessTechnology,
    Identity,
    IpSettings,
    Registration,
    RegistrationState,
    Signal,
    Sim,
    SimState,
)
from agent.modem.qmi.card import parse_card_status
from agent.modem.qmi.device import parse_operating_mode, parse_revision
from agent.modem.qmi.failures import FailureKind, parse_failure
from agent.modem.qmi.network import parse_serving_system, parse_signal_info
from agent.modem.qmi.sessions import ConnectionStatus, parse_connection_status, parse_kept_client_id
from agent.modem.qmi.settings import parse_current_settings
from tests.modem.at.transcripts import body, names, replay, synchronised, text

HOME, ROAMING, SEARCHING, DENIED = (
    RegistrationState.HOME,
    RegistrationState.ROAMING,
    RegistrationState.SEARCHING,
    RegistrationState.DENIED,
)
LTE, UMTS, GSM = AccessTechnology.LTE, AccessTechnology.UMTS, AccessTechnology.GSM


def lines(number: str) -> list[str]:
    return [line.strip() for line in text(number).splitlines() if line.strip()]


def test_01_one_line_asks_many_things() -> None:
    found = replay(body("01"))
    answer = found.answers["ATI;+CSUB;+CSQ;+CPIN?;+COPS?;+CGREG?;&D2"]
    assert parse_ati(answer) == Identity(imei=None, manufacturer="Quectel", model="EC25", revision="EC25EUXGAR08A17M1G")
    assert parse_csq(answer) == Signal(rssi_dbm=-53)
    assert parse_sim_state(answer) is SimState.READY
    assert parse_operator(answer) == OperatorSelection(mode=0, name="Suning", access_technology=LTE)
    assert parse_registration(answer, Domain.PS).state is HOME
    assert "SubEdition: V01" in answer
    assert found.urcs == found.errors == found.discarded == []


def test_02_a_boot_tells_its_stages() -> None:
    found = replay(body("02"))
    assert found.urcs == ["RDY", "+CFUN: 1", "+CPIN: READY", "+QUSIM: 1", "+QIND: SMS DONE", "+QIND: PB DONE"]
    assert found.answers == {"AT": ()}


def test_04_a_urc_comes_before_the_result() -> None:
    found = replay(body("04"))
    assert parse_registration(found.answers["AT+CREG?"], Domain.CS).state is HOME
    assert found.urcs == ["+QIND: PB DONE"]


def test_06_a_message_is_sent() -> None:
    found = replay(body("06"))
    assert found.prompts == 1
    assert found.answers['AT+CMGS="yourphonenumber"'] == ("+CMGS: 13",)
    assert found.discarded == ["Hello from Apache NuttX RTOS on PinePhone! (SMS Text Mode)"]
    assert "Hello" not in redact(text("06"))
    assert "+CMGS: 13" in redact(text("06"))


def test_08_a_message_is_refused() -> None:
    found = replay(body("08"), command='AT+CMGS="1"')
    assert found.errors == ['AT+CMGS="1": error 350 (CMS 350)']


def test_10_the_radio_is_switched_off_and_on() -> None:
    found = replay(body("10"))
    assert found.errors == ["at: ERROR"]
    assert parse_operator(found.answers["at+cops?"]).name == "IND airtel airtel"
    assert parse_csq(found.answers["at+csq"]).rssi_dbm == -79
    assert parse_registration(found.answers["at+creg?"], Domain.CS).state is HOME
    assert found.answers["AT+QIACT?"] == ()
    assert len(found.answers["AT+CGDCONT?"]) == 3
    assert found.urcs[:4] == ["+CPIN: READY", "+QUSIM: 1", "+QIND: SMS DONE", "+QIND: PB DONE"]
    assert found.urcs[-1] == "+QPING: 0,4,4,0,39,63,52"
    assert len(found.urcs) == 9


def test_12_limited_service_on_lte_tdd() -> None:
    found = replay(body("12"))
    assert parse_serving_cell(found.answers['AT+QENG="SERVINGCELL"']) == ServingCell(
        state=ServingState.LIMITED,
        access_technology=LTE,
        duplex="TDD",
        mcc="460",
        mnc="00",
        cell_id=0x2C17802,
        physical_cell_id=407,
        channel=40936,
        band=41,
        area_code=0x2495,
        signal=Signal(rsrp_dbm=-97, rsrq_db=-10, rssi_dbm=-67, sinr_db=15),
    )
    assert found.answers['AT+QCFG="nwscanmode"'] == ('+QCFG: "nwscanmode",0',)


def test_14_idle_on_lte_fdd() -> None:
    cell = parse_serving_cell(replay(body("14")).answers['AT+QENG="servingcell"'])
    assert (cell.state, cell.duplex, cell.band, cell.area_code) == (ServingState.IDLE, "FDD", 12, 0x3AFD)
    assert (cell.mcc, cell.mnc, cell.cell_id) == ("310", "260", 0x1452808)
    assert cell.signal == Signal(rsrp_dbm=-104, rsrq_db=-11, rssi_dbm=-78, sinr_db=12)


def test_16_a_column_may_be_a_dash() -> None:
    japan, hong_kong = (parse_serving_cell([line]) for line in lines("16"))
    assert (japan.mcc, japan.mnc, japan.signal.rsrp_dbm, japan.signal.sinr_db) == ("440", "10", -71, 30)
    assert (hong_kong.mcc, hong_kong.mnc, hong_kong.area_code, hong_kong.band) == ("454", "06", 0x2E19, 3)


def test_18_idle_on_umts() -> None:
    cells = [parse_serving_cell([line]) for line in lines("18")]
    assert [(cell.access_technology, cell.mcc, cell.mnc) for cell in cells] == [
        (UMTS, "440", "10"),
        (UMTS, "515", "03"),
        (UMTS, "310", "410"),
    ]
    assert [cell.signal.rssi_dbm for cell in cells] == [-75, -79, -91]
    assert (cells[2].area_code, cells[2].cell_id, cells[2].channel) == (0xDEA6, 0x2883C, 4385)


def test_20_limited_service_on_gsm() -> None:
    found = replay(body("20"))
    cell = parse_serving_cell(found.answers['AT+QENG="servingcell";'])
    assert (cell.state, cell.access_technology, cell.area_code) == (ServingState.LIMITED, GSM, 0x587)
    assert (cell.cell_id, cell.physical_cell_id, cell.channel) == (0x293A, 31, 98)
    assert cell.signal == Signal(rssi_dbm=-63)


def test_22_a_value_wraps_over_two_lines() -> None:
    parts = [part for part in text("22").split("OK") if part.strip()]
    cells = [parse_serving_cell(replay(part.encode()).answers['AT+QENG="servingcell"']) for part in parts]
    assert [cell.state for cell in cells] == [ServingState.SEARCH, ServingState.LIMITED, ServingState.IDLE]
    assert cells[0] == ServingCell(state=ServingState.SEARCH)
    assert [cell.signal.rssi_dbm for cell in cells[1:]] == [-67, -111]


def test_24_a_modem_on_a_bench() -> None:
    answers = replay(body("24")).answers
    assert parse_sim_state(answers["AT+CPIN?"]) is SimState.READY
    assert parse_registration(answers["AT+CREG?"], Domain.CS).state is HOME
    assert parse_registration(answers["AT+CEREG?"], Domain.EPS).state is HOME
    assert parse_csq(answers["AT+CSQ"]).rssi_dbm == -77
    assert parse_operator(answers["AT+COPS?"]).name == "Verizon Wireless"
    network = parse_network_info(answers["AT+QNWINFO"])
    assert network is not None
    assert (network.access_technology, network.plmn, network.band, network.channel) == (
        LTE,
        "311480",
        "LTE BAND 13",
        5230,
    )
    assert parse_qcsq(answers["AT+QCSQ"]) == Signal(rssi_dbm=-78, rsrp_dbm=-106, sinr_db=4.6, rsrq_db=-14)


def test_26_a_sim_failure_clears_with_the_radio() -> None:
    found = replay(body("26"))
    assert found.errors == ["AT+CPIN?: SIM failure (CME 13)"]
    assert sim_state_of_error(cme_error("AT+CPIN?", "13")) is SimState.FAILURE
    assert parse_sim_state(found.answers["AT+CPIN?"]) is SimState.READY


def test_28_names_of_technologies() -> None:
    found = [parse_network_info([line]) for line in lines("28")]
    assert [(each.access_technology, each.band) for each in found if each is not None] == [
        (LTE, "LTE BAND 3"),
        (UMTS, "WCDMA 850"),
        (GSM, "GSM 900"),
        (UMTS, "WCDMA 2100"),
        (GSM, "GSM 900"),
    ]


def test_30_denied_and_without_service() -> None:
    answer = lines("30")
    assert parse_sim_state(answer) is SimState.READY
    assert parse_operator(answer) == OperatorSelection(mode=0)
    assert parse_registration(answer, Domain.EPS).state is DENIED
    assert parse_csq(answer) == Signal()
    assert parse_network_info(answer) is None
    (context,) = parse_addresses(answer)
    assert (context.context_id, context.addresses) == (1, ())


def test_32_carrier_profiles_are_one_answer() -> None:
    found = replay(body("32"))
    answer = found.answers['AT+QMBNCFG="List"']
    assert len(answer) == 7
    assert answer[4] == '+QMBNCFG: "List",4,1,1,"Commercial-TMO_VoLTE",0x05010505,201811231'
    assert found.urcs == []


def test_34_the_card_number() -> None:
    assert parse_iccid(replay(body("34")).answers["AT+QCCID"]) == "89860318045712762387"


def test_36_urcs_come_before_the_echo() -> None:
    found = replay(body("36"))
    assert found.urcs == ["RDY", "+CPIN: READY", "+QUSIM: 1", "+CFUN: 1"]
    assert [line.split(",")[2] for line in found.answers["AT+CGDCONT?"]] == ['"internet"', '"ims"', '"sos"']


def test_36_urcs_come_between_the_command_and_its_echo() -> None:
    exchange = synchronised()
    exchange.begin("AT+CGDCONT?")
    events = exchange.receive(body("36"))
    assert [type(event).__name__ for event in events] == ["Unsolicited"] * 4 + ["Answered"]
    assert exchange.echo_seen


def test_38_composition_and_radio() -> None:
    found = replay(body("38"))
    assert parse_usbnet(found.answers['AT+QCFG="usbnet"']) == 0
    assert found.answers["AT+CFUN=0"] == found.answers["AT+CFUN=1"] == ()
    assert len(found.errors) == 1
    assert found.errors[0].endswith(": ERROR")


def test_40_a_scan_for_operators() -> None:
    without_times = re.sub(rb"(?m)^\[[^\]]*\]", b"", body("40"))
    found = parse_operator_scan(replay(without_times).answers["AT+COPS=?"])
    assert [(each.plmn, each.access_technology, each.status) for each in found] == [
        ("45204", LTE, 2),
        ("45204", UMTS, 1),
        ("45204", GSM, 1),
        ("45202", LTE, 1),
        ("45205", LTE, 1),
        ("45202", GSM, 1),
        ("45201", LTE, 1),
    ]
    assert found[3].name == "VN VINAPHONE"


def test_42_a_message_as_pdu() -> None:
    found = replay(body("42"), command="AT+CMGL=4")
    header, pdu = found.answers["AT+CMGL=4"]
    assert header == "+CMGL: 0,1,,98"
    assert pdu.startswith("09A164000339341002F00405")
    assert redact(text("42")) == f"+CMGL: 0,1,,98\n{HIDDEN}"


def test_44_messages_as_text() -> None:
    found = replay(body("44"), command='AT+CPMS?;+CMGL="ALL"')
    answer = found.answers['AT+CPMS?;+CMGL="ALL"']
    assert [line.split(":")[0] for line in answer] == ["+CPMS", "+CMGL", answer[2], "+CMGL"]
    assert bytes.fromhex(answer[2]).decode("utf-16-be").startswith("Доброе утро!")
    assert answer[2] not in redact(text("44"))


def test_46_an_operator_answers_a_ussd_code() -> None:
    found = replay(body("46"))
    assert len(found.urcs) == 1
    assert found.urcs[0].startswith('+CUSD: 0,"0421043F')


def test_48_every_shape_of_registration() -> None:
    reports = [parse_registration_line(line) for line in lines("48")]
    shown = [(each.domain.value, each.reports, each.state, each.area_code, each.cell_id) for each in reports]
    idle = RegistrationState.IDLE
    assert shown == [
        ("CREG", 1, DENIED, None, None),
        ("CREG", 2, HOME, 0xCE00, 0x1CEAD8F),
        ("CREG", 2, idle, 0, 0),
        ("CREG", 2, HOME, 0x18D8, 0xFFFF),
        ("CGREG", 2, HOME, 0x8BE3, 0x2B5D),
        ("CGREG", None, HOME, 0x8BE3, 0x2B5D),
        ("CREG", None, ROAMING, None, None),
        ("CGREG", None, idle, None, None),
        ("CEREG", 2, HOME, 0x1F00, 0x79D903),
        ("CEREG", None, HOME, 0x1F00, 0x79D903),
        ("CEREG", 2, ROAMING, 0x8D83, 0x671F98A),
        ("CEREG", 2, ROAMING, 0x2CA8, 0xB5583D),
    ]
    unknown = AccessTechnology.UNKNOWN
    assert [each.access_technology for each in reports] == [*[unknown] * 4, GSM, GSM, unknown, unknown, *[LTE] * 4]


def test_49_a_delivery_report_reads_empty() -> None:
    found = replay(body("49"), command="AT+CMGS=41")
    assert found.answers == {"AT+CMGS=41": ("+CMGS: 41",), "AT+CMGR=0": ()}
    assert found.urcs == ['+CDSI: "SM",0']


def test_50_bytes_come_one_and_two_at_a_time() -> None:
    chunks = [line.replace("<cr>", "\r").replace("<ln>", "\n").encode() for line in text("50").split("\n")]
    exchange = synchronised()
    exchange.begin("AT+CGACT?")
    events = [event for chunk in [*chunks, b"\r\nOK\r\n"] for event in exchange.receive(chunk)]
    assert str(events) == str(list(exchange_of("AT+CGACT?", b"\n+CGACT: 2,0\r\n+CGACT: 3,0\r\n\r\nOK\r\n")))


def exchange_of(command: str, data: bytes) -> tuple[object, ...]:
    exchange: AtExchange = synchronised()
    exchange.begin(command)
    return exchange.receive(data)


def test_51_searching() -> None:
    answers = replay(body("51")).answers
    assert parse_registration(answers["AT+CGREG?"], Domain.PS).state is SEARCHING
    assert parse_registration(answers["AT+CEREG?"], Domain.EPS).state is SEARCHING


def test_52_an_unknown_command_is_echoed_and_refused() -> None:
    found = replay(body("52"))
    assert found.errors == ["AT+MODE=2: ERROR"]
    assert found.answers["AT+CMEE=1"] == ()


def test_62_a_dial_without_service_keeps_a_client_id() -> None:
    failure = parse_failure(text("62"))
    assert (failure.kind, failure.name, failure.code) == (FailureKind.REFUSED, "CallFailed", 14)
    assert failure.reason == "no-service (cm 2001)"
    assert parse_kept_client_id(text("62")) == 16


def test_64_a_dial_that_the_carrier_does_not_allow() -> None:
    assert parse_failure(text("64")).reason == "acl-failure (cm 1042)"
    assert parse_kept_client_id(text("64")) is None


def test_66_no_client_id_in_time() -> None:
    failure = parse_failure(text("66"))
    assert failure.kind is FailureKind.TIMEOUT
    assert "Transaction timed out" in failure.message


def test_68_settings_with_a_gateway_above_the_address() -> None:
    found = parse_current_settings(text("68"))
    assert found.ipv6 is None
    assert found.ipv4 == IpSettings(
        interface=IPv4Interface("10.240.212.143/27"),
        gateway=IPv4Address("10.240.212.144"),
        nameservers=(IPv4Address("10.112.248.230"), IPv4Address("10.112.248.242")),
        mtu=1500,
    )


def test_70_connected_and_not() -> None:
    assert [parse_connection_status(line) for line in lines("70")] == [
        ConnectionStatus.CONNECTED,
        ConnectionStatus.DISCONNECTED,
    ]


def test_72_the_card_is_ready() -> None:
    assert parse_card_status(text("72")) == Sim(state=SimState.READY)


def test_74_registered_for_packets_on_lte() -> None:
    assert parse_serving_system(text("74")) == Registration(
        cs=RegistrationState.IDLE, ps=HOME, eps=HOME, access_technology=LTE, operator="JIO 4G"
    )


def test_76_lte_goes_before_5g() -> None:
    assert parse_signal_info(text("76")) == Signal(rssi_dbm=-70, rsrq_db=-12, rsrp_dbm=-97, sinr_db=9.6)


def test_78_operating_mode_and_revision() -> None:
    assert parse_operating_mode(text("78")) == "online"
    assert parse_revision(text("78")) == "SWI9X50C_01.14.03.00 b06bd3 jenkins 2020/09/23 10:53:35"


def test_80_why_the_second_session_of_ipv6_failed() -> None:
    failure = parse_failure(text("80"))
    assert (failure.name, failure.reason) == ("CallFailed", "pdn-ipv6-call-disallowed (internal 210)")


@pytest.mark.parametrize("number", ["81", "82"])
def test_what_other_programs_print_is_no_answer_and_no_urc(number: str) -> None:
    found = replay(body(number))
    assert found.discarded == lines(number)
    assert len(found.events) == len(lines(number))


def test_no_transcript_is_left_out() -> None:
    tested = {match[1] for name in globals() if (match := re.match(r"test_([0-9]{2})_", name))} | {"81", "82"}
    assert {name[:2] for name in names()} == tested
