"""Waiting for rows that somebody else finishes: one listening connection for all who wait, made when first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from agent.store.database import Database
from agent.store.listen import Listener

RESYNC_SECONDS = 5.0
"""How often a waiter looks by itself: a notification is only a hint."""
Key = tuple[str, str]
"""A channel, and which of the things it tells of."""


class Waiters:
    """Wakes threads that wait for rows. `channels` has for each channel what makes a row's name of a payload."""

    def __init__(self, database: Database, channels: Mapping[str, Callable[[str], str]], *, name: str) -> None:
        self._database = database
        self._channels = dict(channels)
        self._name = name
        self._lock = threading.Lock()
        self._waiting: dict[Key, list[threading.Event]] = {}
        self._listener: Listener | None = None
        self._closed = False

    @contextmanager
    def waiting_for(self, *keys: Key) -> Iterator[threading.Event]:
        """An event that is set whenever one of the rows may have changed."""
        event = threading.Event()
        with self._lock:
            for key in keys:
                self._waiting.setdefault(key, []).append(event)
            if self._listener is None and not self._closed:
                self._listener = self._make_listener()
                self._listener.start()
        try:
            yield event
        finally:
            with self._lock:
                for key in keys:
                    self._waiting[key].remove(event)
                    if not self._waiting[key]:
                        del self._waiting[key]

    def close(self) -> None:
        """Stop listening; who still waits looks by himself."""
        with self._lock:
            self._closed = True
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()

    def _make_listener(self) -> Listener:
        return Listener(
            self._database.url,
            tuple(self._channels),
            self._wake_one,
            self._wake_all,
            timeout_seconds=self._database.timeout_seconds,
            name=f"{self._database.name}-{self._name}",
        )

    def _wake_one(self, channel: str, payload: str) -> None:
        key = (channel, self._channels[channel](payload))
        with self._lock:
            for event in self._waiting.get(key, ()):
                event.set()

    def _wake_all(self) -> None:
        with self._lock:
            for events in self._waiting.values():
                for event in events:
                    event.set()
