"""What a farm makes on the machine, written down so that it can be found and removed after the farm was killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.core.clock import Deadline
from agent.core.errors import ConfigError, TransientError
from agent.sim import links
from agent.sim.namespaces import delete_name, end_processes_in, names_of

_FILE = "farm.json"
_OWN_ENTRIES = ("sys", "run-udev", "control.sock", _FILE)
_END_SECONDS = 10.0


def _started_at(pid: int) -> int | None:
    """Start time of a process in clock ticks; None when there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Which process runs the farm of a directory; the start time tells it from a later one with the same id."""

    name: str
    pid: int
    started_at: int | None

    @classmethod
    def of_this_process(cls, name: str) -> Footprint:
        return cls(name=name, pid=os.getpid(), started_at=_started_at(os.getpid()))

    @classmethod
    def load(cls, directory: Path) -> Footprint | None:
        """None when the directory has no farm."""
        try:
            return cls(**json.loads((directory / _FILE).read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{directory / _FILE} is no farm's: remove it by hand") from error

    def save(self, directory: Path) -> None:
        """Claim the directory; ConfigError when a running farm has it, or the name is in use."""
        directory.mkdir(parents=True, exist_ok=True)
        if (other := self.load(directory)) is not None and other.runs():
            raise ConfigError(f"{directory} belongs to the farm {other.name}, process {other.pid}, which runs")
        if taken := names_of(prefix_of(self.name)):
            raise ConfigError(f"the namespaces {', '.join(taken)} exist: purge the farm {self.name} first")
        (directory / _FILE).write_text(json.dumps(asdict(self)))

    def runs(self) -> bool:
        return self.started_at is not None and _started_at(self.pid) == self.started_at


def prefix_of(name: str) -> str:
    """How the names of a farm's namespaces begin."""
    return f"lm-{name}-"


def end_programs(name: str) -> int:
    """End whatever runs in the farm's namespaces; returns how many there were."""
    return sum(end_processes_in(namespace) for namespace in names_of(prefix_of(name)))


def remove_leftovers(name: str, directory: Path) -> None:
    """Remove names of namespaces, the LAN's link and the farm's files; its process must be gone or be this one."""
    for namespace in names_of(prefix_of(name)):
        delete_name(namespace)
    links.delete_link(f"lm-{name}")
    for entry in _OWN_ENTRIES:
        path = directory / entry
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def purge(name: str, directory: Path) -> bool:
    """Remove a farm that was killed or still runs, with the programs in it; False when there was nothing."""
    footprint = Footprint.load(directory)
    found = footprint is not None or bool(names_of(prefix_of(name)))
    if footprint is not None and not any(_end(footprint, how) for how in (signal.SIGTERM, signal.SIGKILL)):
        raise TransientError(f"the farm {name}, process {footprint.pid}, does not end")
    end_programs(name)
    remove_leftovers(name, directory)
    return found


def _end(footprint: Footprint, how: signal.Signals) -> bool:
    """Send a signal and wait; True when the process is gone."""
    if footprint.runs():
        os.kill(footprint.pid, how)
    deadline = Deadline.after(_END_SECONDS)
    while footprint.runs():
        if deadline.passed:
            return False
        time.sleep(0.02)
    return True
