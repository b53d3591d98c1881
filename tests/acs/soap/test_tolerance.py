"""What CPEs do wrong and are understood all the same."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.acs.soap import messages as soap
from agent.acs.soap.decode import decode
from agent.acs.soap.versions import CwmpVersion
from agent.core.errors import ProtocolError
from tests.acs.soap import captures
from tests.acs.soap.wire import CWMP, DEVICE_ID, INFORM, SOAP, envelope


def inform(inner: str) -> soap.Inform:
    message = decode(envelope(f"<cwmp:Inform>{DEVICE_ID}{inner}</cwmp:Inform>")).message
    assert isinstance(message, soap.Inform)
    return message


# The envelope


def test_nothing_is_an_envelope_without_a_message() -> None:
    for nothing in (b"", b" \r\n\t"):
        assert decode(nothing) == soap.Envelope(message=None)


@pytest.mark.parametrize("body", ["", "  \n", "<!-- nothing -->"])
def test_an_empty_body_is_no_message_but_keeps_its_header(body: str) -> None:
    assert decode(envelope(body, header="<cwmp:ID>7</cwmp:ID>")) == soap.Envelope(message=None, id="7")


@pytest.mark.parametrize("version", CwmpVersion)
def test_the_version_is_that_of_the_rpc(version: CwmpVersion) -> None:
    assert decode(envelope(INFORM, namespace=version.value)).version is version


def test_the_version_of_a_fault_is_that_of_its_detail() -> None:
    fault = (
        f'<s:Envelope xmlns:s="{SOAP}"><s:Body><s:Fault><detail><c:Fault xmlns:c="{CwmpVersion.V1_2.value}">'
        "<FaultCode>9000</FaultCode></c:Fault></detail></s:Fault></s:Body></s:Envelope>"
    )

    assert decode(fault.encode()).version is CwmpVersion.V1_2


def test_the_version_is_taken_from_wherever_it_is_said() -> None:
    of_header = f'<s:Envelope xmlns:s="{SOAP}"><s:Header><ID xmlns="{CwmpVersion.V1_1.value}">1</ID></s:Header><s:Body>'
    of_declaration = f'<s:Envelope xmlns:s="{SOAP}" xmlns:unused="{CwmpVersion.V1_4.value}"><s:Body>'
    of_nobody = f'<s:Envelope xmlns:s="{SOAP}"><s:Body>'
    rest = "<RebootResponse/></s:Body></s:Envelope>"

    assert decode((of_header + rest).encode()).version is CwmpVersion.V1_1
    assert decode((of_declaration + rest).encode()).version is CwmpVersion.V1_4
    assert decode((of_nobody + rest).encode()).version is CwmpVersion.V1_0


def test_a_version_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ProtocolError, match="a CWMP version that does not exist"):
        decode(envelope(INFORM, namespace="urn:dslforum-org:cwmp-9-9"))


@pytest.mark.parametrize(
    "data",
    [
        # Any prefixes, none, and names of any namespace.
        f'<Envelope xmlns="{SOAP}"><Body><Inform xmlns="{CWMP}">{DEVICE_ID}</Inform></Body></Envelope>',
        f'<a:Envelope xmlns:a="{SOAP}" xmlns:b.c-d="{CWMP}"><a:Body><b.c-d:Inform>{DEVICE_ID}</b.c-d:Inform></a:Body>'
        "</a:Envelope>",
        f'<Envelope><Body><x:Inform xmlns:x="{CWMP}">{DEVICE_ID}</x:Inform></Body></Envelope>',
        # Single quotes, blanks inside tags.
        f"<s:Envelope xmlns:s='{SOAP}'  xmlns:cwmp = '{CWMP}' >\n<s:Body >{INFORM}</s:Body\n></s:Envelope >",
        # SOAP 1.2 by its namespace.
        f'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:cwmp="{CWMP}"><s:Body>{INFORM}</s:Body>'
        "</s:Envelope>",
        # Comments and instructions.
        f'<?xml version="1.0"?><!-- a --><?b c?><s:Envelope xmlns:s="{SOAP}" xmlns:cwmp="{CWMP}"><!-- d --><s:Body>'
        f"<!-- e -->{INFORM}<?f?></s:Body></s:Envelope><!-- g -->",
    ],
)
def test_an_envelope_may_be_written_in_many_ways(data: str) -> None:
    assert decode(data.encode()) == decode(envelope(INFORM))


@pytest.mark.parametrize("front", [b" ", b"\r\n\r\n", b"\xef\xbb\xbf", b"\n\xef\xbb\xbf\n", b"\x01\t"])
@pytest.mark.parametrize("declaration", [b"", b'<?xml version="1.0" encoding="UTF-8"?>'])
def test_what_stands_in_front_is_dropped(front: bytes, declaration: bytes) -> None:
    assert decode(front + declaration + envelope(INFORM)) == decode(envelope(INFORM))


def test_the_id_is_without_outer_white_space_and_an_empty_one_is_none() -> None:
    for written, expected in (("\n 1 < 2 \n".replace("<", "&lt;"), "1 < 2"), ("", None), ("  ", None)):
        assert decode(envelope(INFORM, header=f"<cwmp:ID>{written}</cwmp:ID>")).id == expected


def test_the_header_of_any_version_is_read() -> None:
    header = (
        "<cwmp:HoldRequests>true</cwmp:HoldRequests><cwmp:NoMoreRequests>0</cwmp:NoMoreRequests>"
        "<cwmp:SessionTimeout> 60 </cwmp:SessionTimeout><cwmp:UseCWMPVersion>1.4</cwmp:UseCWMPVersion>"
        "<cwmp:SupportedCWMPVersions>1.0, 1.2,1.4,</cwmp:SupportedCWMPVersions><x:Else xmlns:x='y'>"
        + "z" * 1000
        + "</x:Else>"
    )

    read = decode(envelope(INFORM, header=header))

    assert (read.id, read.hold_requests, read.no_more_requests) == (None, True, False)
    assert (read.session_timeout, read.use_version) == (60, "1.4")
    assert read.supported_versions == ("1.0", "1.2", "1.4")


@pytest.mark.parametrize("timeout", ["soon", "", "-1", "99999999999999999999999"])
def test_a_session_timeout_that_is_none_is_passed_over(timeout: str) -> None:
    header = f"<cwmp:SessionTimeout>{timeout}</cwmp:SessionTimeout>"

    assert decode(envelope(INFORM, header=header)).session_timeout is None


def test_an_rpc_that_nobody_knows_is_said_to_be_one() -> None:
    assert decode(envelope("<cwmp:X_001122_Do><A/></cwmp:X_001122_Do>")).message == soap.UnknownRPC(name="X_001122_Do")


def test_of_several_elements_in_a_body_the_first_rpc_counts() -> None:
    body = '<multiRef id="1"/><cwmp:RebootResponse/><cwmp:FactoryResetResponse/>'

    assert decode(envelope(body)).message == soap.RebootResponse()


# Informs


def test_two_codes_in_one_event_struct_are_two_events_with_its_key() -> None:
    events = inform(
        "<Event><EventStruct><EventCode>7 TRANSFER COMPLETE</EventCode><EventCode>M  Download\n</EventCode>"
        "<CommandKey> t1 </CommandKey></EventStruct><EventStruct><CommandKey>x</CommandKey></EventStruct>"
        "<EventStruct><EventCode>99 UNHEARD OF</EventCode></EventStruct></Event>"
    ).events

    assert events == (
        soap.Event(code="7 TRANSFER COMPLETE", command_key="t1"),
        soap.Event(code="M Download", command_key="t1"),
        soap.Event(code="99 UNHEARD OF"),
    )


def test_an_inform_with_only_a_device_id_is_one() -> None:
    assert inform("") == soap.Inform(identity=captures.identity("M", "001122", "P", "S1"))


def test_numbers_and_times_of_an_inform_may_be_anything() -> None:
    odd = inform(
        "<MaxEnvelopes>many</MaxEnvelopes><CurrentTime>0000-00-00T00:00:00</CurrentTime><RetryCount>-</RetryCount>"
    )

    assert (odd.max_envelopes, odd.current_time, odd.retry_count) == (1, None, 0)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01T00:00:00+08:00", None),
        ("9999-12-31T23:59:59-10:00", None),
        ("", None),
        ("yesterday", None),
        ("2026-11-27T10:30:00+26:00", None),
        (" 2026-11-27T10:30:00Z\n", datetime(2026, 11, 27, 10, 30, tzinfo=UTC)),
        ("2026-11-27T10:30:00", datetime(2026, 11, 27, 10, 30, tzinfo=UTC)),
        ("2026-11-27T10:30:00+05:30", datetime(2026, 11, 27, 5, 0, tzinfo=UTC)),
        ("2017-01-09T17:40:23+0000", datetime(2017, 1, 9, 17, 40, 23, tzinfo=UTC)),
        ("2012-10-03T18:53:43.925Z", datetime(2012, 10, 3, 18, 53, 43, 925000, tzinfo=UTC)),
        ("2012-10-03T18:53:43.123456789Z", datetime(2012, 10, 3, 18, 53, 43, 123456, tzinfo=UTC)),
    ],
)
def test_times_are_in_utc_and_the_unknown_one_is_none(written: str, expected: datetime | None) -> None:
    assert inform(f"<CurrentTime>{written}</CurrentTime>").current_time == expected


# Other answers


def test_a_status_left_out_means_done_where_nothing_else_follows() -> None:
    assert decode(envelope("<cwmp:SetParameterValuesResponse/>")).message == soap.SetParameterValuesResponse(status=0)
    for needed in ("<cwmp:DownloadResponse/>", "<cwmp:AddObjectResponse><Status>0</Status></cwmp:AddObjectResponse>"):
        with pytest.raises(ProtocolError, match=r"Response without (Status|InstanceNumber)"):
            decode(envelope(needed))


def test_a_status_that_is_no_number_is_refused() -> None:
    with pytest.raises(ProtocolError, match="Status is not a number"):
        decode(envelope("<cwmp:SetParameterValuesResponse><Status>ok</Status></cwmp:SetParameterValuesResponse>"))


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<FaultCode> 9001 </FaultCode>", soap.Fault(code="9001")),
        ("<FaultCode>CWMP-9001</FaultCode><FaultString>no</FaultString>", soap.Fault(code="CWMP-9001", string="no")),
        ("<FaultCode></FaultCode>", soap.Fault(code="")),
        ("<FaultString>no</FaultString>", soap.Fault(code="", string="no")),
    ],
)
def test_the_code_of_a_fault_is_kept_as_it_is(inner: str, expected: soap.Fault) -> None:
    detail = f"<detail><cwmp:Fault>{inner}</cwmp:Fault></detail>"

    assert decode(envelope(f"<s:Fault><faultcode>Client</faultcode>{detail}</s:Fault>")).message == expected


def test_a_fault_may_have_no_detail_or_no_cwmp_fault_in_it() -> None:
    plain = "<s:Fault><faultcode> s:Server </faultcode><faultstring>out of memory</faultstring></s:Fault>"
    flat = "<s:Fault><detail><FaultCode>9002</FaultCode><FaultString>no</FaultString></detail></s:Fault>"
    bare = "<cwmp:Fault><FaultCode>9003</FaultCode></cwmp:Fault>"

    server = soap.SoapFaultCode.SERVER
    assert decode(envelope(plain)).message == soap.Fault(code="", string="out of memory", soap_code=server)
    assert decode(envelope(flat)).message == soap.Fault(code="9002", string="no")
    assert decode(envelope(bare)).message == soap.Fault(code="9003")


def test_all_faults_of_parameters_are_kept_wherever_they_stand() -> None:
    one = (
        "<SetParameterValuesFault><ParameterName>{0}</ParameterName><FaultCode>9007</FaultCode>"
        "</SetParameterValuesFault>"
    )
    inside = "".join(one.format(f"A.{number}") for number in range(100))
    detail = f"<detail><cwmp:Fault><FaultCode>9003</FaultCode>{inside}</cwmp:Fault>{one.format('beside')}</detail>"

    message = decode(envelope(f"<s:Fault>{detail}</s:Fault>")).message

    assert isinstance(message, soap.Fault)
    assert message.code == "9003"
    assert [fault.name for fault in message.parameters] == [*(f"A.{number}" for number in range(100)), "beside"]
