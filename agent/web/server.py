"""Serves the application under granian: one worker process, many threads, and a stop that ends live streams
first."""

from __future__ import annotations

import logging
import mmap
import os
import select
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

from granian.constants import Interfaces
from granian.errors import ConfigurationError
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.mp import MPServer

from agent.core.errors import ConfigError, TransientError
from agent.core.settings.schema import WebSettings
from agent.web.activation import address_of, render_address
from agent.web.app import create_app
from agent.web.services import Services
from agent.web.watchdog import Answering, Watch

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
    listener: socket.socket | None = None,
    on_ready: Callable[[], None] | None = None,
    watch: Watch | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then return; call it from the main thread.

    `listener`, a TCP socket that listens, is served instead of the address in `settings`, and stays open.
    `build_services` is called in the worker process, once, after the fork: connections and threads do not
    survive one. `on_ready` is called there too, when the application is about to accept requests, and then
    `watch` is started. Raises ConfigError when the address cannot be listened on or the worker does not start,
    TransientError when the worker has ended by itself later.
    """
    begun = mmap.mmap(-1, 1)  # shared with the worker
    address, port = (settings.listen, settings.tcp_port) if listener is None else address_of(listener)

    def load() -> Any:
        app = Answering(_load(build_services))
        begun[0] = 1
        if on_ready is not None:
            on_ready()
        if watch is not None:
            watch.start(address, port)
        return app

    try:
        server = _Server(
            "lastmile",
            address=address,
            port=port,
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
        server.listener = listener
        server.serve(target_loader=load, wrap_loader=False)
    except (ConfigurationError, OSError, RuntimeError) as error:
        raise ConfigError(f"cannot serve on {render_address(address, port)}: {error}") from error
    except SystemExit as error:
        if begun[0]:
            raise TransientError("the web worker has ended: killed, or a bug of its own") from error
        raise ConfigError("the web worker does not start; its log says why") from error
    finally:
        begun.close()


class _Server(MPServer):
    """granian, on a socket that listens already when it is given one."""

    listener: socket.socket | None = None

    def _init_shared_socket(self) -> None:
        # granian (2.8) has no option for this. On Linux its workers listen themselves where `_ssp` says (SO_REUSEPORT);
        # with `_ssp` None they serve the descriptor in `_shd`, as they do for Unix sockets.
        if self.listener is None:
            super()._init_shared_socket()  # type: ignore[no-untyped-call]
            return
        self.listener.setblocking(False)
        self._ssp = self._sso = None
        holder = SocketHolder(self.listener.fileno(), False, CONNECTIONS_MOST)  # type: ignore[call-arg]
        self._shd = holder  # type: ignore[assignment]


def _load(build_services: Callable[[], Services]) -> Any:
    services = build_services()
    services.start()
    app = _Counted(create_app(services))
    _close_on_stop(services, app)
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
