"""Lets go of CPEs that do not send the body they have announced: a thread waits for it, and there are not many. granian
bounds the time for headers, and none for bodies."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from agent.acs.access.forwarded import parse_address
from agent.core.clock import Instant, now
from agent.core.errors import ProtocolError

BODY_SECONDS = 30.0
"""For a message, or for the next piece of a file."""
_LOOK_SECONDS = 1.0
_DESCRIPTORS = Path("/proc/self/fd")
_LAST_DATA_SENT = struct.Struct("=44xI")
"""`tcpi_last_data_sent` of struct tcp_info (linux/tcp.h), milliseconds."""


class TooSlow(ProtocolError):
    """The body does not come (HTTP 408)."""


@dataclass(frozen=True, slots=True)
class Connections:
    """All that the server tells of a request's connection: between whom it is, not which one."""

    peer: str
    tcp_port: int
    """Ours."""


def cut_unanswered(which: Set[Connections], seconds: float) -> int:
    """End what this process receives on its connections of `which` on which it has sent nothing for so long; how many.

    Such a connection has a request that was not answered: an idle one ends sooner (the time for headers), and our own
    work does not take so long. An answer can still be sent."""
    found = 0
    for taken in _own_sockets():
        with taken, contextlib.suppress(OSError):
            peer, here = parse_address(str(taken.getpeername()[0])), taken.getsockname()[1]
            told = taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_SENT.size)
            silent_seconds = _LAST_DATA_SENT.unpack(told)[0] / 1000
            if Connections(str(peer), here) in which and silent_seconds >= seconds - _LOOK_SECONDS:
                taken.shutdown(socket.SHUT_RD)
                found += 1
    return found


def _own_sockets() -> Iterator[socket.socket]:
    """The TCP sockets of this process, each under a descriptor of its own."""
    for path in tuple(_DESCRIPTORS.iterdir()):
        taken = None
        with contextlib.suppress(OSError):  # it has gone by now
            if path.readlink().name.startswith("socket:"):
                taken = socket.socket(fileno=os.dup(int(path.name)))
        if taken is None:
            continue
        if taken.family in (socket.AF_INET, socket.AF_INET6) and taken.type == socket.SOCK_STREAM:
            yield taken
        else:
            taken.close()


class BodyWatch:
    """For all threads of a worker; has one of its own from the first body on. `cut` is as `cut_unanswered`."""

    def __init__(
        self, seconds: float = BODY_SECONDS, cut: Callable[[Set[Connections], float], object] = cut_unanswered
    ) -> None:
        self._seconds = seconds
        self._cut = cut
        self._readings: set[Reading] = set()
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._idle = False

    def reading(self, environ: Mapping[str, Any]) -> Reading:
        """To be entered while the body of this request is read."""
        return Reading(self, environ)

    def begin(self, reading: Reading) -> None:
        reading.overdue_at = now() + self._seconds
        with self._condition:
            self._readings.add(reading)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="bodies", daemon=True)
                self._thread.start()
            if self._idle:
                self._condition.notify()

    def end(self, reading: Reading) -> None:
        with self._condition:
            self._readings.discard(reading)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._idle = not self._readings
                self._condition.wait(None if self._idle else _LOOK_SECONDS)
                self._idle = False
                late = [reading for reading in self._readings if now() >= reading.overdue_at]
                for reading in late:
                    reading.overdue = True
            which = {found for reading in late if (found := reading.connections) is not None}
            if which:
                self._cut(which, self._seconds)


class Reading:
    """One body that is being read. Leaving raises TooSlow when it was cut off because its time had passed."""

    __slots__ = ("_environ", "_watch", "overdue", "overdue_at")

    def __init__(self, watch: BodyWatch, environ: Mapping[str, Any]) -> None:
        self._watch = watch
        self._environ = environ
        self.overdue = False
        self.overdue_at: Instant = 0.0

    @property
    def connections(self) -> Connections | None:
        """None when the server does not tell."""
        address, port = parse_address(self._environ.get("REMOTE_ADDR", "")), str(self._environ.get("SERVER_PORT", ""))
        return Connections(str(address), int(port)) if address is not None and port.isdigit() else None

    def __enter__(self) -> None:
        self._watch.begin(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.end(self)
        if self.overdue:
            raise TooSlow("the body did not come in time") from error
