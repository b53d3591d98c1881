"""What systemd is told (sd_notify(3)) and asks (signals): ready, status, reloading, watchdog, stop."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

import sdnotify

from agent.core.heartbeat import Heartbeats

logger = logging.getLogger(__name__)

STATUS_SECONDS = 10.0


@dataclass(slots=True)
class Supervision:
    """Runs in the main thread until SIGTERM or SIGINT; SIGHUP calls `reload`."""

    heartbeats: Heartbeats
    loops: tuple[str, ...]
    status: Callable[[], str]
    reload: Callable[[], None]
    must_stop: Callable[[], bool] = lambda: False
    """Whether the process has to end by itself."""
    _wake: threading.Event = field(default_factory=threading.Event)
    _stop: bool = False
    _hang_up: bool = False
    _notifier: sdnotify.SystemdNotifier = field(default_factory=sdnotify.SystemdNotifier)

    def install(self) -> None:
        """Take the signals over."""
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_hang_up)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stop = True
        self._wake.set()

    def _on_hang_up(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._hang_up = True
        self._wake.set()

    def wake(self) -> None:
        """Have `must_stop` asked now."""
        self._wake.set()

    def tell(self, state: str) -> None:
        """Send one notification; without systemd nothing happens."""
        self._notifier.notify(state)

    def run(self) -> None:
        """Announce readiness, then feed the watchdog and answer signals until told to stop."""
        self.tell(f"READY=1\nSTATUS={self.status()}")
        limit_seconds = watchdog_seconds()
        period = min(STATUS_SECONDS, limit_seconds / 3) if limit_seconds else STATUS_SECONDS
        while not (self._stop or self.must_stop()):
            self._wake.wait(period)
            self._wake.clear()
            if self._hang_up:
                self._hang_up = False
                self._reload()
            silent = self.heartbeats.silent(self.loops)
            if silent:
                logger.error("loops have stopped turning", extra={"LOOPS": ", ".join(silent)})
                self.tell(f"STATUS=stuck: {', '.join(silent)}")
            else:
                self.tell(f"WATCHDOG=1\nSTATUS={self.status()}")
        self.tell("STOPPING=1\nSTATUS=stopping; proxies keep running")

    def _reload(self) -> None:
        # MONOTONIC_USEC is what Type=notify-reload wants beside RELOADING=1.
        self.tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
        self.reload()
        self.tell(f"READY=1\nSTATUS={self.status()}")


def watchdog_seconds() -> float | None:
    """The watchdog's time as systemd gives it to this very process."""
    if os.environ.get("WATCHDOG_PID") not in (None, str(os.getpid())):
        return None
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdigit() and int(microseconds) > 0 else None
