"""What one worker counts, added up with the other workers' in the database, where the metrics read it."""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping

from agent.core.errors import TransientError

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the histogram of request times, seconds; above them is +Inf."""
SERIES_MOST = 1000

Series = tuple[str, str, str]
"""Name, label and the label's value; the latter two empty for a series without a label."""


class Counters:
    """Thread-safe. Counts are kept here until they have been added to the database's."""

    def __init__(self, add: Callable[[Mapping[Series, float]], None]) -> None:
        self._add = add
        self._counts: dict[Series, float] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="counters", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Add what is left, if the database can be reached."""
        self._stopping.set()
        self._thread.join(FLUSH_SECONDS)
        self.flush()

    def count(self, name: str, label: str = "", value: str = "", by: float = 1.0) -> None:
        """Add to one series. A device's own words must not become series: what is counted by has few values."""
        series = (name, label, value)
        with self._lock:
            if series in self._counts or len(self._counts) < SERIES_MOST:
                self._counts[series] = self._counts.get(series, 0.0) + by

    def time(self, name: str, seconds: float) -> None:
        """Add to a histogram: its buckets (not cumulative here), sum and count."""
        place = bisect_left(BUCKETS, seconds)
        bound = repr(BUCKETS[place]) if place < len(BUCKETS) else "+Inf"
        self.count(f"{name}_bucket", "le", bound)
        self.count(f"{name}_sum", by=seconds)

    def flush(self) -> None:
        """Hand over what has been counted; what could not be handed over is kept."""
        with self._lock:
            counts, self._counts = self._counts, {}
        if not counts:
            return
        try:
            self._add(counts)
        except TransientError:
            with self._lock:
                for series, value in counts.items():
                    self._counts[series] = self._counts.get(series, 0.0) + value

    def _run(self) -> None:
        while not self._stopping.wait(FLUSH_SECONDS):
            try:
                self.flush()
            except Exception:
                # The thread's boundary: figures are not worth a worker.
                logger.exception("counts are lost")
