"""CPEs that behave badly on command."""

from __future__ import annotations

import time

import pytest

from agent.core.errors import ConfigError, DeviceError
from agent.sim.cpe.behaviour import Behaviour, Mishap, MishapKind, Trigger
from agent.sim.cpe.commands import COMMANDS, run_command
from agent.sim.cpe.records import Event, Outcome
from agent.sim.cpe.wire import Wire
from tests.sim.cpe import rpc_xml
from tests.sim.cpe.answers import Told
from tests.sim.cpe.conftest import MakeCpe
from tests.sim.cpe.rpc_xml import IGD
from tests.sim.cpe.scripted_acs import ScriptedAcs

_ASK = rpc_xml.get_values(IGD + "DeviceInfo.SerialNumber")


def test_a_fault_with_the_next_answer(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    run_command(cpe, "mishap", "fault", code=9001, method="Reboot")
    run_command(cpe, "mishap", "fault", code=9805, times=2)
    acs.ask(_ASK, _ASK, _ASK, rpc_xml.simple("Reboot", CommandKey=""))
    assert cpe.run_session().faults == (9805, 9805, 9001)
    assert cpe.device.work.after_session == []


def test_a_fault_with_every_third_answer(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe(behaviour=Behaviour(every=3))
    acs.ask(*[_ASK] * 7)
    report = cpe.run_session()
    assert (len(report.rpcs), report.faults) == (7, (9002, 9002))
    assert cpe.status().rpcs_answered == 7


@pytest.mark.parametrize(
    ("trigger", "asked"),
    [
        (Trigger.PARTIAL_PATH, rpc_xml.get_values(IGD + "DeviceInfo.")),
        (Trigger.EMPTY_PATH, rpc_xml.get_names("")),
        (Trigger.UNKNOWN_NAME, rpc_xml.get_values(IGD + "Nothing")),
    ],
)
def test_a_crash_on_what_the_firmware_does_not_bear(
    acs: ScriptedAcs, make_cpe: MakeCpe, trigger: Trigger, asked: str
) -> None:
    cpe = make_cpe(behaviour=Behaviour(on_trigger={trigger: Mishap(kind=MishapKind.CUT)}))
    acs.ask(_ASK, asked)
    report = cpe.run_session()
    assert (report.outcome, len(report.rpcs), report.detail) == (Outcome.CRASHED, 2, "cut off in an answer")
    assert acs.methods() == ["Inform", "", "GetParameterValuesResponse"]
    acs.ask(asked)
    cpe.behave(Behaviour(on_trigger={trigger: Mishap(kind=MishapKind.FAULT, code=9003)}))
    assert cpe.run_session().faults == (9003,)


def test_a_crash_on_a_method(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe(behaviour=Behaviour(on_method={"GetRPCMethods": Mishap(kind=MishapKind.CUT)}))
    acs.ask("<cwmp:GetRPCMethods/>")
    assert cpe.run_session().outcome is Outcome.CRASHED


def test_broken_xml_and_an_empty_post_for_an_answer(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    run_command(cpe, "mishap", "malformed")
    run_command(cpe, "mishap", "empty")
    acs.ask(_ASK, _ASK)
    assert cpe.run_session().completed
    assert acs.methods() == ["Inform", "", "?", ""]


def test_the_connection_is_dropped_after_an_answer(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    run_command(cpe, "mishap", "drop")
    acs.ask(_ASK)
    report = cpe.run_session()
    assert report.outcome is Outcome.CRASHED
    acs.wait_for(lambda: acs.methods() == ["Inform", "", "GetParameterValuesResponse"])
    assert cpe.run_session().retry_count == 1


def test_no_answer_at_all(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe(wire=Wire(timeout_seconds=0.2))
    run_command(cpe, "mishap", "hang")
    acs.ask(_ASK)
    began = time.monotonic()
    report = cpe.run_session()
    assert (report.outcome, report.detail, acs.methods()) == (Outcome.CRASHED, "hung", ["Inform", ""])
    assert time.monotonic() - began >= 0.2


def test_a_reboot_in_the_session(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    cpe.run_session()
    run_command(cpe, "mishap", "reboot")
    acs.ask(_ASK)
    assert cpe.run_session().outcome is Outcome.CRASHED
    report = cpe.run_session()
    assert (report.events, report.retry_count, report.completed) == ((Event("1 BOOT"),), 0, True)


def test_slow_answers(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    acs.ask(_ASK)
    report = make_cpe(behaviour=Behaviour(answer_delay_seconds=0.05)).run_session()
    assert report.completed
    assert report.seconds >= 0.1


def test_a_second_session_while_the_first_is_open(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    acs.ask(_ASK)
    report = make_cpe(behaviour=Behaviour(duplicate_inform=True)).run_session()
    assert report.completed
    assert acs.methods() == ["Inform", "Inform", "", "GetParameterValuesResponse"]
    assert (report.duplicate_statuses, report.requests) == ((200,), ("Inform",))
    assert len({each.connection for each in acs.received}) == 2


def test_commands_change_the_cpe(acs: ScriptedAcs, make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    run_command(cpe, "behave", deaf=True, most_names=5)
    run_command(cpe, "wire", new_connection_per_post=True)
    assert (cpe.behaviour.deaf, cpe.behaviour.most_names, cpe.wire.new_connection_per_post) == (True, 5, True)
    run_command(cpe, "request", "Kicked")
    assert cpe.run_session().requests == ("Inform", "Kicked")
    assert cpe.run_session().requests == ("Inform",)
    run_command(cpe, "change", "DeviceInfo.ProvisioningCode", "X")
    assert cpe.run_session().events == (Event("4 VALUE CHANGE"),)
    assert Told(acs.sent("Inform")[-1]).values[IGD + "DeviceInfo.ProvisioningCode"] == "X"
    run_command(cpe, "reboot")
    assert (cpe.online, cpe.run_session().events) == (False, (Event("1 BOOT"),))
    run_command(cpe, "unplug")
    assert cpe.device.session_due() == float("inf")
    run_command(cpe, "plug")
    run_command(cpe, "factory_reset")
    assert cpe.run_session().events == (Event("0 BOOTSTRAP"), Event("1 BOOT"))
    run_command(cpe, "session", "6 CONNECTION REQUEST")
    assert cpe.run_session().events == (Event("6 CONNECTION REQUEST"),)


def test_commands_that_make_no_sense(make_cpe: MakeCpe) -> None:
    cpe = make_cpe()
    for name, named in (
        ("explode", {}),
        ("behave", {"mood": "bad"}),
        ("behave", {"extra_requests": ("Inform",)}),
        ("mishap", {"kind": "flood"}),
        ("mishap", {"kind": "fault", "times": 0}),
        ("request", {"method": "Reboot"}),
        ("change", {"name": "DeviceInfo.SerialNumber"}),
    ):
        with pytest.raises(ConfigError):
            run_command(cpe, name, **named)
    with pytest.raises(ConfigError):
        run_command(cpe, "change", "DeviceInfo.ProvisioningCode", "\x00")
    with pytest.raises(DeviceError):
        run_command(cpe, "change", "DeviceInfo.Nothing", "x")
    assert set(COMMANDS) >= {
        "session",
        "reboot",
        "factory_reset",
        "change",
        "behave",
        "mishap",
        "request",
        "unplug",
        "plug",
    }
    with pytest.raises(ConfigError):
        make_cpe(wire=Wire(cwmp_version="2.0"))
