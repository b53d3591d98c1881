"""One process of this machine, known by its pid and its start time, so that a reused pid is never mistaken for it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.core.clock import Deadline
from agent.core.errors import TransientError

_STATE_FIELD = 0
_START_FIELD = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """A process: its pid and when it started, in clock ticks since boot (proc_pid_stat, field 22)."""

    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The process that has this pid now; None when there is none, or only a zombie."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        except OSError as error:
            raise TransientError(f"process {pid}: {error}") from error
        if fields[_STATE_FIELD] in ("Z", "X"):
            return None
        return cls(pid=pid, start_ticks=int(fields[_START_FIELD]))

    @property
    def alive(self) -> bool:
        return ProcessIdentity.of(self.pid) == self

    @property
    def shares_network(self) -> bool:
        """Whether it is in the calling thread's network namespace; False when it is gone."""
        try:
            return Path(f"/proc/{self.pid}/ns/net").stat().st_ino == Path("/proc/thread-self/ns/net").stat().st_ino
        except (FileNotFoundError, ProcessLookupError):
            return False
        except OSError as error:
            raise TransientError(f"process {self.pid}: {error}") from error

    def signal(self, number: signal.Signals) -> bool:
        """Send the signal; False when the process is gone."""
        with self._opened() as descriptor:
            if descriptor is None:
                return False
            try:
                signal.pidfd_send_signal(descriptor, number)
            except ProcessLookupError:
                return False
            except OSError as error:
                raise TransientError(f"process {self.pid}: {error}") from error
            return True

    def wait(self, deadline: Deadline) -> bool:
        """Wait for its end, whosever child it is; False when the deadline came first."""
        with self._opened() as descriptor:
            if descriptor is None:
                return True
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return bool(poll.poll(deadline.remaining_seconds * 1000))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int | None]:
        """A descriptor that stands for this very process, or None when it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        except OSError as error:
            raise TransientError(f"process {self.pid}: {error}") from error
        try:
            yield descriptor if self.alive else None
        finally:
            os.close(descriptor)


def find_processes(uid: int) -> tuple[ProcessIdentity, ...]:
    """The processes that run under `uid` now."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            if folder.stat().st_uid == uid:
                found.append(ProcessIdentity.of(int(folder.name)))
    return tuple(each for each in found if each is not None)
