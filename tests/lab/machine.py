"""A machine of the lab as the tests see it, whether it is a VM or a container."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

RUN_SECONDS = 180.0
MOST_OUTPUT_BYTES = 4 << 20
"""What is kept of each of a command's streams: its end."""
MOST_FILE_BYTES = 64 << 20


class LabError(Exception):
    """The lab itself failed: no image, a machine that does not boot or answer. The message holds what was last seen."""


class MachineRestarted(LabError):
    """The machine went down or came up anew while it was asked for something."""


class CommandTimeout(LabError):
    """A command did not end in its time and was killed; the message holds its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a command ended: its status as a shell has it, and the end of its output, undecodable bytes replaced."""

    rc: int
    out: str
    err: str


OnOutput = Callable[[str, bytes], None]
"""Is told each piece of output as it comes: "out" or "err", and the bytes."""


class Running(Protocol):
    """A command under way."""

    @property
    def output(self) -> Result | None:
        """How it ended; None while it runs."""

    def wait(self, timeout: float = RUN_SECONDS) -> Result:
        """Its result; TimeoutError when it runs on, which it then may."""

    def signal(self, number: int) -> None:
        """Send a signal to the command and what it started (its process group)."""


class Machine(Protocol):
    """A Debian with systemd, PostgreSQL and everything that lastmile's package depends on; one is root in it.

    May be used by several threads. Raises LabError when the machine does not answer."""

    def run(
        self,
        command: str,
        *,
        timeout: float = RUN_SECONDS,
        stdin: bytes | None = None,
        on_output: OnOutput | None = None,
    ) -> Result:
        """Run a bash command in / to its end, whatever its status. CommandTimeout when its time is up."""

    def start(self, command: str, *, timeout: float = RUN_SECONDS) -> Running:
        """Begin a bash command; it is killed when its time is up."""

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file, durably; folders are made."""

    def get(self, path: str) -> bytes:
        """Read a file of at most MOST_FILE_BYTES."""

    def wait_booted(self, timeout: float = 120.0) -> None:
        """Wait until systemd says that the start is over, be it "running" or "degraded"."""
