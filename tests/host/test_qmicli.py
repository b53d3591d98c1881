"""qmicli as a subprocess: a scripted stand-in for what hangs, floods and lies, and the real one if there is one."""

from __future__ import annotations

import os
import shlex
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.clock import Deadline, now
from agent.core.errors import ConfigError, DeadlineExceeded, QmiError, TransientError
from agent.host.qmi_proxy import end_proxies
from agent.host.qmicli import OpenMode, QmicliClient
from agent.host.qmicli_process import ProcessRunner
from agent.modem.model import DataSession
from tests.host.netns import fresh_namespace, needs_root
from tests.host.qmux_modem import NO_EFFECT, QmuxModem

NODE = "/dev/cdc-wdm7"
SESSION = DataSession(client_id=16, packet_data_handle=4101)
KEPT = "[/dev/cdc-wdm7] Client ID not released:\n\tService: 'wds'\n\t    CID: '16'\n"
CALL_FAILED = (
    "error: couldn't start network: QMI protocol error (14): 'CallFailed'\n"
    "call end reason (2): (null)\n"
    "verbose call end reason (6,27): [3gpp] (null)\n"
)
HANGUP = (
    "error: couldn't create client for the 'wds' service: CID allocation failed in the CTL client: endpoint hangup\n"
)


class StandIn:
    """An executable that notes its arguments and does what the case of an argument says."""

    def __init__(self, directory: Path) -> None:
        self.program = directory / "qmicli"
        self._log = directory / "calls"
        self._cases: dict[str, str] = {}

    def when(self, option: str, output: str = "", *, status: int = 0, script: str = "") -> None:
        """Print `output`, run `script` and end with `status` when `option` is among the arguments."""
        self._cases[option] = f"printf %s {shlex.quote(output)}\n{script}\nexit {status}"
        cases = "\n".join(f"*{key}*)\n{body}\n;;" for key, body in self._cases.items())
        self.program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {self._log}\ncase "$*" in\n{cases}\nesac\n')
        self.program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    return StandIn(tmp_path)


def client(stand_in: StandIn, *, concurrency: int = 4, open_mode: OpenMode = OpenMode.QMI) -> QmicliClient:
    return QmicliClient(ProcessRunner(concurrency=concurrency), program=str(stand_in.program), open_mode=open_mode)


def soon(seconds: float = 10.0) -> Deadline:
    return Deadline.after(seconds)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    deadline = soon(5)
    while alive(pid) and not deadline.passed:
        threading.Event().wait(0.01)
    return not alive(pid)


def test_a_dial_goes_through_the_proxy_and_keeps_its_client_id(stand_in: StandIn) -> None:
    stand_in.when("--wds-start-network", f"[{NODE}] Network started\n\tPacket data handle: '4101'\n{KEPT}")
    session = client(stand_in).start_network(NODE, apn="internet", family=4, deadline=soon())
    assert session == SESSION
    assert stand_in.calls == [
        f"-p -d {NODE} --device-open-qmi --wds-start-network=apn=internet,ip-type=4 --client-no-release-cid"
    ]


def test_without_an_apn_none_is_named_and_detection_needs_no_flag(stand_in: StandIn) -> None:
    stand_in.when("--wds-start-network", f"[{NODE}] Network started\n\tPacket data handle: '1'\n{KEPT}")
    client(stand_in, open_mode=OpenMode.DETECT).start_network(NODE, apn="", family=6, deadline=soon())
    assert stand_in.calls == [f"-p -d {NODE} --wds-start-network=ip-type=6 --client-no-release-cid"]


@pytest.mark.parametrize("apn", ["a,autoconnect=yes", "x y", "'", "a\nb", "-", "a" * 101])
def test_an_apn_cannot_add_settings(stand_in: StandIn, apn: str) -> None:
    stand_in.when("--wds")
    with pytest.raises(ConfigError):
        client(stand_in).start_network(NODE, apn=apn, family=4, deadline=soon())
    assert stand_in.calls == []


def test_a_failed_dial_gives_its_client_id_back_and_says_why(stand_in: StandIn) -> None:
    stand_in.when("--wds-start-network", CALL_FAILED + KEPT, status=1)
    stand_in.when("--wds-noop")
    with pytest.raises(QmiError) as caught:
        client(stand_in).start_network(NODE, apn="nope", family=4, deadline=soon())
    assert (caught.value.name, caught.value.code, caught.value.reason) == ("CallFailed", 14, "unknown APN (3gpp 27)")
    assert stand_in.calls[1] == f"-p -d {NODE} --device-open-qmi --wds-noop --client-cid=16"


def test_a_dial_that_hangs_gives_its_client_id_back(stand_in: StandIn) -> None:
    cancelled = f"trap {shlex.quote(f'printf %s {shlex.quote(KEPT)}; exit 1')} TERM\nsleep 30 & wait"
    stand_in.when("--wds-start-network", script=cancelled)
    stand_in.when("--wds-noop")
    began = now()
    with pytest.raises(DeadlineExceeded):
        client(stand_in).start_network(NODE, apn="x", family=4, deadline=soon(2.0))
    assert now() - began < 5
    assert stand_in.calls[1].endswith("--wds-noop --client-cid=16")


def test_a_failed_release_does_not_hide_why_the_dial_failed(stand_in: StandIn) -> None:
    stand_in.when("--wds-start-network", CALL_FAILED + KEPT, status=1)
    stand_in.when("--wds-noop", HANGUP, status=1)
    with pytest.raises(QmiError, match="CallFailed"):
        client(stand_in).start_network(NODE, apn="x", family=4, deadline=soon())


def test_a_session_that_is_there_is_adopted(stand_in: StandIn) -> None:
    stand_in.when(
        "--wds-start-network", f"error: couldn't start network: QMI protocol error (26): 'NoEffect'\n{KEPT}", status=1
    )
    session = client(stand_in).start_network(NODE, apn="x", family=4, deadline=soon())
    assert session == DataSession(client_id=16, packet_data_handle=None)
    assert len(stand_in.calls) == 1


def test_a_dial_whose_answer_makes_no_sense_gives_its_client_id_back(stand_in: StandIn) -> None:
    stand_in.when("--wds-start-network", f"[{NODE}] Network started\n{KEPT}")
    stand_in.when("--wds-noop")
    with pytest.raises(TransientError, match="no sense"):
        client(stand_in).start_network(NODE, apn="x", family=4, deadline=soon())
    assert len(stand_in.calls) == 2


def test_stop_gives_the_client_id_back_and_a_session_that_is_gone_is_no_error(stand_in: StandIn) -> None:
    stand_in.when(
        "--wds-stop-network=4101", "error: couldn't stop network: QMI protocol error (26): 'NoEffect'\n", status=1
    )
    stand_in.when("--wds-stop-network=disable-autoconnect", f"[{NODE}] Network stopped\n")
    qmi = client(stand_in)
    qmi.stop_network(NODE, SESSION, soon())
    qmi.stop_network(NODE, DataSession(client_id=3, packet_data_handle=None), soon())
    assert [call.partition("--device-open-qmi ")[2] for call in stand_in.calls] == [
        "--wds-stop-network=4101 --client-cid=16",
        "--wds-stop-network=disable-autoconnect --client-cid=3",
    ]


def test_a_client_id_the_modem_forgot_is_not_connected_and_has_no_settings(stand_in: StandIn) -> None:
    stand_in.when("--wds-get", f"error: couldn't get it: QMI protocol error (7): 'InvalidClientId'\n{KEPT}", status=1)
    qmi = client(stand_in)
    assert not qmi.connected(NODE, SESSION, soon())
    assert qmi.settings(NODE, SESSION, soon()) is None
    with pytest.raises(QmiError, match="InvalidClientId"):
        qmi.packet_statistics(NODE, SESSION, soon())


@pytest.mark.parametrize(("word", "up"), [("connected", True), ("suspended", True), ("disconnected", False)])
def test_connected_is_what_the_packet_service_says(stand_in: StandIn, word: str, up: bool) -> None:
    stand_in.when("--wds-get-packet-service-status", f"[{NODE}] Connection status: '{word}'\n{KEPT}")
    assert client(stand_in).connected(NODE, SESSION, soon()) is up


def test_nothing_of_a_call_outlives_its_deadline(stand_in: StandIn, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    stand_in.when("--dms-get-ids", script=f"trap '' TERM\nsleep 60 &\necho $! $$ > {pids}\nwhile :; do sleep 60; done")
    began = now()
    with pytest.raises(DeadlineExceeded):
        client(stand_in).imei(NODE, soon(1.5))
    assert 0.3 < now() - began < 3
    assert all(gone(int(pid)) for pid in pids.read_text().split())


def test_what_a_call_leaves_running_is_not_waited_for(stand_in: StandIn, tmp_path: Path) -> None:
    """As qmicli does with qmi-proxy, which could inherit the pipe."""
    pid = tmp_path / "pid"
    stand_in.when(
        "--dms-get-ids",
        f"[{NODE}] Device IDs retrieved:\n\t   IMEI: '860000000000017'\n",
        script=f"setsid sleep 60 & echo $! > {pid}",
    )
    began = now()
    try:
        assert client(stand_in).imei(NODE, soon()) == "860000000000017"
        assert now() - began < 5
    finally:
        os.kill(int(pid.read_text()), 9)


def test_a_flood_is_cut_and_does_not_stall_the_call(tmp_path: Path) -> None:
    program = tmp_path / "flood"
    program.write_text("#!/bin/sh\nhead -c 3000000 /dev/zero | tr '\\0' x\n")
    program.chmod(0o755)
    result = ProcessRunner(output_limit_bytes=1000).run((str(program),), soon())
    assert result.succeeded
    assert result.output == "x" * 1000


def test_an_endless_flood_ends_with_the_deadline(tmp_path: Path) -> None:
    program = tmp_path / "flood"
    program.write_text("#!/bin/sh\ntrap '' TERM\nexec yes\n")
    program.chmod(0o755)
    began = now()
    result = ProcessRunner(output_limit_bytes=1000).run((str(program),), soon(0.4))
    assert result.timed_out
    assert not result.succeeded
    assert now() - began < 5


def test_only_so_many_run_at_once_and_waiting_for_a_turn_has_a_deadline(stand_in: StandIn, tmp_path: Path) -> None:
    busy = tmp_path / "busy"
    stand_in.when("--dms-get-ids", script=f"mkdir {busy} || exit 9\nsleep 0.3\nrmdir {busy}")
    qmi = client(stand_in, concurrency=1)
    failures: list[Exception] = []

    def ask() -> None:
        try:
            qmi.imei(NODE, soon(20))
        except TransientError as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    deadline = soon()
    while not busy.exists():
        assert not deadline.passed
        threading.Event().wait(0.005)
    with pytest.raises(DeadlineExceeded, match="too many"):
        qmi.imei(NODE, soon(0.05))
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(stand_in.calls) == 3


def test_a_run_that_waits_for_its_modem_gives_its_turn_away(stand_in: StandIn, tmp_path: Path) -> None:
    waiting, let_go = tmp_path / "waiting", tmp_path / "let-go"
    stand_in.when("--dms-get-ids", script=f"touch {waiting}; until [ -e {let_go} ]; do sleep 0.05; done")
    stand_in.when("--wds-noop", "")
    qmi = client(stand_in, concurrency=1)
    thread = threading.Thread(target=lambda: qmi.imei(NODE, soon(60)))
    thread.start()
    deadline = soon()
    while not waiting.exists():
        assert not deadline.passed
        threading.Event().wait(0.005)
    try:
        qmi.release(NODE, SESSION, soon(20))
        assert thread.is_alive()
    finally:
        let_go.touch()
        thread.join(20)


def test_hangups_in_a_row_are_counted_by_node(stand_in: StandIn) -> None:
    qmi = client(stand_in)
    stand_in.when("--dms-get-ids", HANGUP, status=1)
    for count in (1, 2, 3):
        with pytest.raises(TransientError, match="endpoint hangup"):
            qmi.imei(NODE, soon())
        assert qmi.hangups_in_a_row(NODE) == count
    assert qmi.hangups_in_a_row("/dev/cdc-wdm8") == 0
    stand_in.when("--dms-get-ids", f"[{NODE}] Device IDs retrieved:\n\t   IMEI: '860000000000017'\n")
    qmi.imei(NODE, soon())
    assert qmi.hangups_in_a_row(NODE) == 0


def test_a_modem_that_lets_libqmi_wait_is_a_passed_deadline(stand_in: StandIn) -> None:
    stand_in.when(
        "--dms-get-ids",
        HANGUP.replace("endpoint hangup", "Transaction timed out"),
        status=1,
    )
    with pytest.raises(DeadlineExceeded, match="Transaction timed out"):
        client(stand_in).imei(NODE, soon())


def test_a_program_that_is_not_there_is_a_transient_error(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="cannot be started"):
        QmicliClient(ProcessRunner(), program=str(tmp_path / "none")).imei(NODE, soon())


def test_every_run_is_told(stand_in: StandIn) -> None:
    told: list[tuple[str, str, str]] = []
    stand_in.when("--dms-get-ids", HANGUP, status=1)
    qmi = QmicliClient(
        ProcessRunner(),
        program=str(stand_in.program),
        on_exchange=lambda command, answer, outcome, _: told.append((command, answer, outcome)),
    )
    with pytest.raises(TransientError):
        qmi.imei(NODE, soon())
    stand_in.when("--dms-get-ids", script="sleep 60")
    with pytest.raises(DeadlineExceeded):
        qmi.imei(NODE, soon(0.2))
    command = f"{stand_in.program} -p -d {NODE} --device-open-qmi --dms-get-ids"
    assert told == [(command, HANGUP, "error"), (command, "", "timeout")]


def test_output_is_asked_for_in_english(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    stand_in.when("--dms-get-ids", script="echo \"   IMEI: '$([ $LC_ALL = C ] && echo 860000000000017)'\"")
    assert client(stand_in).imei(NODE, soon()) == "860000000000017"


@pytest.fixture
def real_modem() -> Iterator[QmuxModem]:
    """A modem for the real qmicli, in a network namespace of its own: qmi-proxy's socket is an abstract one."""
    if shutil.which("qmicli") is None:
        pytest.skip("qmicli (libqmi-utils) is not installed: the real thing is NOT tested")
    with fresh_namespace():
        modem = QmuxModem()
        try:
            yield modem
        finally:
            end_proxies(Deadline.after(5))
            modem.close()


@needs_root
@pytest.mark.root
def test_the_real_qmicli_dials_and_hangs_up(real_modem: QmuxModem) -> None:
    qmi, node = QmicliClient(ProcessRunner()), real_modem.node
    assert qmi.imei(node, soon()) == "860000000000017"
    session = qmi.start_network(node, apn="internet", family=4, deadline=soon())
    assert session.packet_data_handle == 4242
    assert (1, session.client_id) in real_modem.clients
    assert qmi.connected(node, session, soon())
    settings = qmi.settings(node, session, soon())
    assert settings is not None
    assert (str(settings.interface), str(settings.gateway), settings.mtu) == ("10.64.0.21/30", "10.64.0.22", 1430)
    assert qmi.packet_statistics(node, session, soon()) == (2000, 1000)
    qmi.stop_network(node, session, soon())
    assert not real_modem.connected
    assert real_modem.clients == set()
    assert not qmi.connected(node, session, soon())


@needs_root
@pytest.mark.root
def test_the_real_qmicli_leaks_no_client_id(real_modem: QmuxModem) -> None:
    qmi, node = QmicliClient(ProcessRunner()), real_modem.node
    real_modem.fault_on_start = 14
    with pytest.raises(QmiError, match="CallFailed"):
        qmi.start_network(node, apn="x", family=4, deadline=soon())
    assert real_modem.clients == set()
    real_modem.silent_on_start = True
    with pytest.raises(DeadlineExceeded):
        qmi.start_network(node, apn="x", family=4, deadline=soon(3.0))
    assert real_modem.clients == set()
    assert real_modem.allocated >= 2
    real_modem.silent_on_start, real_modem.fault_on_start = False, NO_EFFECT
    adopted = qmi.start_network(node, apn="x", family=4, deadline=soon())
    assert adopted.packet_data_handle is None
    qmi.release(node, adopted, soon())
    assert real_modem.clients == set()


@needs_root
@pytest.mark.root
def test_the_proxy_is_restarted_in_our_namespace_only(real_modem: QmuxModem) -> None:
    qmi, node = QmicliClient(ProcessRunner()), real_modem.node
    qmi.imei(node, soon())
    with fresh_namespace():
        assert qmi.restart_proxy(soon()) == 0
    assert qmi.restart_proxy(soon()) == 1
    assert qmi.imei(node, soon()) == "860000000000017"
