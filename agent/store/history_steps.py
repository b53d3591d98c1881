"""How finely a time is looked at: the length of a step, and which table has it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

POINTS_MOST = 600
POINTS = 300
SPAN_MOST = timedelta(days=3660)
_STEPS = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800)
"""Lengths that people can read an axis by; each is a multiple of its table's."""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""What PostgreSQL's date_bin counts steps from in our statements."""


class Tier(IntEnum):
    """Where measurements are kept, by how many seconds one row covers."""

    SAMPLES = 0
    FINE = 300
    HOUR = 3600
    DAY = 86_400

    @property
    def label(self) -> str:
        """As the API calls it."""
        return {Tier.SAMPLES: "samples", Tier.FINE: "5min", Tier.HOUR: "hour", Tier.DAY: "day"}[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Days that each table keeps."""

    sample_days: int = 30
    fine_days: int = 90
    hour_days: int = 1095
    day_days: int = 3650

    def days_of(self, tier: Tier) -> int:
        """How long this table keeps what is in it."""
        return {
            Tier.SAMPLES: self.sample_days,
            Tier.FINE: self.fine_days,
            Tier.HOUR: self.hour_days,
            Tier.DAY: self.day_days,
        }[tier]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A time, cut into steps: `begun` is the begin of the first one, `stop` the end of the time."""

    begun: datetime
    stop: datetime
    step_seconds: int
    tier: Tier

    @property
    def times(self) -> range:
        """When each step begins, in seconds since 1970."""
        return range(int(self.begun.timestamp()), _ceil(self.stop.timestamp()), self.step_seconds)

    def covered_seconds(self, at: int) -> float:
        """How much of the step that begins then lies in the time; the last one is seldom over."""
        return min(float(self.step_seconds), self.stop.timestamp() - at)


def choose_window(
    begin: datetime,
    end: datetime,
    *,
    at: datetime,
    points: int = POINTS,
    retention: Retention | None = None,
    finest: Tier = Tier.SAMPLES,
) -> Window:
    """Steps for [begin, end), at most `points` (and POINTS_MOST) of them, as seen at the time `at`.

    The finest table that has such steps, and still has the begin, is chosen; none finer than `finest`.
    ValueError when there is no such time."""
    if end <= begin:
        raise ValueError("the end must be after the begin")
    if end - begin > SPAN_MOST:
        raise ValueError(f"at most {SPAN_MOST.days} days at once")
    kept = retention or Retention()
    most = min(max(1, points), POINTS_MOST)
    for tier in Tier:
        gone = at - begin > timedelta(days=kept.days_of(tier)) and tier is not Tier.DAY
        if gone or tier < finest:
            continue
        for step in _STEPS:
            window = _cut(begin, end, step, tier)
            if step >= tier and len(window.times) <= most and _finest(step) <= tier:
                return window
    # Longer steps than any of the table: only when few points are wanted.
    days = -(-(end - begin) // timedelta(days=max(1, most - 1))) or 1
    return _cut(begin, end, days * 86_400, Tier.DAY)


def _finest(step: int) -> Tier:
    """The coarsest table whose rows make up such a step."""
    return max(tier for tier in Tier if tier <= step)


def _cut(begin: datetime, end: datetime, step: int, tier: Tier) -> Window:
    first = _EPOCH + (begin - _EPOCH) // timedelta(seconds=step) * timedelta(seconds=step)
    return Window(begun=first, stop=end, step_seconds=step, tier=tier)


def _ceil(seconds: float) -> int:
    return int(seconds) + (seconds > int(seconds))
