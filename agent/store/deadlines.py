"""Deadlines for calls to PostgreSQL, which libpq itself does not know."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from agent.core.clock import Deadline


class DeadlineKeeper:
    """Cuts connections whose deadline has passed, in a thread that is made when first needed.

    Without it a call to a server that has stopped answering (but whose machine has not) would never return."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._condition = threading.Condition()
        self._watched: dict[int, tuple[psycopg.Connection[Any], Deadline]] = {}
        self._thread: threading.Thread | None = None
        self._closed = False
        self._idle = False

    @contextmanager
    def watch(self, connection: psycopg.Connection[Any], deadline: Deadline) -> Iterator[None]:
        """While inside, `connection` is cut when `deadline` passes: who waits for it gets psycopg.OperationalError."""
        key = id(connection)
        with self._condition:
            self._watched[key] = (connection, deadline)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name=f"{self._name}-deadlines", daemon=True)
                self._thread.start()
            if self._idle:
                self._condition.notify_all()
        try:
            yield
        finally:
            with self._condition:
                self._watched.pop(key, None)

    def close(self) -> None:
        """End the thread; nothing is cut any more."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(5)

    def _run(self) -> None:
        with self._condition:
            while not self._closed:
                for key in [key for key, (_, deadline) in self._watched.items() if deadline.passed]:
                    connection, _ = self._watched.pop(key)
                    shut_down(connection)
                # All deadlines are equally long, so one that is added later ends later: no need to be woken for it.
                wait = min((deadline.remaining_seconds for _, deadline in self._watched.values()), default=None)
                self._idle = wait is None
                self._condition.wait(wait)


def shut_down(connection: psycopg.Connection[Any]) -> None:
    """Cut a connection's socket, so that the thread that waits for it gets an error at once."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=connection.fileno()) as handle:
        try:
            handle.shutdown(socket.SHUT_RDWR)
        finally:
            handle.detach()
