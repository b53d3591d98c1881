"""The qmi-proxy process that all qmicli calls of a network namespace share (its socket is an abstract one)."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

from agent.core.clock import Deadline

logger = logging.getLogger(__name__)

_NAME = "qmi-proxy"
_PROC = Path("/proc")
_KILL_AFTER_SHARE = 0.5


def end_proxies(deadline: Deadline, name: str = _NAME) -> int:
    """End every qmi-proxy of this network namespace, by force when half of the time has passed; the next qmicli call
    starts a new one. Returns how many there were. Client ids stay allocated in the modems."""
    ended = 0
    for pid in _pids(name):
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            _end(descriptor, pid, deadline)
            ended += 1
        finally:
            os.close(descriptor)
    return ended


def _end(descriptor: int, pid: int, deadline: Deadline) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)
        share = _KILL_AFTER_SHARE if number is signal.SIGTERM else 1.0
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if poll.poll(deadline.remaining_seconds * share * 1000):
            return
    logger.warning("qmi-proxy does not die", extra={"PID": pid})


def _pids(name: str) -> Iterator[int]:
    """Processes called `name` in this process's network namespace."""
    ours = (_PROC / "thread-self/ns/net").stat().st_ino
    for directory in _PROC.iterdir():
        if not directory.name.isdecimal():
            continue
        try:
            matches = (directory / "comm").read_text().strip() == name
            if matches and (directory / "ns/net").stat().st_ino == ours:
                yield int(directory.name)
        except OSError as exc:
            logger.debug("process ended while looked at", extra={"PID": directory.name, "ERROR": str(exc)})
