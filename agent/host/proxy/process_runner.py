"""Proxy instances as plain processes, for the demo and for hosts without systemd."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from agent.core.atomic import atomic_write
from agent.core.clock import Deadline
from agent.core.errors import DeadlineExceeded, ProtocolError, TransientError
from agent.core.identifiers import Serial
from agent.host.proxy.processes import ProcessIdentity, find_processes
from agent.modem.model import UnitState

TERMINATE_SECONDS = 5.0
KILL_SECONDS = 2.0
LOG_BYTES = 1_048_576
CONFIG_ARGUMENT = "{config}"
UID_ARGUMENT = "{uid}"

logger = logging.getLogger(__name__)


class ProcessUnits:
    """`UnitRunner` whose instances are processes of their own session, which outlive the agent and are adopted
    by the next one through `<state_dir>/<serial>.process`.

    The output goes to `<log_dir>/<serial>.log`, of which the last megabyte or so is kept (in two files).
    """

    def __init__(
        self, command: Sequence[str], *, config_dir: Path, state_dir: Path, log_dir: Path | None = None
    ) -> None:
        """`command`: program and arguments; `{config}` stands for the instance's configuration file, and is added
        at the end when it is nowhere. A command with `{uid}` starts as the agent's user and takes on that uid and
        gid by itself; any other is started under them."""
        self._command = tuple(command) if CONFIG_ARGUMENT in command else (*command, CONFIG_ARGUMENT)
        self._config_dir = config_dir
        self._state_dir = state_dir
        self._log_dir = log_dir or state_dir
        self._lock = threading.Lock()
        self._children: dict[Serial, subprocess.Popen[bytes]] = {}

    def start(self, serial: Serial, uid: int, deadline: Deadline) -> None:
        """Start the process unless it runs; one that runs under another uid is replaced."""
        recorded = self._recorded(serial)
        if recorded is not None and recorded[0].alive:
            if recorded[1] == uid:
                return
            self.stop(serial, deadline)
        self._reap(serial, KILL_SECONDS)
        self._bound_log(serial)
        _end_strays(uid, deadline)
        process = self._spawn(serial, uid)
        identity = ProcessIdentity.of(process.pid)
        if identity is None:
            process.wait(timeout=KILL_SECONDS)
            raise TransientError(f"proxy {serial} ended at once with status {process.returncode}")
        with self._lock:
            self._children[serial] = process
        self._record(serial, identity, uid)

    def stop(self, serial: Serial, deadline: Deadline) -> None:
        """SIGTERM, then SIGKILL when that is not enough in time."""
        recorded = self._recorded(serial)
        if recorded is not None:
            identity = recorded[0]
            if identity.signal(signal.SIGTERM) and not identity.wait(deadline.earlier(TERMINATE_SECONDS)):
                identity.signal(signal.SIGKILL)
                if not identity.wait(Deadline.after(KILL_SECONDS)):
                    raise DeadlineExceeded(f"proxy {serial} does not end")
        self._reap(serial, KILL_SECONDS)
        self._state(serial).unlink(missing_ok=True)

    def restart(self, serial: Serial, uid: int, deadline: Deadline) -> None:
        self.stop(serial, deadline)
        self.start(serial, uid, deadline)

    def reload(self, serial: Serial, deadline: Deadline) -> None:
        del deadline  # a signal does not wait
        recorded = self._recorded(serial)
        if recorded is None or not recorded[0].signal(signal.SIGUSR1):
            raise TransientError(f"proxy {serial} does not run")

    def state(self, serial: Serial) -> UnitState:
        """ACTIVE while it runs; FAILED when it ended by itself."""
        self._reap(serial)
        recorded = self._recorded(serial)
        if recorded is None:
            return UnitState.INACTIVE
        self._bound_log(serial)
        return UnitState.ACTIVE if recorded[0].alive else UnitState.FAILED

    def known(self) -> Sequence[Serial]:
        found = []
        for path in self._state_dir.glob("*.process"):
            with contextlib.suppress(ProtocolError):  # a file that is not ours
                found.append(Serial.parse(path.stem))
        return sorted(found)

    def forget(self, serial: Serial, deadline: Deadline) -> None:
        self.stop(serial, deadline)
        for path in (self._log(serial), self._older_log(serial)):
            path.unlink(missing_ok=True)

    def _spawn(self, serial: Serial, uid: int) -> subprocess.Popen[bytes]:
        words = {CONFIG_ARGUMENT: str(self._config_dir / f"{serial}.cfg"), UID_ARGUMENT: str(uid)}
        command = [words.get(each, each) for each in self._command]
        own = UID_ARGUMENT in self._command or (os.geteuid() != 0 and os.geteuid() == uid)
        try:
            self._log_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
            with self._log(serial).open("ab") as log:
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    start_new_session=True,
                    user=None if own else uid,
                    group=None if own else uid,
                    extra_groups=None if own else [],
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise TransientError(f"proxy {serial} cannot be started: {error}") from error

    def _record(self, serial: Serial, identity: ProcessIdentity, uid: int) -> None:
        state = {"pid": identity.pid, "start_ticks": identity.start_ticks, "uid": uid}
        try:
            self._state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
            atomic_write(self._state(serial), json.dumps(state), mode=0o644)
        except OSError as error:
            identity.signal(signal.SIGKILL)  # nobody would ever find it again
            raise TransientError(f"state of proxy {serial}: {error}") from error

    def _recorded(self, serial: Serial) -> tuple[ProcessIdentity, int] | None:
        """The process that was started last and its uid; None when there is none, or no readable record of one
        (what runs nevertheless is ended by the next start)."""
        try:
            text = self._state(serial).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TransientError(f"state of proxy {serial}: {error}") from error
        try:
            state = json.loads(text)
            identity = ProcessIdentity(pid=int(state["pid"]), start_ticks=int(state["start_ticks"]))
            return identity, int(state["uid"])
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("record of a proxy's process is unreadable", extra={"MODEM": serial, "ERROR": str(error)})
            return None

    def _reap(self, serial: Serial, wait_seconds: float = 0.0) -> None:
        """Take the status of our own child when it has ended, or ends within the time: its last thread may go later
        than its first one."""
        with self._lock:
            child = self._children.get(serial)
        if child is None:
            return
        try:
            child.wait(timeout=wait_seconds)
        except subprocess.TimeoutExpired:
            return
        logger.info("proxy process ended", extra={"MODEM": serial, "STATUS": child.returncode})
        with self._lock:
            self._children.pop(serial, None)

    def _bound_log(self, serial: Serial) -> None:
        """Move what was written aside when it is long. The process goes on writing at the end (O_APPEND)."""
        log = self._log(serial)
        try:
            if not log.exists() or log.stat().st_size < LOG_BYTES:
                return
            with log.open("rb+") as file:
                file.seek(-LOG_BYTES // 2, os.SEEK_END)
                tail = file.read(LOG_BYTES // 2)
                file.truncate(0)
            self._older_log(serial).write_bytes(tail)
        except OSError as error:
            raise TransientError(f"log of proxy {serial}: {error}") from error

    def _state(self, serial: Serial) -> Path:
        return self._state_dir / f"{serial}.process"

    def _log(self, serial: Serial) -> Path:
        return self._log_dir / f"{serial}.log"

    def _older_log(self, serial: Serial) -> Path:
        return self._log_dir / f"{serial}.log.1"


def _end_strays(uid: int, deadline: Deadline) -> None:
    """End what runs under an instance's uid without a record: left by an agent that was killed while it started it.

    A second instance would silently share the clients of the first one (SO_REUSEPORT). Another agent's instances,
    in another network namespace, are none of this one's business.
    """
    if uid == os.geteuid():
        return
    for identity in find_processes(uid):
        if not identity.shares_network:
            continue
        identity.signal(signal.SIGKILL)
        if not identity.wait(deadline.earlier(KILL_SECONDS)):
            raise DeadlineExceeded(f"process {identity.pid} of uid {uid} does not end")
