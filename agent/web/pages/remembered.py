"""Answers that cost the database something, kept for a short while and shared by everybody who looks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from agent.core.clock import Instant, now
from agent.core.errors import DeadlineExceeded

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
MOST = 64
WAIT_SECONDS = 5.0
"""Longest wait for somebody else's question: while the database hangs, callers must not queue up behind each other."""


class Remembered(Generic[Key, Value]):
    """Asks for each key again after `seconds`, one caller at a time; keeps the latest MOST. Safe for many threads."""

    def __init__(self, fetch: Callable[[Key], Value], seconds: float) -> None:
        self._fetch = fetch
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept: dict[Key, tuple[Instant, Value]] = {}

    def get(self, key: Key) -> Value:
        """What is known of `key`; raises what `fetch` raises, and DeadlineExceeded."""
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            raise DeadlineExceeded("somebody else's question to the database takes long")
        try:
            return self._get(key)
        finally:
            self._lock.release()

    def _get(self, key: Key) -> Value:
        known = self._kept.get(key)
        if known is not None and now() - known[0] < self._seconds:
            return known[1]
        value = self._fetch(key)
        self._kept.pop(key, None)
        self._kept[key] = (now(), value)
        while len(self._kept) > MOST:
            self._kept.pop(next(iter(self._kept)))
        return value
