"""Which loops turn: every one beats, and the watchdog is fed only while none of the watched ones has fallen silent."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from agent.core.clock import Instant, now


@dataclass(slots=True)
class Heartbeats:
    """Thread-safe. A loop that has not beaten for `silence_seconds` counts as stuck."""

    silence_seconds: float
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last: dict[str, Instant] = field(default_factory=dict)

    def beat(self, name: str) -> None:
        """The loop called `name` has just turned."""
        with self._lock:
            self._last[name] = now()

    def forget(self, name: str) -> None:
        """The loop called `name` has ended on purpose."""
        with self._lock:
            self._last.pop(name, None)

    def silent(self, names: tuple[str, ...], at: Instant | None = None) -> tuple[str, ...]:
        """Those of `names` that have not beaten lately, or never."""
        moment = now() if at is None else at
        with self._lock:
            return tuple(name for name in names if moment - self._last.get(name, float("-inf")) > self.silence_seconds)
