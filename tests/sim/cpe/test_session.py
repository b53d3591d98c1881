"""Sessions over HTTP, as TR-069 §3.7 has them."""

from __future__ import annotations

from agent.sim.cpe.behaviour import Behaviour
from agent.sim.cpe.dialect import Dialect
from agent.sim.cpe.records import Event, Outcome
from agent.sim.cpe.wire import Wire
from tests.sim.cpe import rpc_xml
from tests.sim.cpe.answers import Told
from tests.sim.cpe.conftest import MakeCpe
from tests.sim.cpe.rpc_xml import IGD
from tests.sim.cpe.scripted_acs import NAMESPACE, Reply, ScriptedAcs, envelope

SSID = IGD + "LANDevice.1.WLANConfiguration.1.SSID"


def test_first_contact(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe(number=7)
    acs.ask(rpc_xml.get_values(SSID))
    report = cpe.run_session()
    assert acs.methods() == ["Inform", "", "GetParameterValuesResponse"]
    assert report.completed
    assert (report.rpcs, report.requests, report.statuses) == (("GetParameterValues",), ("Inform",), (200, 200, 204))
    assert (report.complaints, report.faults, report.connections) == ((), (), 1)
    assert report.sent_bytes > len(acs.received[0].body)
    assert report.received_bytes > 0
    inform = Told(acs.received[0].body)
    assert inform.text("DeviceId/SerialNumber") == cpe.serial_number
    assert inform.text("DeviceId/OUI") == "00259E"
    assert inform.events == [("0 BOOTSTRAP", ""), ("1 BOOT", "")]
    assert (inform.text("MaxEnvelopes"), inform.text("RetryCount")) == ("1", "0")
    assert inform.values[IGD + "ManagementServer.ParameterKey"] == ""
    assert inform.values[IGD + "DeviceInfo.SoftwareVersion"] == "V5R020C00S280"
    address = IGD + "WANDevice.1.WANConnectionDevice.4.WANPPPConnection.1.ExternalIPAddress"
    assert inform.values[address] == cpe.identity.address
    assert b'mustUnderstand="1">1</cwmp:ID>' in acs.received[0].body
    # The answer has the request's ID.
    assert b">acs-1</cwmp:ID>" in acs.received[2].body


def test_what_was_delivered_is_not_told_again(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    cpe.run_session()
    assert cpe.run_session().events == (Event("2 PERIODIC"),)
    assert cpe.run_session(["6 CONNECTION REQUEST"]).events == (Event("6 CONNECTION REQUEST"),)


def test_an_empty_200_ends_the_session_too(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    acs.hooks.append(lambda received: Reply(200) if received.method == "" else None)
    report = make_cpe().run_session()
    assert (report.outcome, report.statuses) == (Outcome.COMPLETED, (200, 200))


def test_a_request_without_id_gets_an_answer_without(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    acs.asks.append(envelope(rpc_xml.get_values(SSID), identifier=None))
    assert make_cpe().run_session().completed
    assert b"cwmp:ID" not in acs.received[-1].body


def test_requests_are_held_back_until_the_acs_lets_them(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe(behaviour=Behaviour(extra_requests=("Kicked",)))
    acs.hold_until_asked = True
    acs.ask(rpc_xml.get_values(SSID))
    report = cpe.run_session()
    assert acs.methods() == ["Inform", "", "GetParameterValuesResponse", "Kicked", ""]
    assert report.events == (Event("0 BOOTSTRAP"), Event("1 BOOT"), Event("5 KICKED"))
    assert "Kicked" in report.requests


def test_a_session_that_ends_while_requests_are_held_is_complained_of(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    acs.hold_until_asked = True
    report = make_cpe().run_session()
    assert report.completed
    assert report.complaints == ("the session ended while HoldRequests was true",)


def test_own_requests_come_before_the_acs_asks(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    extra = ("GetRPCMethods", "RequestDownload", "Kicked", "AutonomousTransferComplete")
    acs.ask(rpc_xml.get_values(SSID))
    report = make_cpe(behaviour=Behaviour(extra_requests=extra)).run_session()
    assert acs.methods() == ["Inform", *extra, "", "GetParameterValuesResponse"]
    assert report.requests == ("Inform", *extra)
    codes = [event.code for event in report.events]
    assert codes == ["0 BOOTSTRAP", "1 BOOT", "5 KICKED", "9 REQUEST DOWNLOAD", "10 AUTONOMOUS TRANSFER COMPLETE"]


def _fault(code: int) -> bytes:
    detail = f"<detail><cwmp:Fault><FaultCode>{code}</FaultCode><FaultString>no</FaultString></cwmp:Fault></detail>"
    return envelope(f"<s:Fault><faultcode>Server</faultcode><faultstring>CWMP fault</faultstring>{detail}</s:Fault>")


def test_a_retry_request_repeats_the_inform(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    acs.hooks.append(lambda _: Reply(200, _fault(8005)))
    report = make_cpe().run_session()
    assert acs.methods() == ["Inform", "Inform", ""]
    assert (report.outcome, report.acs_faults) == (Outcome.COMPLETED, (8005,))


def test_another_fault_ends_the_session_and_it_is_retried(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    acs.hooks.append(lambda _: Reply(200, _fault(8003)))
    report = cpe.run_session()
    assert (report.outcome, report.acs_faults) == (Outcome.ACS_FAULT, (8003,))
    again = cpe.run_session()
    assert (again.retry_count, again.events) == (1, report.events)
    assert Told(acs.received[1].body).text("RetryCount") == "1"
    assert cpe.device.retry.count == 0


def test_an_own_request_that_the_acs_does_not_know_is_passed_over(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    acs.hooks.append(lambda received: Reply(200, _fault(8000)) if received.method == "Kicked" else None)
    report = make_cpe(behaviour=Behaviour(extra_requests=("Kicked",))).run_session()
    assert (report.outcome, report.acs_faults) == (Outcome.COMPLETED, (8000,))


def test_overload_is_retried_when_the_acs_says(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    acs.hooks.append(lambda _: Reply(503, b"", {"Retry-After": "120"}))
    report = cpe.run_session()
    assert (report.outcome, report.retry_after_seconds) == (Outcome.OVERLOADED, 120.0)
    assert cpe.status().retry_count == 1


def test_nonsense_of_the_acs_ends_the_session(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    for body in (b"<html/>", b"not xml", envelope("<cwmp:GetRPCMethods/>"), b""):
        acs.hooks.append(lambda received, body=body: Reply(200, body))  # type: ignore[misc]
        assert make_cpe().run_session().outcome is Outcome.NONSENSE
    acs.hooks.append(lambda received: Reply(500, b"") if received.method == "" else None)
    assert make_cpe().run_session().outcome is Outcome.REFUSED


def test_a_connection_that_ends_instead_of_an_answer(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    acs.hooks.append(lambda received: Reply(close=True) if received.method == "" else None)
    report = cpe.run_session()
    assert (report.outcome, report.requests) == (Outcome.BROKEN, ("Inform",))
    # The ACS has heard these events, but their session is repeated.
    assert cpe.run_session().events == report.events


def test_an_acs_that_is_away(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe(url="http://127.0.0.1:1/")
    assert cpe.run_session().outcome is Outcome.UNREACHABLE
    assert make_cpe(url="ftp://127.0.0.1/").run_session().outcome is Outcome.UNREACHABLE


def test_complaints_tell_where_the_acs_is_not_true_to_the_standard(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    wrong = rpc_xml.get_values(SSID).replace("[1]", "[2]")
    acs.hooks.append(
        lambda _: Reply(200, envelope("<cwmp:InformResponse/>", identifier="x", namespace=NAMESPACE[:-1] + "0"))
    )
    acs.asks.append(envelope(wrong))
    report = make_cpe().run_session()
    assert report.completed
    assert report.complaints == (
        f"InformResponse is in namespace {NAMESPACE[:-1]}0",
        "InformResponse has cwmp:ID 'x', not '1'",
        "InformResponse without MaxEnvelopes 1",
        "GetParameterValues: arrayType xsd:string[2] of 1 items",
    )


def test_versions_of_cwmp(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    acs.namespace = "urn:dslforum-org:cwmp-1-0"
    assert make_cpe(wire=Wire(cwmp_version="1.0")).run_session().complaints == ()
    assert b'"urn:dslforum-org:cwmp-1-0"' in acs.received[0].body
    acs.namespace = NAMESPACE
    assert make_cpe(wire=Wire(cwmp_version="1.4")).run_session().complaints == ()
    told = acs.received[2].body
    assert b'SupportedCWMPVersions soap-env:mustUnderstand="0">1.0,1.1,1.2,1.3,1.4<' in told
    assert b"SessionTimeout" in told


def test_a_1_4_cpe_speaks_the_version_that_the_acs_chooses(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    old = "urn:dslforum-org:cwmp-1-0"
    content = "<cwmp:InformResponse><MaxEnvelopes>1</MaxEnvelopes></cwmp:InformResponse>"
    answer = envelope(content, identifier="1").replace(
        b"</s:Header>", b'<cwmp:UseCWMPVersion s:mustUnderstand="1">1.0</cwmp:UseCWMPVersion></s:Header>'
    )
    acs.hooks.append(lambda _: Reply(200, answer))
    acs.asks.append(envelope("<cwmp:GetRPCMethods/>", namespace=old))
    report = make_cpe(wire=Wire(cwmp_version="1.4")).run_session()
    assert (report.completed, report.complaints) == (True, ())
    assert f'"{old}"'.encode() in acs.received[-1].body


def test_a_local_change_is_told_with_its_value(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    acs.ask(rpc_xml.set_notification(SSID, 2))
    cpe.run_session()
    cpe.change(SSID, "changed at home")
    assert cpe.run_session().events == (Event("4 VALUE CHANGE"),)
    assert Told(acs.received[-2].body).values[SSID] == "changed at home"
    assert cpe.run_session().events == (Event("2 PERIODIC"),)


def test_a_changed_acs_url_is_used(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    acs.ask(rpc_xml.set_values((IGD + "ManagementServer.URL", acs.url + "other", "string")))
    cpe.run_session()
    assert cpe.run_session().events == (Event("0 BOOTSTRAP"),)
    assert acs.received[-1].path == "/other"


def test_dialects_of_real_devices(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    def bodies(*dialects: Dialect) -> bytes:
        acs.received.clear()
        acs.ask(rpc_xml.get_values(SSID, IGD + "ManagementServer.ParameterKey"))
        acs.ask(rpc_xml.set_values((SSID, "", "string")), rpc_xml.get_values(SSID))
        report = make_cpe(behaviour=Behaviour(dialects=frozenset(dialects))).run_session()
        assert report.completed, report
        return b"".join(each.body for each in acs.received)

    plain = bodies()
    assert b"cwmp:ID" not in bodies(Dialect.NO_ID)
    assert b":Header" not in bodies(Dialect.NO_HEADER)
    assert b"/1999/XMLSchema" in bodies(Dialect.OLD_SCHEMA)
    assert b"/2001/XMLSchema" not in bodies(Dialect.OLD_SCHEMA)
    assert b'ParameterValueStruct[0]"' in bodies(Dialect.WRONG_ARRAY_TYPE)
    assert b"xsi:type" in plain
    assert b"xsi:type" not in bodies(Dialect.UNTYPED)
    assert b"<Value/>" not in bodies(Dialect.NO_VALUE, Dialect.UNTYPED)
    assert plain.count(b'"') > 50
    assert bodies(Dialect.SINGLE_QUOTES).count(b'"') == 0
    assert b"<ns2:Inform>" in bodies(Dialect.OTHER_PREFIXES)
    assert bodies(Dialect.LEADING_SPACE).startswith(b"\r\n  <?xml")
    assert b"\x01" in bodies(Dialect.CONTROL_CHARACTERS)
    assert b"\xe9" in bodies(Dialect.WRONG_ENCODING)


def test_other_prefixes_are_still_the_same_message(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    make_cpe(behaviour=Behaviour(dialects=frozenset({Dialect.OTHER_PREFIXES, Dialect.SINGLE_QUOTES}))).run_session()
    other = Told(acs.received[0].body)
    assert other.content.tag == f"{{{NAMESPACE}}}Inform"
    assert other.events == [("0 BOOTSTRAP", ""), ("1 BOOT", "")]
