"""What we send is what old and new CPEs can read, and nothing that they cannot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from agent.acs.soap import messages as soap
from agent.acs.soap.decode import decode
from agent.acs.soap.encode import encode
from agent.acs.soap.versions import CwmpVersion
from tests.acs.soap.examples import MESSAGES


def sent(message: soap.Message | None, **header: object) -> str:
    return encode(soap.Envelope(message=message, **header)).decode()  # type: ignore[arg-type]  # any of its members


def test_an_inform_response_in_full() -> None:
    assert sent(soap.InformResponse(), id="7", version=CwmpVersion.V1_2) == (
        '<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns:SOAP-ENC="http://schemas.xmlsoap.org/soap/encoding/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:cwmp="urn:dslforum-org:cwmp-1-2">'
        '<SOAP-ENV:Header><cwmp:ID SOAP-ENV:mustUnderstand="1">7</cwmp:ID></SOAP-ENV:Header>'
        "<SOAP-ENV:Body><cwmp:InformResponse><MaxEnvelopes>1</MaxEnvelopes></cwmp:InformResponse></SOAP-ENV:Body>"
        "</SOAP-ENV:Envelope>"
    )


def test_a_set_parameter_values_in_full() -> None:
    message = soap.SetParameterValues(
        parameters=(
            soap.ParameterValue(name="Device.A", value="<&>"),
            soap.ParameterValue(name="Device.B", value="AA==", type="base64"),
        ),
        parameter_key="k",
    )

    assert (
        "<SOAP-ENV:Body><cwmp:SetParameterValues>"
        '<ParameterList SOAP-ENC:arrayType="cwmp:ParameterValueStruct[2]">'
        "<ParameterValueStruct><Name>Device.A</Name>"
        '<Value xsi:type="xsd:string">&lt;&amp;&gt;</Value></ParameterValueStruct>'
        "<ParameterValueStruct><Name>Device.B</Name>"
        '<Value xsi:type="SOAP-ENC:base64">AA==</Value></ParameterValueStruct>'
        "</ParameterList><ParameterKey>k</ParameterKey></cwmp:SetParameterValues></SOAP-ENV:Body>"
    ) in sent(message)


def test_a_get_parameter_values_in_full() -> None:
    assert (
        '<cwmp:GetParameterValues><ParameterNames SOAP-ENC:arrayType="xsd:string[2]"><string>Device.A</string>'
        "<string>Device.B.</string></ParameterNames></cwmp:GetParameterValues>"
    ) in sent(soap.GetParameterValues(names=("Device.A", "Device.B.")))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_there_is_no_declaration_and_the_prefixes_are_the_usual_ones(message: soap.Message) -> None:
    text = sent(message, id="1")

    assert text.startswith("<SOAP-ENV:Envelope ")
    assert "<?" not in text


def test_without_an_id_there_is_no_header() -> None:
    assert "Header" not in sent(soap.InformResponse())


def test_hold_requests_is_only_said_when_true() -> None:
    assert '<cwmp:HoldRequests SOAP-ENV:mustUnderstand="1">1</cwmp:HoldRequests>' in sent(None, hold_requests=True)
    assert "HoldRequests" not in sent(soap.InformResponse(), id="1")


@pytest.mark.parametrize("character", ["\0", "\x01", "\x1f", "\ufffe", "\uffff", "\ud800"])
@pytest.mark.parametrize("place", ["value", "name", "names", "id", "key", "fault", "event"])
def test_a_character_that_xml_cannot_carry_is_refused_and_named(character: str, place: str) -> None:
    text = f"a{character}b"
    envelopes = {
        "value": lambda: soap.Envelope(
            message=soap.SetParameterValues(parameters=(soap.ParameterValue(name="A", value=text),))
        ),
        "name": lambda: soap.Envelope(message=soap.AddObject(object_name=text)),
        "names": lambda: soap.Envelope(message=soap.GetParameterValues(names=("A", text, "B"))),
        "id": lambda: soap.Envelope(message=None, id=text),
        "key": lambda: soap.Envelope(message=soap.Reboot(command_key=text)),
        "fault": lambda: soap.Envelope(message=soap.Fault(code="8002", string=text)),
        "event": lambda: soap.Envelope(message=soap.UnknownRPC(name=text)),
    }

    with pytest.raises(ValueError, match=rf"U\+{ord(character):04X} cannot be sent|cannot be the name of an RPC"):
        encode(envelopes[place]())


def test_line_ends_and_tabs_arrive_as_they_were() -> None:
    text = "a\tb\nc\rd\r\ne\x85f"

    message = decode(
        encode(soap.Envelope(message=soap.SetParameterValues(parameters=(soap.ParameterValue(name="A", value=text),))))
    ).message

    assert isinstance(message, soap.SetParameterValues)
    assert message.parameters[0].value == text


def test_a_type_that_cwmp_does_not_have_is_refused() -> None:
    parameters = (soap.ParameterValue(name="A", value="1", type='string" x="'),)

    with pytest.raises(ValueError, match="which CWMP does not know"):
        sent(soap.SetParameterValues(parameters=parameters))


def test_an_id_that_is_too_long_is_refused() -> None:
    assert "x" * 256 in sent(None, id="x" * 256)
    with pytest.raises(ValueError, match="longer than 256"):
        sent(None, id="x" * 257)


def test_a_time_is_sent_in_utc_and_needs_a_zone() -> None:
    there = datetime(2026, 11, 27, 12, 30, tzinfo=timezone(timedelta(hours=2)))

    assert "<StartTime>2026-11-27T10:30:00Z</StartTime>" in sent(soap.DownloadResponse(status=0, start_time=there))
    assert "<StartTime>0001-01-01T00:00:00Z</StartTime>" in sent(soap.DownloadResponse(status=1))
    with pytest.raises(ValueError, match="no time zone"):
        sent(soap.DownloadResponse(status=0, start_time=there.replace(tzinfo=None)))
    assert there.astimezone(UTC).hour == 10


def test_passwords_are_not_shown_when_a_message_is_printed() -> None:
    for message in (
        soap.Download(command_key="", file_type="", url="", password="hunter2"),
        soap.Upload(command_key="", file_type="", url="", password="hunter2"),
        soap.ScheduleDownload(command_key="", file_type="", url="", password="hunter2"),
        soap.ChangeDUState(operations=(soap.InstallOperation(url="", password="hunter2"),)),
    ):
        assert "hunter2" not in repr(message)
        assert "hunter2" in sent(message)
