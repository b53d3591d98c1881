"""Instances as plain processes: started under their uid, adopted, ended, never doubled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.core.clock import Deadline
from agent.core.errors import TransientError
from agent.core.identifiers import Serial
from agent.host.proxy.process_runner import LOG_BYTES, ProcessUnits
from agent.host.proxy.processes import ProcessIdentity, find_processes
from agent.modem.model import UnitState

pytestmark = pytest.mark.root

SERIAL = Serial("867698040000029")
UID = 76_100
SLEEPER = ("/bin/sleep", "1000")
STUBBORN = ("/bin/sh", "-c", "trap '' TERM; while :; do /bin/sleep 0.05; done")


@pytest.fixture(autouse=True)
def _no_leftovers() -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to start programs under other uids")
    yield
    for process in (*find_processes(UID), *find_processes(UID + 1)):
        process.signal(signal.SIGKILL)


@pytest.fixture
def make(open_folder: Path) -> Iterator[Callable[..., ProcessUnits]]:
    made: list[ProcessUnits] = []

    def make_units(*command: str) -> ProcessUnits:
        made.append(ProcessUnits(command, config_dir=open_folder, state_dir=open_folder / "run"))
        return made[-1]

    yield make_units
    for units in made:
        units.stop(SERIAL, soon())


def soon() -> Deadline:
    return Deadline.after(10)


def status_of(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}


def the_process(uid: int = UID) -> ProcessIdentity:
    """The one process of the uid, once it has been executed."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = find_processes(uid)
        if len(found) == 1:
            return found[0]
        time.sleep(0.01)
    raise AssertionError(f"not one process of uid {uid}: {find_processes(uid)}")


def test_it_runs_under_its_uid_in_a_session_of_its_own(make: Callable[..., ProcessUnits]) -> None:
    units = make("/bin/sh", "-c", "exec /bin/sleep 1000")
    assert units.state(SERIAL) is UnitState.INACTIVE
    units.start(SERIAL, UID, soon())
    process = the_process()
    status = status_of(process.pid)
    assert status["Uid"] == status["Gid"] == [str(UID)] * 4
    assert status["Groups"] == []
    assert int(status["CapEff"][0], 16) == 0
    assert os.getsid(process.pid) == process.pid
    assert units.state(SERIAL) is UnitState.ACTIVE
    assert units.known() == [SERIAL]
    units.stop(SERIAL, soon())
    assert units.state(SERIAL) is UnitState.INACTIVE
    assert units.known() == []
    assert find_processes(UID) == ()


def test_the_configuration_is_the_argument(make: Callable[..., ProcessUnits], open_folder: Path) -> None:
    make("/bin/sh", "-c", 'echo "$0"; exec /bin/sleep 1000').start(SERIAL, UID, soon())
    log = open_folder / "run" / f"{SERIAL}.log"
    deadline = time.monotonic() + 5
    while not log.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert log.read_text() == f"{open_folder}/{SERIAL}.cfg\n"


def test_starting_twice_is_starting_once(make: Callable[..., ProcessUnits]) -> None:
    units = make("/bin/sh", "-c", "exec /bin/sleep 1000")
    units.start(SERIAL, UID, soon())
    first = the_process()
    units.start(SERIAL, UID, soon())
    assert the_process() == first
    units.start(SERIAL, UID + 1, soon())
    assert find_processes(UID) == ()
    assert the_process(UID + 1).alive
    units.forget(SERIAL, soon())


def test_a_later_agent_adopts_what_runs(make: Callable[..., ProcessUnits], open_folder: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from agent.core.clock import Deadline\n"
        "from agent.core.identifiers import Serial\n"
        "from agent.host.proxy.process_runner import ProcessUnits\n"
        "folder = Path(sys.argv[1])\n"
        "units = ProcessUnits(('/bin/sh', '-c', 'exec /bin/sleep 1000'), config_dir=folder, state_dir=folder / 'run')\n"
        f"units.start(Serial('{SERIAL}'), {UID}, Deadline.after(5))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    agent = subprocess.run([sys.executable, "-c", script, str(open_folder)], check=False)
    assert agent.returncode == -signal.SIGKILL
    process = the_process()
    units = make("/bin/sh", "-c", "exec /bin/sleep 1000")
    assert units.state(SERIAL) is UnitState.ACTIVE
    units.start(SERIAL, UID, soon())
    assert the_process() == process
    units.stop(SERIAL, soon())
    assert not process.alive


def test_what_an_agent_started_but_did_not_note_is_ended_first(make: Callable[..., ProcessUnits]) -> None:
    stray = subprocess.Popen(["/bin/sleep", "1000"], user=UID, group=UID, extra_groups=[])
    units = make("/bin/sh", "-c", "exec /bin/sleep 999")
    units.start(SERIAL, UID, soon())
    assert stray.wait(timeout=5) == -signal.SIGKILL
    the_process()
    units.stop(SERIAL, soon())


def test_another_networks_instance_of_the_same_uid_is_left_alone(make: Callable[..., ProcessUnits]) -> None:
    elsewhere = subprocess.Popen(["unshare", "--net", "setpriv", f"--reuid={UID}", "/bin/sleep", "1000"])
    other = the_process()
    units = make("/bin/sh", "-c", "exec /bin/sleep 999")
    units.start(SERIAL, UID, soon())
    assert other.alive
    assert len(find_processes(UID)) == 2
    elsewhere.kill()
    elsewhere.wait(timeout=5)


def test_one_that_ends_by_itself_has_failed(make: Callable[..., ProcessUnits]) -> None:
    units = make("/bin/sh", "-c", "exec /bin/sleep 1000")
    units.start(SERIAL, UID, soon())
    process = the_process()
    process.signal(signal.SIGKILL)
    assert process.wait(soon())
    assert units.state(SERIAL) is UnitState.FAILED
    assert not Path(f"/proc/{process.pid}").exists(), "a zombie was left"
    units.start(SERIAL, UID, soon())
    assert units.state(SERIAL) is UnitState.ACTIVE
    units.stop(SERIAL, soon())


def test_a_reused_pid_is_not_taken_for_the_process(make: Callable[..., ProcessUnits], open_folder: Path) -> None:
    units = make(*SLEEPER)
    (open_folder / "run").mkdir()
    record = {"pid": os.getpid(), "start_ticks": 1, "uid": UID}
    (open_folder / "run" / f"{SERIAL}.process").write_text(json.dumps(record))
    assert units.state(SERIAL) is UnitState.FAILED
    units.stop(SERIAL, soon())  # does not end this very process
    assert units.state(SERIAL) is UnitState.INACTIVE


def test_one_that_ignores_sigterm_is_killed(make: Callable[..., ProcessUnits], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.host.proxy.process_runner.TERMINATE_SECONDS", 0.3)
    units = make(*STUBBORN)
    units.start(SERIAL, UID, soon())
    time.sleep(0.2)
    units.stop(SERIAL, soon())
    assert units.state(SERIAL) is UnitState.INACTIVE
    assert not [each for each in find_processes(UID) if status_of(each.pid)["Name"] == ["sh"]]


def test_reload_is_sigusr1(make: Callable[..., ProcessUnits], open_folder: Path) -> None:
    units = make("/bin/sh", "-c", "trap 'echo again' USR1; while :; do /bin/sleep 0.02; done")
    with pytest.raises(TransientError):
        units.reload(SERIAL, soon())
    units.start(SERIAL, UID, soon())
    time.sleep(0.2)
    units.reload(SERIAL, soon())
    log, deadline = open_folder / "run" / f"{SERIAL}.log", time.monotonic() + 5
    while "again" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "again" in log.read_text()
    units.stop(SERIAL, soon())


def test_a_program_that_is_not_there(make: Callable[..., ProcessUnits]) -> None:
    with pytest.raises(TransientError, match="cannot be started"):
        make("/nowhere/3proxy").start(SERIAL, UID, soon())


def test_the_log_is_bounded(make: Callable[..., ProcessUnits], open_folder: Path) -> None:
    units = make("/bin/sh", "-c", "exec /bin/sleep 1000")
    units.start(SERIAL, UID, soon())
    log = open_folder / "run" / f"{SERIAL}.log"
    with log.open("ab") as file:
        file.write(b"x" * LOG_BYTES + b"the end\n")
    units.state(SERIAL)
    assert log.stat().st_size == 0
    older = (open_folder / "run" / f"{SERIAL}.log.1").read_bytes()
    assert len(older) == LOG_BYTES // 2
    assert older.endswith(b"the end\n")
    units.forget(SERIAL, soon())
    assert list((open_folder / "run").iterdir()) == []
