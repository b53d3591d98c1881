"""The end of a worker process: what is being worked on is finished, then the connections are closed."""

from __future__ import annotations

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
    no request is being worked on any more.

    granian waits for running requests when it is told to stop; its signal handler leaves no room for anything else,
    so the signal is seen by way of Python's wake-up descriptor.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    supervisor = os.pidfd_open(os.getppid())

    def wait() -> None:
        told = False
        while not told:
            ready, _, _ = select.select([read_end, supervisor], [], [])
            if supervisor in ready:
                logger.warning("the supervising process is gone: stopping")
                os.kill(os.getpid(), signal.SIGTERM)
                told = True
            elif not {signal.SIGTERM, signal.SIGINT}.isdisjoint(os.read(read_end, 64)):
                told = True
        first()
        app.wait_idle(GRACE_SECONDS)
        last()

    # Not a daemon: the process stays until the connections are closed.
    threading.Thread(target=wait, name="stop", daemon=False).start()
