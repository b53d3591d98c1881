"""The end of a worker process: what is being worked on is finished, then the connections are closed."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import threading
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)

GRACE_SECONDS = 5
"""Requests that still run this long after the server was told to stop lose the database."""


class Counted:
    """A WSGI application that knows how many requests it is working on; streams count until they have begun."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app
        self._running = 0
        self._changed = threading.Condition()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        with self._changed:
            self._running += 1
        try:
            return self._app(environ, start_response)
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def wait_idle(self, timeout_seconds: float) -> None:
        """Return when no request is being worked on, or the time has passed."""
        with self._changed:
            self._changed.wait_for(lambda: self._running == 0, timeout_seconds)


def close_on_stop(app: Counted, *, last: Callable[[], None], first: Callable[[], None] = lambda: None) -> None:
    """Call `first` as soon as this process is told to stop, or the process that supervises it is gone, and `last` when
    no request is being worked on any more. For the main thread, and after an event loop has set its handlers.

    granian waits for running requests when it is told to stop; its signal handler leaves no room for anything else,
    so the signal is seen by way of Python's wake-up descriptor. It is handed on, after `first`, to who had that before
    (an event loop).
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    handed_on_to = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    supervisor = os.pidfd_open(os.getppid())

    def wait() -> None:
        watched = [read_end, supervisor]
        told = False
        while not told:
            ready, _, _ = select.select(watched, [], [])
            if supervisor in ready:
                logger.warning("the supervising process is gone: stopping")
                watched = [read_end]
                os.kill(os.getpid(), signal.SIGTERM)
            if read_end in ready:
                numbers = os.read(read_end, 64)
                told = not {signal.SIGTERM, signal.SIGINT}.isdisjoint(numbers)
                if told:
                    first()
                if handed_on_to != -1:
                    # A full one is awake already.
                    with contextlib.suppress(BlockingIOError):
                        os.write(handed_on_to, numbers)
        app.wait_idle(GRACE_SECONDS)
        last()

    # Not a daemon: the process stays until the connections are closed.
    threading.Thread(target=wait, name="stop", daemon=False).start()
