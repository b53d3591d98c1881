"""Runs qmicli: in its own process group, inside a deadline, a few at a time, with bounded output."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.clock import Deadline, Instant, now
from agent.core.errors import DeadlineExceeded, TransientError

logger = logging.getLogger(__name__)

OUTPUT_LIMIT_BYTES = 64 * 1024
_READ_BYTES = 4096
_LAST_WORDS_MOST_SECONDS = 1.0
_LAST_WORDS_SHARE = 0.25
_REAP_SECONDS = 1.0
TURN_SECONDS = 1.0
"""A run that lasts longer than this only waits for its modem: it costs nothing, and gives its turn away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessResult:
    """How a run ended."""

    output: str
    """Both streams as they were written, cut at the limit."""
    succeeded: bool
    timed_out: bool


class ProcessRunner:
    """Runs one program for everybody: at most `concurrency` begin and work at once, the others wait for their turn
    within their own deadline. One runner serves all modems, and those that hang take no turns from the others."""

    def __init__(self, *, concurrency: int = 4, output_limit_bytes: int = OUTPUT_LIMIT_BYTES) -> None:
        self._turns = threading.BoundedSemaphore(concurrency)
        self._output_limit_bytes = output_limit_bytes
        self._lock = threading.Lock()
        self._unreaped: list[subprocess.Popen[bytes]] = []

    def run(self, arguments: Sequence[str], deadline: Deadline) -> ProcessResult:
        """Run `arguments`. Near the deadline the group gets SIGTERM: qmicli then says which client id it leaves behind.
        At the deadline it gets SIGKILL.

        Raises DeadlineExceeded when no turn came in time, TransientError when the program cannot be started."""
        self._reap()
        if not self._turns.acquire(timeout=deadline.remaining_seconds):
            raise DeadlineExceeded(f"{arguments[0]}: too many run already")
        with contextlib.ExitStack() as turn:
            turn.callback(self._turns.release)
            return self._run(arguments, deadline, turn)

    def _run(self, arguments: Sequence[str], deadline: Deadline, turn: contextlib.ExitStack) -> ProcessResult:
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, "LC_ALL": "C"},
                process_group=0,
            )
        except OSError as exc:
            raise TransientError(f"{arguments[0]} cannot be started: {exc.strerror}") from exc
        try:
            output, timed_out = self._watch(process, deadline, turn)
        finally:
            self._end(process)
        succeeded = process.returncode == 0 and not timed_out
        return ProcessResult(output=output, succeeded=succeeded, timed_out=timed_out)

    def _watch(
        self, process: subprocess.Popen[bytes], deadline: Deadline, turn: contextlib.ExitStack
    ) -> tuple[str, bool]:
        """(output, whether it had to be ended). Closes `turn` when that has lasted long enough. Ends with the process,
        not with its pipe: qmicli starts qmi-proxy, and whatever else outlives it must not be waited for."""
        if process.stdout is None:
            raise TransientError("a started process has no output")
        remaining = deadline.remaining_seconds
        terminate_at = now() + remaining - min(_LAST_WORDS_MOST_SECONDS, remaining * _LAST_WORDS_SHARE)
        collected = bytearray()
        descriptor = process.stdout.fileno()
        os.set_blocking(descriptor, False)
        exit_descriptor = os.pidfd_open(process.pid)
        try:
            turn_ends_at = min(now() + TURN_SECONDS, terminate_at)
            if self._collect(descriptor, exit_descriptor, collected, turn_ends_at):
                return collected.decode("utf-8", "replace"), False
            turn.close()
            if self._collect(descriptor, exit_descriptor, collected, terminate_at):
                return collected.decode("utf-8", "replace"), False
            _signal_group(process, signal.SIGTERM)
            self._collect(descriptor, exit_descriptor, collected, deadline.at)
            return collected.decode("utf-8", "replace"), True
        finally:
            os.close(exit_descriptor)
            process.stdout.close()

    def _collect(self, descriptor: int, exit_descriptor: int, collected: bytearray, until: Instant) -> bool:
        """Read until the process ends; False when `until` comes first."""
        poll = select.poll()
        poll.register(exit_descriptor, select.POLLIN)
        poll.register(descriptor, select.POLLIN)
        while (remaining := until - now()) > 0:
            ready = dict(poll.poll(remaining * 1000))
            if descriptor in ready and self._read(descriptor, collected) == b"":
                poll.unregister(descriptor)
            if exit_descriptor in ready:
                while self._read(descriptor, collected) and now() < until:
                    pass
                return True
        return False

    def _read(self, descriptor: int, collected: bytearray) -> bytes | None:
        """Take one piece, keep what the limit leaves room for; None when nothing is there now, empty at the end."""
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return None
        collected += data[: max(0, self._output_limit_bytes - len(collected))]
        return data

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Kill what is left of the group, reap the process."""
        if process.poll() is None:
            _signal_group(process, signal.SIGKILL)
            try:
                process.wait(_REAP_SECONDS)
            except subprocess.TimeoutExpired:
                # In the kernel's hands: reaped before one of the next runs.
                logger.warning("process does not die", extra={"PID": process.pid})
                with self._lock:
                    self._unreaped.append(process)

    def _reap(self) -> None:
        with self._lock:
            self._unreaped = [process for process in self._unreaped if process.poll() is None]


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
