"""Many CPEs in one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.core.errors import ConfigError, TransientError
from agent.sim.cpe.behaviour import Behaviour, Mishap, MishapKind
from agent.sim.cpe.device import Timing
from agent.sim.cpe.fleet import CpeFleet
from agent.sim.cpe.fleet_options import FleetOptions
from agent.sim.cpe.records import Outcome
from agent.sim.cpe.wire import Wire
from tests.sim.cpe import rpc_xml
from tests.sim.cpe.answers import Told
from tests.sim.cpe.rpc_xml import IGD
from tests.sim.cpe.scripted_acs import WAIT_SECONDS, Reply, ScriptedAcs

_FAST = Timing(time_scale=0.001)
_ROOT = Path(__file__).parents[3]


def _options(acs: ScriptedAcs, **options: object) -> FleetOptions:
    told: dict[str, object] = {"url": acs.url, "count": 1, "model": "tr098", "leaves": 130, "timing": _FAST}
    told |= {"interval_seconds": 1_000_000, **options}
    return FleetOptions(**told)  # type: ignore[arg-type]


def _all_bootstrapped(fleet: CpeFleet) -> bool:
    return all(each.sessions_completed for each in fleet.status())


def test_every_cpe_bootstraps_and_is_itself(acs: ScriptedAcs) -> None:
    options = _options(acs, count=30, model="mixed", seed="s", start_within_seconds=100.0, most_sessions=4)
    with CpeFleet(options) as fleet:
        fleet.wait_until(lambda: _all_bootstrapped(fleet), WAIT_SECONDS)
        serials = fleet.serial_numbers
        states = fleet.status()
        assert fleet.failures() == ()
    informed = {Told(each).text("DeviceId/SerialNumber") for each in acs.sent("Inform")}
    assert informed == set(serials)
    assert len(informed) == 30
    assert {each.last_events for each in states} == {("0 BOOTSTRAP", "1 BOOT")}
    assert [each.model for each in states[:2]] == ["tr098", "tr181"]
    assert all(each.complaints == () and each.online and not each.in_session for each in states)
    with CpeFleet(options) as again:
        assert again.serial_numbers == serials


def test_periodic_informs_come_at_their_interval(acs: ScriptedAcs) -> None:
    with CpeFleet(_options(acs, count=3, interval_seconds=100)) as fleet:
        fleet.wait_until(lambda: all(each.sessions_completed >= 4 for each in fleet.status()), WAIT_SECONDS)
        assert {each.last_events for each in fleet.status()} == {("2 PERIODIC",)}


def test_an_interval_that_the_acs_sets_is_kept(acs: ScriptedAcs) -> None:
    acs.ask(rpc_xml.set_values((IGD + "ManagementServer.PeriodicInformInterval", "200", "unsignedInt")))
    with CpeFleet(_options(acs)) as fleet:
        fleet.wait_until(lambda: fleet.status()[0].sessions_completed >= 3, WAIT_SECONDS)
        assert fleet.cpe(fleet.serial_numbers[0]).value("ManagementServer.PeriodicInformInterval") == "200"


def test_a_download_is_done_between_sessions(acs: ScriptedAcs) -> None:
    acs.files["/V9.bin"] = b"firmware"
    acs.ask(rpc_xml.download(acs.url + "V9.bin", key="k"))
    with CpeFleet(_options(acs)) as fleet:
        fleet.wait_until(lambda: fleet.status()[0].software_version == "V9", WAIT_SECONDS)
        fleet.wait_until(lambda: fleet.status()[0].sessions_completed >= 2, WAIT_SECONDS)
        assert fleet.status()[0].last_events == ("1 BOOT", "4 VALUE CHANGE", "7 TRANSFER COMPLETE", "M Download")
        assert fleet.failures() == ()
    assert Told(acs.last("TransferComplete")).text("FaultStruct/FaultCode") == "0"


def test_a_reboot_and_diagnostics(acs: ScriptedAcs) -> None:
    name = IGD + "IPPingDiagnostics.DiagnosticsState"
    acs.ask(rpc_xml.set_values((name, "Requested", "string")))
    with CpeFleet(_options(acs, leaves=None)) as fleet:
        fleet.wait_until(lambda: fleet.status()[0].last_events == ("8 DIAGNOSTICS COMPLETE",), WAIT_SECONDS)
        acs.ask(rpc_xml.simple("Reboot", CommandKey="rk"))
        fleet.command(fleet.serial_numbers[0], "session")
        fleet.wait_until(lambda: fleet.status()[0].last_events == ("1 BOOT", "M Reboot"), WAIT_SECONDS)


def test_failed_sessions_are_retried(acs: ScriptedAcs) -> None:
    for _ in range(3):
        acs.hooks.append(lambda _: Reply(503, b"", {"Retry-After": "10"}))
    acs.hooks.append(lambda _: Reply(close=True))
    with CpeFleet(_options(acs)) as fleet:
        fleet.wait_until(lambda: fleet.status()[0].sessions_completed == 1, WAIT_SECONDS)
        assert (fleet.status()[0].sessions_failed, fleet.status()[0].retry_count) == (4, 0)
    assert [Told(each).text("RetryCount") for each in acs.sent("Inform")] == ["0", "1", "2", "3", "4"]


def test_a_hanging_cpe_does_not_keep_the_others(acs: ScriptedAcs) -> None:
    hanging = Behaviour(on_method={"GetRPCMethods": Mishap(kind=MishapKind.HANG)})
    acs.ask("<cwmp:GetRPCMethods/>")
    wire = Wire(timeout_seconds=WAIT_SECONDS)
    with CpeFleet(_options(acs, count=5, behaviour=hanging, most_sessions=2, wire=wire)) as fleet:
        fleet.wait_until(lambda: sum(each.sessions_completed for each in fleet.status()) == 4, WAIT_SECONDS)
        assert [each.in_session for each in fleet.status() if not each.sessions_completed] == [True]


def test_commands_reach_one_cpe(acs: ScriptedAcs) -> None:
    with CpeFleet(_options(acs, count=2)) as fleet:
        fleet.wait_until(lambda: _all_bootstrapped(fleet), WAIT_SECONDS)
        one, other = fleet.serial_numbers
        fleet.command(one, "change", "DeviceInfo.ProvisioningCode", "home")
        fleet.wait_until(lambda: fleet.status()[0].last_events == ("4 VALUE CHANGE",), WAIT_SECONDS)
        fleet.command(other, "factory_reset")
        fleet.wait_until(lambda: fleet.status()[1].sessions_completed == 2, WAIT_SECONDS)
        assert fleet.status()[1].last_events == ("0 BOOTSTRAP", "1 BOOT")
        with pytest.raises(ConfigError):
            fleet.command("nobody", "reboot")
        with pytest.raises(ConfigError):
            fleet.command(one, "explode")
    # It can be looked at after its end.
    assert fleet.status()[0].last_outcome is Outcome.COMPLETED


def test_a_bug_of_the_emulator_is_told(acs: ScriptedAcs, monkeypatch: pytest.MonkeyPatch) -> None:
    with CpeFleet(_options(acs)) as fleet:
        fleet.wait_until(lambda: _all_bootstrapped(fleet), WAIT_SECONDS)
        cpe = fleet.cpe(fleet.serial_numbers[0])

        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("bug")

        monkeypatch.setattr(cpe, "session", broken)
        fleet.command(cpe.serial_number, "session")
        fleet.wait_until(lambda: fleet.failures() != (), WAIT_SECONDS)
        assert "bug" in fleet.failures()[0]


def test_fleets_that_make_no_sense(acs: ScriptedAcs) -> None:
    for options in ({"count": -1}, {"count": 70_000}, {"model": "tr999"}, {"most_sessions": 0}):
        with pytest.raises(ConfigError):
            CpeFleet(_options(acs, **options))
    with CpeFleet(_options(acs, count=0)) as fleet:
        port = int(acs.url.rpartition(":")[2].strip("/"))
        with pytest.raises(TransientError):
            CpeFleet(_options(acs, listen_port=port)).start()
        with pytest.raises(ConfigError):
            fleet.start()


def test_the_process_ends_on_sigterm(acs: ScriptedAcs) -> None:
    command = [
        sys.executable,
        "-m",
        "agent.sim.cpe",
        "--url",
        acs.url,
        "--count",
        "3",
        "--leaves",
        "130",
        "--start-within",
        "0",
    ]
    command += ["--auth", "digest", "--user", "@SERIAL@", "--password", "x"]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        acs.wait_for(lambda: acs.methods().count("") == 3)
        process.terminate()
        rest = process.stdout.read()
        assert process.wait(WAIT_SECONDS) == 0
    assert rest.startswith("3 CPEs; ")


def test_the_process_refuses_bad_options() -> None:
    command = [sys.executable, "-m", "agent.sim.cpe", "--url", "http://127.0.0.1:1/", "--model", "none"]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
    assert (done.returncode, "no data model" in done.stderr) == (78, True)
