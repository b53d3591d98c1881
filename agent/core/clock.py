"""Time, deadlines and back-off. Durations are seconds; instants are monotonic seconds unless called `wall`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

Instant = float
"""Seconds on the monotonic clock."""


def now() -> Instant:
    """The monotonic clock."""
    return time.monotonic()


def wall() -> datetime:
    """The time of day, UTC, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Deadline:
    """An absolute instant after which a wait is given up."""

    at: Instant

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(now() + seconds)

    @property
    def remaining_seconds(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - now())

    @property
    def passed(self) -> bool:
        return now() >= self.at

    def earlier(self, seconds: float) -> Deadline:
        """This deadline, or `seconds` from now when that is sooner."""
        return Deadline(min(self.at, now() + seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """Exponential waits with jitter: `first_seconds * factor**attempt`, capped, ± `jitter` of itself."""

    first_seconds: float = 1.0
    factor: float = 2.0
    most_seconds: float = 60.0
    jitter: float = 0.2

    def wait_seconds(self, attempt: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
        """How long to wait before try number `attempt` (0 is the first retry)."""
        base = min(self.most_seconds, self.first_seconds * self.factor ** min(attempt, 32))
        return base * uniform(1 - self.jitter, 1 + self.jitter)
