"""Parsers of information lines, beyond what the transcripts show."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ProtocolError
from agent.modem.at.bearers import parse_addresses
from agent.modem.at.codes import CME_TEXTS, CMS_TEXTS, cme_error, cms_error
from agent.modem.at.configuration import parse_error_mode, parse_event_reports, parse_functionality, parse_usbnet
from agent.modem.at.fields import split_fields, values
from agent.modem.at.identity import parse_ati, parse_imei, parse_revision
from agent.modem.at.operators import clean_name, parse_network_info, parse_operator, parse_operator_scan
from agent.modem.at.registration import Domain, parse_registration, parse_registration_line
from agent.modem.at.serving_cell import ServingState, parse_serving_cell
from agent.modem.at.signal_quality import parse_csq, parse_qcsq
from agent.modem.at.sim import parse_iccid, parse_imsi, parse_sim_state, sim_state_of_error
from agent.modem.model import AccessTechnology, RegistrationState, Signal, SimState


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("READY", SimState.READY),
        ("SIM PIN", SimState.PIN_REQUIRED),
        ("SIM PUK", SimState.PUK_REQUIRED),
        ("SIM PIN2", SimState.PIN2_REQUIRED),
        ("SIM PUK2", SimState.PUK2_REQUIRED),
        ("PH-SIM PIN", SimState.LOCKED_TO_PHONE),
        ("PH-NET PIN", SimState.LOCKED_TO_NETWORK),
        ("PH-NETSUB PUK", SimState.LOCKED_TO_NETWORK),
        ("PH-SP PIN", SimState.LOCKED_TO_NETWORK),
        ("NOT INSERTED", SimState.ABSENT),
        ("NOT READY", SimState.BUSY),
        ("WHAT", SimState.UNKNOWN),
    ],
)
def test_sim_states(word: str, state: SimState) -> None:
    assert parse_sim_state([f"+CPIN: {word}"]) is state


@pytest.mark.parametrize(
    ("detail", "state"),
    [
        ("10", SimState.ABSENT),
        ("SIM not inserted", SimState.ABSENT),
        ("11", SimState.PIN_REQUIRED),
        ("SIM PIN required", SimState.PIN_REQUIRED),
        ("12", SimState.PUK_REQUIRED),
        ("SIM failure", SimState.FAILURE),
        ("SIM busy", SimState.BUSY),
        ("15", SimState.FAILURE),
        ("40", SimState.LOCKED_TO_NETWORK),
        ("30", None),
        ("made up", None),
    ],
)
def test_sim_states_that_come_as_errors(detail: str, state: SimState | None) -> None:
    assert sim_state_of_error(cme_error("AT+CPIN?", detail)) is state


def test_every_text_of_an_error_leads_to_its_number() -> None:
    assert [cme_error("AT", text).code for text in CME_TEXTS.values()] == list(CME_TEXTS)
    assert [cms_error("AT", text).code for text in CMS_TEXTS.values()] == list(CMS_TEXTS)


def test_numbers_of_identity() -> None:
    assert parse_imei(["860000000000017"]) == "860000000000017"
    assert parse_imei(['+CGSN: "860000000000017"']) == "860000000000017"
    assert parse_iccid(["+QCCID: 8949020000123456789F"]) == "8949020000123456789"
    assert parse_imsi(["262011234567890"]) == "262011234567890"
    assert parse_revision(["EC25EUXGAR08A17M1G_01.003.01.003"]) == "EC25EUXGAR08A17M1G_01.003.01.003"
    with pytest.raises(ProtocolError):
        parse_imei(["ERROR"])
    with pytest.raises(ProtocolError):
        parse_imei([])


@pytest.mark.parametrize(("level", "dbm"), [(0, -113), (1, -111), (31, -51), (99, None), (32, None), (199, None)])
def test_csq_is_dbm_or_unknown(level: int, dbm: float | None) -> None:
    assert parse_csq([f"+CSQ: {level},99"]).rssi_dbm == dbm


def test_qcsq_by_technology() -> None:
    assert parse_qcsq(['+QCSQ: "LTE",-63,-92,0,-11']) == Signal(rssi_dbm=-63, rsrp_dbm=-92, sinr_db=-20.0, rsrq_db=-11)
    assert parse_qcsq(['+QCSQ: "WCDMA",-71,-74,-3']) == Signal(rssi_dbm=-71)
    assert parse_qcsq(['+QCSQ: "GSM",-57']) == Signal(rssi_dbm=-57)
    assert parse_qcsq(['+QCSQ: "NOSERVICE"']) == Signal()


def test_operators_with_strange_names() -> None:
    assert parse_operator(['+COPS: 0,0,"A,B "C" D",7']).name == 'A,B "C" D'
    assert parse_operator(['+COPS: 0,0,"\ufffd\ufffd\\00",7']).name is None
    assert parse_operator(['+COPS: 1,2,"26201",2']).plmn == "26201"
    assert parse_operator(['+COPS: 0,0,"X"']).access_technology is AccessTechnology.UNKNOWN
    assert clean_name(' "Tele\x07kom\\00 " ') == "Telekom"
    assert parse_operator_scan(["+COPS: ,,(0-4),(0-2)"]) == ()


def test_registration_states_of_later_releases() -> None:
    states = [parse_registration_line(f"+CEREG: 2,{number}").state for number in (6, 7, 8, 9, 10)]
    assert [state.registered for state in states] == [True, True, False, True, True]
    assert states[2] is RegistrationState.DENIED
    rejected = parse_registration_line('+CEREG: 3,3,"1F00","79D903",7,0,15')
    assert (rejected.state, rejected.cell_id) == (RegistrationState.DENIED, 0x79D903)
    routed = parse_registration_line('+CGREG: 2,1,"8BE3","00002B5D",2,"0A"')
    assert (routed.cell_id, routed.access_technology) == (0x2B5D, AccessTechnology.UMTS)


def test_switches() -> None:
    assert parse_functionality(["+CFUN: 1"]) == 1
    assert parse_functionality(["+CFUN: 4,0"]) == 4
    assert parse_error_mode(["+CMEE: 2"]) == 2
    assert parse_event_reports(["+CGEREP: 2,1"]) == (2, 1)
    assert parse_event_reports(["+CGEREP: 0"]) == (0, 0)
    assert parse_usbnet(['+QCFG: "band",1', '+QCFG: "usbnet",3']) == 3
    with pytest.raises(ProtocolError):
        parse_usbnet(['+QCFG: "band",1'])


def test_addresses_of_contexts() -> None:
    octets = "32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1"
    first, second, third = parse_addresses(
        [f'+CGPADDR: 1,"10.0.0.5","{octets}"', f"+CGPADDR: 2,10.0.0.6,{octets}", "+CGPADDR: 3"]
    )
    assert first.addresses == (ip_address("10.0.0.5"), ip_address("2001:db8::1"))
    assert second.addresses == (ip_address("10.0.0.6"), ip_address("2001:db8::1"))
    assert third.addresses == ()


def test_raw_sinr_of_a_cell_is_known_by_its_range() -> None:
    line = '+QENG: "servingcell","CONNECT","LTE","FDD",262,01,1A2B03,7,1300,3,5,5,C35,-90,-9,-60,150,-'
    cell = parse_serving_cell([line])
    assert (cell.state, cell.signal.sinr_db) == (ServingState.CONNECTED, 10.0)


def test_fields_keep_commas_in_quotes_and_parentheses() -> None:
    assert split_fields('1,"a,b",,(2,3), x ') == ("1", '"a,b"', "", "(2,3)", "x")
    assert split_fields("") == ("",)
    assert values('"",-, "A" ') == ("", "-", "A")


PARSERS: list[tuple[str, Callable[[Sequence[str]], object]]] = [
    ("+CPIN:", parse_sim_state),
    ("+QCCID:", parse_iccid),
    ("+CIMI:", parse_imsi),
    ("+CREG:", lambda lines: parse_registration(lines, Domain.CS)),
    ("+CEREG:", lambda lines: parse_registration(lines, Domain.EPS)),
    ("+COPS:", parse_operator),
    ("+COPS:", parse_operator_scan),
    ("+QNWINFO:", parse_network_info),
    ("+CSQ:", parse_csq),
    ("+QCSQ:", parse_qcsq),
    ("+QENG:", parse_serving_cell),
    ('+QENG: "servingcell","NOCONN","LTE",', parse_serving_cell),
    ('+QENG: "servingcell","NOCONN","GSM",', parse_serving_cell),
    ("Quectel\n", parse_ati),
    ("", parse_imei),
    ("", parse_revision),
    ("+CFUN:", parse_functionality),
    ("+CMEE:", parse_error_mode),
    ("+CGEREP:", parse_event_reports),
    ('+QCFG: "usbnet",', parse_usbnet),
    ("+CGPADDR: 1,", parse_addresses),
]
TEXT = st.one_of(st.text(max_size=60), st.text(alphabet='0123456789,"-.()F ²', max_size=60))


@given(st.sampled_from(PARSERS), st.lists(TEXT, max_size=4))
def test_garbage_raises_nothing_but_a_protocol_error(
    parser: tuple[str, Callable[[Sequence[str]], object]], texts: list[str]
) -> None:
    head, parse = parser
    with contextlib.suppress(ProtocolError):
        parse([head + text for text in texts])
