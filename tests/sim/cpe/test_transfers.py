"""Downloads, uploads and deployment units: what is fetched, and what the ACS is told of it."""

from __future__ import annotations

import pytest

from agent.sim.cpe.http_auth import Auth
from agent.sim.cpe.records import Event
from agent.sim.cpe.transfers import KEPT_BYTES
from agent.sim.cpe.wire import Wire
from tests.sim.cpe import rpc_xml
from tests.sim.cpe.answers import Told
from tests.sim.cpe.conftest import MakeCpe
from tests.sim.cpe.rpc_xml import IGD
from tests.sim.cpe.scripted_acs import Reply, ScriptedAcs, envelope

SSID = IGD + "LANDevice.1.WLANConfiguration.1.SSID"
UNIT = "11111111-2222-3333-4444-555555555555"


def test_new_firmware_reboots_and_is_told(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    acs.files["/fw/V9R1.bin"] = b"\x7fELF firmware"
    acs.ask(rpc_xml.download(acs.url + "fw/V9R1.bin", key="up-1", FileSize=13))
    assert cpe.run_session().completed
    assert Told(acs.last("DownloadResponse")).text("Status") == "1"
    assert cpe.value("DeviceInfo.SoftwareVersion") == "V5R020C00S280"
    cpe.run_jobs()
    assert cpe.value("DeviceInfo.SoftwareVersion") == "V9R1"
    report = cpe.run_session()
    assert report.events == (
        Event("1 BOOT"),
        Event("4 VALUE CHANGE"),
        Event("7 TRANSFER COMPLETE"),
        Event("M Download", "up-1"),
    )
    assert Told(acs.last("Inform")).values[IGD + "DeviceInfo.SoftwareVersion"] == "V9R1"
    told = Told(acs.last("TransferComplete"))
    assert (told.text("CommandKey"), told.text("FaultStruct/FaultCode")) == ("up-1", "0")
    assert told.text("StartTime") != "0001-01-01T00:00:00Z"
    assert cpe.run_session().events == (Event("2 PERIODIC"),)


def test_firmware_may_say_its_version(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    acs.files["/latest"] = b"SoftwareVersion=V10 beta\r\nrest"
    acs.ask(rpc_xml.download(acs.url + "latest"))
    cpe.run_session()
    cpe.run_jobs()
    assert cpe.value("DeviceInfo.SoftwareVersion") == "V10 beta"


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(404), 9016),
        (Reply(403), 9012),
        (Reply(500), 9010),
        (Reply(200, b"short"), 9018),
        (Reply(close=True), 9017),
    ],
)
def test_a_download_that_fails(acs: ScriptedAcs, make_cpe: MakeCpe, reply: Reply, code: int) -> None:
    cpe = make_cpe()
    acs.ask(rpc_xml.download(acs.url + "fw", key="k", FileSize=1000))
    cpe.run_session()
    acs.hooks.append(lambda _: reply)
    assert [each.fault_code for each in cpe.run_jobs()] == [code]
    report = cpe.run_session()
    assert report.events == (Event("7 TRANSFER COMPLETE"), Event("M Download", "k"))
    told = Told(acs.last("TransferComplete"))
    assert told.text("FaultStruct/FaultCode") == str(code)
    assert told.text("CompleteTime") == "0001-01-01T00:00:00Z"
    assert cpe.value("DeviceInfo.SoftwareVersion") == "V5R020C00S280"


def test_a_big_file_is_fetched_and_not_kept(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    size = 5 * KEPT_BYTES + 7
    acs.files["/big.bin"] = b"SoftwareVersion=big\n".ljust(size, b"x")
    acs.ask(rpc_xml.download(acs.url + "big.bin", FileSize=size))
    cpe.run_session()
    assert [each.fault_code for each in cpe.run_jobs()] == [0]
    assert cpe.value("DeviceInfo.SoftwareVersion") == "big"


def test_a_file_server_that_is_away(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    acs.ask(rpc_xml.download("http://127.0.0.1:1/fw"))
    cpe.run_session()
    assert [each.fault_code for each in cpe.run_jobs()] == [9015]


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_file_behind_a_password(acs: ScriptedAcs, make_cpe: MakeCpe, algorithm: str) -> None:
    cpe = make_cpe(wire=Wire(auth=Auth.NONE))
    acs.files["/f"] = b"content"
    for password, code in (("right", 0), ("wrong", 9012)):
        acs.ask(rpc_xml.download(acs.url + "f", "2 Web Content", Username="u", Password=password))
        cpe.run_session()
        acs.digest = ("u", "right", algorithm)
        assert [each.fault_code for each in cpe.run_jobs()] == [code]
        acs.digest = None


def test_files_at_places_that_are_none(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    urls = {"ftp://x/y": 9013, "http://[": 9016, "http://..": 9015, acs.url + "a b": 9016, "http://x:99999/": 9016}
    for url in urls:
        acs.ask(rpc_xml.change_du_state("Install", URL=url))
    cpe.run_session()
    assert [each.fault_code for each in cpe.run_jobs()] == list(urls.values())
    assert cpe.run_session().completed


def test_a_file_behind_basic_authentication(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    acs.files["/f"] = b"content"
    acs.ask(rpc_xml.download(acs.url + "f", "2 Web Content", Username="u", Password="p"))
    cpe.run_session()
    acs.hooks.append(lambda _: Reply(401, b"", {"WWW-Authenticate": 'Basic realm="files"'}))
    assert [each.fault_code for each in cpe.run_jobs()] == [0]
    assert acs.received[-1].headers["authorization"] == "Basic dTpw"


def test_a_configuration_is_sent_and_can_be_given_back(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    acs.uploads["/config"] = ("", b"")
    acs.ask(rpc_xml.set_values((SSID, "kept", "string")), rpc_xml.upload(acs.url + "config", key="ul"))
    cpe.run_session()
    assert [each.fault_code for each in cpe.run_jobs()] == [0]
    verb, content = acs.uploads["/config"]
    assert (verb, f"{SSID}=kept\n" in content.decode()) == ("PUT", True)
    assert cpe.run_session().events == (Event("7 TRANSFER COMPLETE"), Event("M Upload", "ul"))

    acs.files["/config"] = content
    acs.ask("<cwmp:FactoryReset/>")
    cpe.run_session()
    assert cpe.tree.value(SSID) != "kept"
    acs.ask(rpc_xml.download(acs.url + "config", "3 Vendor Configuration File"))
    cpe.run_session()
    cpe.run_jobs()
    assert cpe.tree.value(SSID) == "kept"


def test_an_upload_by_post_and_one_that_fails(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe(upload_method="POST")
    acs.uploads["/log"] = ("", b"")
    acs.ask(rpc_xml.upload(acs.url + "log", "2 Vendor Log File"))
    cpe.run_session()
    acs.hooks.append(lambda _: Reply(500))
    acs.ask(rpc_xml.upload(acs.url + "log", "2 Vendor Log File"))
    assert [each.fault_code for each in cpe.run_jobs()] == [9011]
    cpe.run_session()
    assert [each.fault_code for each in cpe.run_jobs()] == [0]
    assert acs.uploads["/log"][0] == "POST"


def test_a_transfer_is_told_until_the_acs_has_heard_it(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    acs.files["/f"] = b"content"
    acs.ask(rpc_xml.download(acs.url + "f", "2 Web Content", key="k"))
    cpe.run_session()
    cpe.run_jobs()
    acs.hooks.append(lambda received: Reply(500) if received.method == "TransferComplete" else None)
    assert not cpe.run_session().completed
    report = cpe.run_session()
    assert Event("M Download", "k") in report.events
    assert report.requests == ("Inform", "TransferComplete")
    assert cpe.device.work.completions == []


def test_a_transfer_complete_that_is_to_be_repeated(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    acs.ask(rpc_xml.download("http://127.0.0.1:1/f", "2 Web Content"))
    cpe.run_session()
    cpe.run_jobs()
    detail = "<detail><cwmp:Fault><FaultCode>8005</FaultCode></cwmp:Fault></detail>"
    again = envelope(f"<s:Fault><faultcode>Server</faultcode><faultstring>CWMP fault</faultstring>{detail}</s:Fault>")
    acs.hooks.append(lambda received: Reply(200, again) if received.method == "TransferComplete" else None)
    assert cpe.run_session().completed
    assert acs.methods().count("TransferComplete") == 2


def test_a_scheduled_download(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    acs.files["/V7.bin"] = b"x"
    acs.ask(rpc_xml.schedule_download(acs.url + "V7.bin", "sd"))
    cpe.run_session()
    cpe.run_jobs()
    assert Event("M ScheduleDownload", "sd") in cpe.run_session().events
    assert cpe.value("DeviceInfo.SoftwareVersion") == "V7"


def test_deployment_units(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    acs.files["/unit"] = b"unit"
    operations = [
        ("Install", {"URL": acs.url + "unit", "UUID": UNIT}, 0, "Installed"),
        ("Install", {"URL": acs.url + "unit", "UUID": UNIT}, 9026, "Failed"),
        ("Update", {"URL": acs.url + "unit", "UUID": UNIT, "Version": "2"}, 0, "Installed"),
        ("Install", {"URL": acs.url + "nothing"}, 9016, "Failed"),
        ("Uninstall", {"UUID": UNIT}, 0, "Uninstalled"),
        ("Uninstall", {"UUID": UNIT}, 9028, "Failed"),
    ]
    for operation, arguments, code, state in operations:
        acs.ask(rpc_xml.change_du_state(operation, "du", **arguments))
        assert cpe.run_session().rpcs == ("ChangeDUState",)
        cpe.run_jobs()
        report = cpe.run_session()
        assert report.events == (Event("11 DU STATE CHANGE COMPLETE"), Event("M ChangeDUState", "du"))
        told = Told(acs.last("DUStateChangeComplete"))
        assert (told.text("Results/Fault/FaultCode"), told.text("Results/CurrentState")) == (str(code), state)
        assert told.text("CommandKey") == "du"
