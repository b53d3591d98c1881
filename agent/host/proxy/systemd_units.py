"""Proxy instances as units `3proxy@<serial>.service` of systemd."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.core.atomic import atomic_write
from agent.core.clock import Deadline
from agent.core.errors import DeadlineExceeded, ProtocolError, TransientError
from agent.core.identifiers import Serial
from agent.host.proxy.systemd_bus import SystemdBus
from agent.modem.model import UnitState

UNIT_DIRECTORY = Path("/run/systemd/system")
DROP_IN = "50-lastmile.conf"
GATHER_SECONDS = 0.05
LOOK_SECONDS = 5.0
_PREFIX, _SUFFIX = "3proxy@", ".service"
_FINISHED = ("done", "skipped")


class SystemdUnits:
    """`UnitRunner` over D-Bus. The uid of an instance is a drop-in below `/run`, without which it refuses to start."""

    def __init__(self, bus: SystemdBus | None = None, *, unit_directory: Path = UNIT_DIRECTORY) -> None:
        self._bus = bus or SystemdBus()
        self._unit_directory = unit_directory
        self._lock = threading.Lock()
        self._reload_lock = threading.Lock()
        self._changes = 0
        self._changes_loaded = 0
        self._closing = threading.Event()

    def start(self, serial: Serial, uid: int, deadline: Deadline) -> None:
        """Start the unit under `uid`; one that runs under another uid is restarted."""
        changed = self._write_drop_in(serial, uid)
        self._have_drop_in_read(serial, deadline)
        self._run("RestartUnit" if changed else "StartUnit", serial, deadline)

    def stop(self, serial: Serial, deadline: Deadline) -> None:
        if self._active_state(serial, deadline) is not None:
            self._run("StopUnit", serial, deadline)

    def restart(self, serial: Serial, uid: int, deadline: Deadline) -> None:
        self._write_drop_in(serial, uid)
        self._have_drop_in_read(serial, deadline)
        self._run("RestartUnit", serial, deadline)

    def reload(self, serial: Serial, deadline: Deadline) -> None:
        """SIGUSR1, as the unit's ExecReload; a unit that does not run is started.

        The signal goes without a job: for ExecReload systemd starts a program in the unit's whole sandbox, and on a
        host that is short of processor time that takes longer than the job may."""
        if self.state(serial) is UnitState.ACTIVE:
            self._bus.call("KillUnit", "ssi", (_unit(serial), "main", signal.SIGUSR1), deadline)
        else:
            self._run("StartUnit", serial, deadline)

    def state(self, serial: Serial) -> UnitState:
        """ACTIVE while its process runs; between two automatic restarts it is INACTIVE."""
        match self._active_state(serial, Deadline.after(LOOK_SECONDS)):
            case "active" | "reloading":
                return UnitState.ACTIVE
            case "failed":
                return UnitState.FAILED
            case _:
                return UnitState.INACTIVE

    def known(self) -> Sequence[Serial]:
        rows = self._units_by_pattern(f"{_PREFIX}*{_SUFFIX}", Deadline.after(LOOK_SECONDS))
        # systemd has not loaded an instance that nothing wants, such as one that was stopped before its drop-in went.
        drop_ins = self._unit_directory.glob(f"{_PREFIX}*{_SUFFIX}.d/{DROP_IN}")
        found = set()
        for name in (*(str(row[0]) for row in rows), *(path.parent.name.removesuffix(".d") for path in drop_ins)):
            with contextlib.suppress(ProtocolError):  # somebody else's instance
                found.add(Serial.parse(name.removeprefix(_PREFIX).removesuffix(_SUFFIX)))
        return sorted(found)

    def forget(self, serial: Serial, deadline: Deadline) -> None:
        self.stop(serial, deadline)
        if self._active_state(serial, deadline) is not None:
            self._bus.call("ResetFailedUnit", "s", (_unit(serial),), deadline)
        folder = self._drop_in(serial).parent
        if not folder.exists():
            return
        try:
            self._drop_in(serial).unlink(missing_ok=True)
            folder.rmdir()
        except OSError as error:
            raise TransientError(f"drop-in of {_unit(serial)}: {error}") from error
        if self._active_state(serial, deadline) is not None:
            self._note_change()
            self._load_changes(deadline)

    def close(self) -> None:
        """End the connection; the units run on."""
        self._closing.set()
        self._bus.close()

    def _run(self, method: str, serial: Serial, deadline: Deadline) -> None:
        result = self._bus.run_job(method, _unit(serial), deadline)
        if result not in _FINISHED:
            raise TransientError(f"{method} of {_unit(serial)}: {result}")

    def _active_state(self, serial: Serial, deadline: Deadline) -> str | None:
        """systemd's ActiveState; None for a unit that it has not loaded."""
        rows = self._units_by_pattern(_unit(serial), deadline)
        return str(rows[0][3]) if rows else None

    def _units_by_pattern(self, pattern: str, deadline: Deadline) -> list[tuple[Any, ...]]:
        (rows,) = self._bus.call("ListUnitsByPatterns", "asas", ([], [pattern]), deadline)
        return list(rows)

    def _write_drop_in(self, serial: Serial, uid: int) -> bool:
        """Make the drop-in say `uid`; True when it said something else before."""
        path, text = self._drop_in(serial), drop_in_text(uid)
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            if path.exists() and path.read_text(encoding="utf-8") == text:
                return False
            atomic_write(path, text, mode=0o644)
        except OSError as error:
            raise TransientError(f"drop-in of {_unit(serial)}: {error}") from error
        return True

    def _note_change(self) -> None:
        with self._lock:
            self._changes += 1

    def _have_drop_in_read(self, serial: Serial, deadline: Deadline) -> None:
        """Make sure that systemd knows the drop-in as it is. For a unit that it has not loaded yet it reads the file by
        itself. Only else it is told to read all units of the machine anew, which holds up everything that it does."""
        unit = _unit(serial)
        if str(self._drop_in(serial)) not in self._bus.unit_property(unit, "DropInPaths", deadline) or (
            self._bus.unit_property(unit, "NeedDaemonReload", deadline)
        ):
            self._note_change()
            self._load_changes(deadline)

    def _load_changes(self, deadline: Deadline) -> None:
        """Have systemd read the drop-ins that were written: once for all that are written within a moment."""
        with self._lock:
            mine = self._changes
        if not self._reload_lock.acquire(timeout=deadline.remaining_seconds):
            raise DeadlineExceeded("systemd is busy reading units")
        try:
            with self._lock:
                loaded = self._changes_loaded
            if mine <= loaded:
                return
            self._closing.wait(GATHER_SECONDS)
            with self._lock:
                gathered = self._changes
            self._bus.call("Reload", "", (), deadline)
            with self._lock:
                self._changes_loaded = gathered
        finally:
            self._reload_lock.release()

    def _drop_in(self, serial: Serial) -> Path:
        return self._unit_directory / f"{_unit(serial)}.d" / DROP_IN


def drop_in_text(uid: int) -> str:
    """The drop-in of an instance: its uid, and the unit that sees to it that the uid has an account (systemd
    starts nothing under a number that has none)."""
    account = f"lastmile-proxy-account@{uid}.service"
    return f"[Unit]\nRequires={account}\nAfter={account}\n\n[Service]\nUser={uid}\nGroup={uid}\n"


def _unit(serial: Serial) -> str:
    return f"{_PREFIX}{serial}{_SUFFIX}"
