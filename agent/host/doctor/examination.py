"""Runs checks side by side, each in its own time: a broken or a slow one hides no other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from agent.core.clock import Deadline
from agent.core.errors import AgentError
from agent.doctor.findings import Finding, Findings, failure, unknown

logger = logging.getLogger(__name__)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A look at one subject. `run` gathers and judges; it may take up to `seconds`, and may fail as it likes."""

    name: str
    group: str
    run: Callable[[], Findings]
    seconds: float = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A finding, and the group of the check that it came from."""

    group: str
    finding: Finding


def examine(checks: Iterable[Check]) -> tuple[Examined, ...]:
    """All findings, in the order of the checks. A check that raises, or does not end in time, is a finding itself."""
    runs = [_Run(check) for check in checks]
    for run in runs:
        run.start()
    return tuple(Examined(group=run.check.group, finding=each) for run in runs for each in run.findings())


class _Run:
    def __init__(self, check: Check) -> None:
        self.check = check
        self._deadline = Deadline.after(check.seconds)
        self._done = threading.Event()
        self._found: Findings = ()
        # A thread that hangs in the kernel is left behind; it must not hold up the end of the program.
        self._thread = threading.Thread(target=self._work, name=f"check {check.name}", daemon=True)

    def start(self) -> None:
        self._deadline = Deadline.after(self.check.seconds)
        self._thread.start()

    def findings(self) -> Findings:
        if self._done.wait(self._deadline.remaining_seconds):
            return self._found
        name, seconds = self.check.name, self.check.seconds
        return (
            unknown(name, f"this check did not end within {seconds:g} s", "try again when the machine is less busy"),
        )

    def _work(self) -> None:
        try:
            self._found = self.check.run()
        except AgentError as error:
            self._found = (unknown(self.check.name, f"could not be looked at: {error}"),)
        except Exception as error:  # the one boundary: a bug in a check is a finding
            logger.debug("a check failed", extra={"CHECK": self.check.name}, exc_info=True)
            text = f"this check broke: {type(error).__name__}: {error}"
            self._found = (failure(self.check.name, text, "report it, with the output of: lastmile doctor --json"),)
        finally:
            self._done.set()


@dataclass
class Shared(Generic[Value]):
    """A fact that several checks need: read once, by whoever comes first; a failure is told to all of them."""

    read: Callable[[], Value]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _known: list[Value] = field(default_factory=list)
    _failed: list[BaseException] = field(default_factory=list)

    def get(self) -> Value:
        """The fact, or what reading it raised."""
        with self._lock:
            if not self._known and not self._failed:
                try:
                    self._known.append(self.read())
                except BaseException as error:
                    self._failed.append(error)
                    raise
            if self._failed:
                raise self._failed[0]
            return self._known[0]

    def peek(self) -> Value | None:
        """The fact if it was read; nothing is read or waited for."""
        return self._known[0] if self._known else None
