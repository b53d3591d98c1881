"""RPCs that command a CPE and those on transfers, answered without HTTP; and when the CPE is due."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from agent.sim.cpe import answering
from agent.sim.cpe.behaviour import Behaviour
from agent.sim.cpe.device import Device, Timing
from agent.sim.cpe.jobs import JobState
from agent.sim.cpe.model import Model
from agent.sim.cpe.records import Event, Moment, Outcome
from tests.sim.cpe import rpc_xml
from tests.sim.cpe.answers import ask
from tests.sim.cpe.conftest import MakeCpe
from tests.sim.cpe.rpc_xml import IGD

NAMESPACES = {version: f"urn:dslforum-org:cwmp-1-{version}" for version in (0, 1, 2)}


@pytest.fixture
def device(lone_cpe: MakeCpe) -> Device:
    return lone_cpe(timing=Timing()).device


def _at(seconds: float) -> Moment:
    return Moment(seconds, datetime(2026, 11, 27, tzinfo=UTC))


def _settled(device: Device, now: float) -> Device:
    """Booted, bootstrapped, and with a periodic Inform an interval away."""
    device.online_at = now
    events = device.begin_session(_at(now), all_pending=True)
    device.delivered(events, set())
    device.end_session(Outcome.COMPLETED, events, None, now)
    device.plan_periodic(now)
    return device


def _codes(events: tuple[Event, ...]) -> list[str]:
    return [event.code for event in events]


def test_methods_grow_with_the_version(device: Device) -> None:
    told = {
        number: set(ask(device, "<cwmp:GetRPCMethods/>", namespace=namespace).texts(".//string"))
        for number, namespace in NAMESPACES.items()
    }
    assert told[1] - told[0] == {"GetAllQueuedTransfers"}
    assert told[2] - told[1] == {"ScheduleDownload", "CancelTransfer", "ChangeDUState"}
    assert {"GetRPCMethods", "GetParameterValues", "Download", "Reboot", "FactoryReset", "Upload"} <= told[0]
    assert ask(device, rpc_xml.simple("CancelTransfer", CommandKey=""), namespace=NAMESPACES[1]).fault == 9000
    assert ask(device, "<cwmp:X_Unknown/>").fault == 9000


def test_vouchers_are_for_models_that_do_them(device: Device) -> None:
    assert ask(device, rpc_xml.simple("GetOptions", OptionName="")).fault == 9000
    device.behaviour = Behaviour(does_vouchers=True)
    voucher = "<Option><VSerialNum>7</VSerialNum><OptionIdent>First</OptionIdent></Option>"
    told = base64.b64encode(voucher.encode()).decode()
    assert (
        ask(device, f"<cwmp:SetVouchers><VoucherList><base64>{told}</base64></VoucherList></cwmp:SetVouchers>").fault
        == 0
    )
    assert ask(device, rpc_xml.simple("GetOptions", OptionName="")).text(".//OptionName") == "First"
    assert ask(device, rpc_xml.simple("GetOptions", OptionName="Other")).fault == 9003
    assert (
        ask(device, "<cwmp:SetVouchers><VoucherList><base64>!</base64></VoucherList></cwmp:SetVouchers>").fault == 9003
    )


def test_a_reboot_comes_after_the_session_and_is_told(device: Device) -> None:
    _settled(device, 100.0)
    assert ask(device, rpc_xml.simple("Reboot", CommandKey="rk"), moment=_at(100.0)).method == "RebootResponse"
    device.do_after_session(100.0)
    assert device.session_due() == 120.0
    events = device.begin_session(_at(120.0))
    assert [(event.code, event.command_key) for event in events] == [("1 BOOT", ""), ("M Reboot", "rk")]
    assert device.tree.get("DeviceInfo.UpTime") == "0"


def test_a_factory_reset_is_back_to_the_model(device: Device) -> None:
    _settled(device, 100.0)
    name = IGD + "LANDevice.1.WLANConfiguration.1.SSID"
    before = device.tree.value(name)
    ask(device, rpc_xml.set_values((name, "mine", "string"), key="k"))
    url = device.tree.get("ManagementServer.URL")
    ask(device, rpc_xml.set_values((IGD + "ManagementServer.URL", "http://elsewhere/", "string")))
    assert ask(device, "<cwmp:FactoryReset/>").method == "FactoryResetResponse"
    device.do_after_session(100.0)
    assert (device.tree.value(name), device.tree.get("ManagementServer.ParameterKey")) == (before, "")
    assert device.tree.get("ManagementServer.URL") == url
    assert _codes(device.begin_session(_at(120.0))) == ["0 BOOTSTRAP", "1 BOOT"]


def test_another_acs_is_told_by_bootstrap(device: Device) -> None:
    _settled(device, 100.0)
    ask(device, rpc_xml.set_values((IGD + "ManagementServer.URL", "http://elsewhere/", "string")), moment=_at(100.0))
    assert _codes(device.begin_session(_at(101.0))) == ["0 BOOTSTRAP"]


def test_a_scheduled_inform_comes_when_it_is_due(device: Device) -> None:
    _settled(device, 100.0)
    told = ask(device, rpc_xml.simple("ScheduleInform", DelaySeconds=5, CommandKey="si"), moment=_at(100.0))
    assert told.method == "ScheduleInformResponse"
    assert device.session_due() == 105.0
    ask(device, rpc_xml.simple("ScheduleInform", DelaySeconds=7, CommandKey="later"), moment=_at(100.0))
    events = device.begin_session(_at(105.0))
    assert events == (Event("3 SCHEDULED"), Event("M ScheduleInform", "si"))
    device.delivered(events, set())
    assert device.session_due() == 107.0
    assert device.begin_session(_at(107.0)) == (Event("3 SCHEDULED"), Event("M ScheduleInform", "later"))
    assert ask(device, rpc_xml.simple("ScheduleInform", DelaySeconds=0, CommandKey="")).fault == 9003
    answers = [ask(device, rpc_xml.simple("ScheduleInform", DelaySeconds=9, CommandKey=key)) for key in range(64)]
    assert [each.fault for each in answers][-1] == 9004


def test_the_interval_is_honoured_at_once(device: Device) -> None:
    _settled(device, 100.0)
    interval = (IGD + "ManagementServer.PeriodicInformInterval", "60", "unsignedInt")
    ask(device, rpc_xml.set_values(interval), moment=_at(100.0))
    assert device.session_due() == 160.0
    assert _codes(device.begin_session(_at(160.0))) == ["2 PERIODIC"]
    ask(device, rpc_xml.set_values((IGD + "ManagementServer.PeriodicInformEnable", "0", "boolean")), moment=_at(160.0))
    device.delivered((Event("2 PERIODIC"),), set())
    assert device.session_due() == float("inf")


def test_failed_sessions_are_retried_as_the_standard_says(device: Device) -> None:
    device.online_at = 0.0
    now, events = 100.0, device.begin_session(_at(100.0), all_pending=True)
    for count in range(1, 13):
        device.end_session(Outcome.BROKEN, events, None, now)
        low = 5 * 2 ** min(count - 1, 9)
        assert low <= device.session_due() - now <= 2 * low
        assert device.retry.count == count
        now = device.session_due()
        assert _codes(device.begin_session(_at(now)))[:2] == ["0 BOOTSTRAP", "1 BOOT"]
    device.end_session(Outcome.OVERLOADED, events, 42.0, now)
    assert device.session_due() == now + 42.0
    device.delivered(events, set())
    device.end_session(Outcome.COMPLETED, events, None, now)
    assert device.retry.count == 0


def test_a_connection_request_does_not_wait_and_is_not_retried(device: Device) -> None:
    _settled(device, 100.0)
    device.end_session(Outcome.BROKEN, (Event("2 PERIODIC"),), None, 100.0)
    device.raise_event(Event("6 CONNECTION REQUEST"), 101.0)
    assert device.session_due() == 101.0
    events = device.begin_session(_at(101.0))
    assert _codes(events) == ["2 PERIODIC", "6 CONNECTION REQUEST"]
    device.end_session(Outcome.BROKEN, events, None, 101.0)
    assert _codes(device.begin_session(_at(200.0))) == ["2 PERIODIC"]


def test_a_change_is_told_as_its_notification_says(device: Device) -> None:
    _settled(device, 100.0)
    off, passive, active = (
        IGD + name for name in ("DeviceInfo.ModelName", "DeviceInfo.SpecVersion", "DeviceInfo.HardwareVersion")
    )
    ask(device, rpc_xml.set_notification(passive, 1))
    ask(device, rpc_xml.set_notification(active, 2))
    periodic = device.session_due()
    device.change(off, "x", 101.0)
    device.change(passive, "x", 101.0)
    assert (device.work.changed, device.session_due()) == ({passive}, periodic)
    device.change(active, "x", 102.0)
    assert (device.work.changed, device.session_due()) == ({passive, active}, 102.0)
    events = device.begin_session(_at(102.0))
    assert _codes(events) == ["4 VALUE CHANGE"]
    device.delivered(events, {passive, active})
    assert (device.work.changed, device.session_due()) == (set(), periodic)


def test_diagnostics_are_complete_after_a_while(lone_cpe: MakeCpe, tr098: Model) -> None:
    device = lone_cpe(model=tr098, timing=Timing(diagnostics_seconds=5.0)).device
    _settled(device, 100.0)
    name = IGD + "IPPingDiagnostics.DiagnosticsState"
    assert ask(device, rpc_xml.set_values((name, "Requested", "string")), moment=_at(100.0)).fault == 0
    assert device.jobs_due() == 105.0
    device.end_diagnostics(104.0)
    assert device.tree.value(name) == "Requested"
    device.end_diagnostics(105.0)
    assert device.tree.value(name) == "Complete"
    assert _codes(device.begin_session(_at(105.0))) == ["8 DIAGNOSTICS COMPLETE"]


_METHODS = sorted(
    {*answering._SINCE_1_0, *answering._SINCE_1_1, *answering._SINCE_1_2, *answering._VOUCHERS}
    - {"FactoryReset", "Reboot"}
)


@pytest.mark.parametrize("method", _METHODS)
@pytest.mark.parametrize(
    "content", ["", "<x/>", "text", "<ParameterList/>", "<Operations/>", "<CommandKey/><URL>http://[</URL>"]
)
def test_any_request_is_answered(device: Device, method: str, content: str) -> None:
    device.behaviour = Behaviour(does_vouchers=True)
    told = ask(device, f"<cwmp:{method}>{content}</cwmp:{method}>")
    assert told.method == f"{method}Response" or told.fault in {9000, 9003, 9005}


def test_transfers_wait_can_be_seen_and_cancelled(device: Device) -> None:
    told = ask(device, rpc_xml.download("http://x/fw.bin", key="a", DelaySeconds=60), moment=_at(100.0))
    assert (told.method, told.text("Status")) == ("DownloadResponse", "1")
    assert told.text("StartTime") == "0001-01-01T00:00:00Z"
    assert ask(device, rpc_xml.upload("http://x/up", key="b"), moment=_at(100.0)).text("Status") == "1"
    assert ask(device, rpc_xml.schedule_download("http://x/fw", "c", [(300, 600)]), moment=_at(100.0)).fault == 0
    assert [job.start_at for job in device.work.jobs] == [160.0, 100.0, 400.0]
    assert ask(device, "<cwmp:GetQueuedTransfers/>").texts(".//CommandKey") == ["a", "b", "c"]
    told = ask(device, "<cwmp:GetAllQueuedTransfers/>")
    assert (told.texts(".//IsDownload"), told.texts(".//State")) == (["1", "0", "1"], ["1", "1", "1"])
    device.work.jobs[1].state = JobState.UNDER_WAY
    assert ask(device, rpc_xml.simple("CancelTransfer", CommandKey="b")).fault == 9021
    assert ask(device, rpc_xml.simple("CancelTransfer", CommandKey="a")).fault == 0
    assert ask(device, "<cwmp:GetQueuedTransfers/>").texts(".//CommandKey") == ["b", "c"]


def test_transfers_that_make_no_sense_are_refused(device: Device) -> None:
    assert ask(device, rpc_xml.download("ftp://x/fw.bin")).fault == 9013
    assert ask(device, rpc_xml.download("fw.bin")).fault == 9003
    assert ask(device, rpc_xml.download("http://[")).fault == 9003
    assert ask(device, rpc_xml.download("http://user:pw@x/fw.bin")).fault == 9003
    assert ask(device, rpc_xml.download("http://x/fw.bin", file_type="firmware")).fault == 9003
    assert ask(device, rpc_xml.schedule_download("http://x/", windows=[(5, 5)])).fault == 9003
    for _ in range(16):
        assert ask(device, rpc_xml.download("http://x/fw.bin")).fault == 0
    assert ask(device, rpc_xml.download("http://x/fw.bin")).fault == 9004


def test_du_operations_that_make_no_sense_are_refused(device: Device) -> None:
    assert ask(device, rpc_xml.change_du_state("Install", URL="http://x/", UUID="no-uuid")).fault == 9003
    assert ask(device, rpc_xml.change_du_state("Remove")).fault == 9003
    assert ask(device, "<cwmp:ChangeDUState><CommandKey/></cwmp:ChangeDUState>").fault == 9003
