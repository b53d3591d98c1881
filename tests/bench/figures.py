"""What a benchmark gives: figures, each with its goal and something of the same run beside it."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number."""

    benchmark: str
    name: str
    value: float
    unit: str
    goal: float | None = None
    """At most this much, or at least; None: no goal, shown for comparison."""
    more_is_better: bool = False
    """Whether the goal is a least value."""
    note: str = ""
    """How it was got, or how it compares with another figure of the run."""

    @property
    def met(self) -> bool | None:
        """Whether the goal was met; None without one."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.more_is_better else self.value <= self.goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How busy the machine was with other things, and how fast it was."""

    load: float
    """Processes that wanted to run, average of the last minute."""
    loop_ms: float
    """What a fixed piece of pure Python takes, best of several."""
    loop_spread: float
    """The longest turn of it in relation to the best."""


def measure_noise(turns: int = 9) -> Noise:
    """Look at the machine now; takes about a quarter of a second."""
    times = [milliseconds(_fixed_work) for _ in range(turns)]
    return Noise(load=os.getloadavg()[0], loop_ms=min(times), loop_spread=max(times) / min(times))


def milliseconds(work: Callable[[], object]) -> float:
    """How long `work` takes once."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def spread(values: Sequence[float], unit: str) -> str:
    """`n` and the range of several turns, as a note."""
    return f"median of {len(values)}, {min(values):.0f} to {max(values):.0f} {unit}"


def _fixed_work() -> int:
    return sum(number * number % 7 for number in range(200_000))
