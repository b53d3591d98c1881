"""LISTEN on a connection and a thread of its own. A notification is a hint: the reader reads the table."""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from agent.core.clock import BackOff
from agent.core.errors import TransientError
from agent.store.database import first_line, session_options
from agent.store.deadlines import shut_down

log = logging.getLogger(__name__)

MODEM_CHANGE = "modem_change"
"""Payload: JSON {serial, host, status, event}; `event`: id in `events`, null when only signal or counters moved."""
MODEM_COMMAND = "modem_command"
"""Payload: name of the host that has a new row in `modem_commands`."""
MODEM_COMMAND_DONE = "modem_command_done"
"""Payload: id of the row that has finished."""
DEVICE_CHANGE = "device_change"
"""Payload: JSON {device, kind, event}; `event`: id in `events`."""
TASK_CHANGE = "task_change"
"""Payload: JSON {task, device, status}."""
CONNECTION_REQUEST = "connection_request"
"""Payload: JSON {id, state} of a row in `connection_requests`."""
ALERT_CHANGE = "alert_change"
"""Payload: JSON {alert, kind, event}; `event`: id in `events`."""
ALERT_DELIVERY = "alert_delivery"
"""Payload: JSON {id, state} of a row in `alert_deliveries`."""
SESSION_PROGRESS = "session_progress"
"""Payload: JSON {device, batch, batches, parameters, total}: how far the reading of a tree has come. In no table."""


class Listener:
    """Listens to `channels` of the database at `url` until `stop`, through any number of lost connections.

    From its own thread it calls `on_connect()` after every (re)connect, once LISTEN is in effect: what happened
    before must be read from the tables now. Then `on_notification(channel, payload)` for each notification. An
    exception of either is logged and ends the connection, which is made anew with back-off.
    """

    def __init__(
        self,
        url: str,
        channels: Sequence[str],
        on_notification: Callable[[str, str], None],
        on_connect: Callable[[], None],
        *,
        timeout_seconds: float = 5.0,
        back_off: BackOff | None = None,
        name: str = "lastmile-listen",
    ) -> None:
        self._url = url
        self._channels = tuple(channels)
        self._on_notification = on_notification
        self._on_connect = on_connect
        self._timeout_seconds = timeout_seconds
        self._back_off = back_off or BackOff(first_seconds=0.5, most_seconds=15.0)
        self._name = name
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self._connection: psycopg.Connection[Any] | None = None
        self._lock = threading.Lock()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start listening; returns at once, whether the database can be reached or not."""
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether notifications would arrive now."""
        return self._connected.is_set()

    def wait_connected(self, timeout_seconds: float) -> bool:
        """Wait until LISTEN is in effect and `on_connect` has returned; False when the time has passed."""
        return self._connected.wait(timeout_seconds)

    def stop(self) -> None:
        """End the thread, also while it waits for a server that does not answer; may be called twice."""
        with self._lock:
            if self._stopping.is_set():
                return
            self._stopping.set()
            os.write(self._wake_write, b"x")
            if self._connection is not None:
                shut_down(self._connection)
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(self._timeout_seconds + 2)
        if not self._thread.is_alive():
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _run(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            try:
                self._listen_once()
            except psycopg.Error as exc:
                self._log_loss(first_line(exc))
            except TransientError as exc:
                # What a reader reads is away: it is read again after the next connect.
                self._log_loss(str(exc))
            except Exception:
                # The thread's boundary: a reader's error must not end the listening.
                log.exception("a reader of notifications failed", extra={"LISTENER": self._name})
            attempt = 0 if self._connected.is_set() else attempt + 1
            self._connected.clear()
            if not self._stopping.is_set():
                self._stopping.wait(self._back_off.wait_seconds(attempt))

    def _listen_once(self) -> None:
        options = session_options(self._name, self._timeout_seconds)
        with psycopg.connect(self._url, autocommit=True, **options) as connection:
            with self._lock:
                if self._stopping.is_set():
                    return
                self._connection = connection
            try:
                for channel in self._channels:
                    connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                self._on_connect()
                self._connected.set()
                self._receive(connection)
            finally:
                with self._lock:
                    self._connection = None

    def _receive(self, connection: psycopg.Connection[Any]) -> None:
        while not self._stopping.is_set():
            for notification in connection.notifies(timeout=0):
                self._on_notification(notification.channel, notification.payload)
            if self._stopping.is_set():
                return
            select.select([connection.fileno(), self._wake_read], [], [])

    def _log_loss(self, reason: str) -> None:
        if self._connected.is_set() and not self._stopping.is_set():
            log.warning("listening was interrupted", extra={"LISTENER": self._name, "REASON": reason})
