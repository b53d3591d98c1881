"""Serves the application under granian: one worker process, many threads, and a stop that ends live streams
first."""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
from collections.abc import Callable
from typing import Any

from granian.constants import Interfaces
from granian.errors import ConfigurationError
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from agent.core.errors import ConfigError
from agent.core.settings.schema import WebSettings
from agent.web.app import create_app
from agent.web.services import Services

logger = logging.getLogger(__name__)

STOP_SECONDS = 10
"""After this the worker is killed."""
GRACE_SECONDS = 5
"""Requests that still run this long after the server was told to stop lose the database."""
HEADER_MILLISECONDS = 10_000
CONNECTIONS_MOST = 1024
# granian sets up logging of its own; its lines go where ours go, and only when something is wrong.
_LOGGING: dict[str, Any] = {
    "handlers": {},
    "formatters": {},
    "loggers": {"_granian": {"propagate": True}, "granian.access": {"propagate": True}},
}


def serve(
    settings: WebSettings,
    build_services: Callable[[], Services],
    *,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then return; call it from the main thread.

    `build_services` is called in the worker process, once, after the fork: connections and threads do not
    survive one. `on_ready` is called there too, when the application is about to accept requests. Raises
    ConfigError when the address cannot be listened on or the worker does not start.
    """
    try:
        server = Server(
            "lastmile",
            address=settings.listen,
            port=settings.tcp_port,
            interface=Interfaces.WSGI,
            workers=1,
            blocking_threads=settings.threads,
            backlog=CONNECTIONS_MOST,
            backpressure=CONNECTIONS_MOST,
            websockets=False,
            http1_settings=HTTP1Settings(header_read_timeout=HEADER_MILLISECONDS, max_buffer_size=64 * 1024),
            log_level=LogLevels.error,
            log_dictconfig=_LOGGING,
            workers_kill_timeout=STOP_SECONDS,
        )
        server.serve(target_loader=lambda: _load(build_services, on_ready), wrap_loader=False)
    except (ConfigurationError, OSError, RuntimeError) as error:
        raise ConfigError(f"cannot serve on {settings.listen} port {settings.tcp_port}: {error}") from error
    except SystemExit as error:
        raise ConfigError("the web worker ended unexpectedly; its log says why") from error


def _load(build_services: Callable[[], Services], on_ready: Callable[[], None] | None) -> Any:
    services = build_services()
    services.start()
    app = _Counted(create_app(services))
    _close_on_stop(services, app)
    if on_ready is not None:
        on_ready()
    return app


class _Counted:
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


def _close_on_stop(services: Services, app: _Counted) -> None:
    """Close `services` as soon as this process is told to stop, or the process that supervises it is gone.

    granian waits for running requests when it is told to stop, and a live stream only ends when the hub
    does; its signal handler leaves no room for that, so the signal is seen by way of Python's wake-up
    descriptor.
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
        services.events.close()
        app.wait_idle(GRACE_SECONDS)
        services.close()

    # Not a daemon: the process stays until the connections are closed.
    threading.Thread(target=wait, name="stop", daemon=False).start()
