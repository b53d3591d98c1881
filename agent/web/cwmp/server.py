"""Serves the ACS under granian: several worker processes that share one listening socket."""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import resource
import signal
import socket
from collections.abc import Callable
from typing import Any

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.errors import ConfigurationError
from granian.http import HTTP1Settings
from granian.log import LogLevels

from agent.core.errors import ConfigError, TransientError
from agent.core.settings.schema import AcsSettings
from agent.web.activation import address_of, render_address
from agent.web.draining import Counted, close_on_stop
from agent.web.granian_server import LOGGING, PersistentServer
from agent.web.watchdog import Answering, Watch

logger = logging.getLogger(__name__)

STOP_SECONDS = 15
HEADER_MILLISECONDS = 20_000
CONNECTIONS_MOST = 20_000
"""Of one worker, idle ones too: CPEs like to keep theirs open."""
BACKLOG = 4096
WAITING_THREADS = 64
"""Of one worker, beside those that work (acs.threads): they wait for bodies to come and for files to go."""
_TCP_OPTIONS = {
    # A CPE that lost its power in the middle of a message says nothing more, and a thread would wait for it for ever.
    socket.TCP_KEEPIDLE: 30,
    socket.TCP_KEEPINTVL: 10,
    socket.TCP_KEEPCNT: 3,
    # The same for one that takes nothing of what is sent to it (milliseconds).
    socket.TCP_USER_TIMEOUT: 60_000,
}


def worker_count(settings: AcsSettings) -> int:
    """How many workers there are to be."""
    return settings.workers or len(os.sched_getaffinity(0))


def listen(settings: AcsSettings) -> socket.socket:
    """A socket that listens where the settings say. Raises ConfigError."""
    address, port = settings.address
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            # CPEs of both families, as [::] promises.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address != "::"))
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot serve on {render_address(address, port)}: {error.strerror}") from error
    return listener


def serve(
    settings: AcsSettings,
    build: Callable[[], tuple[Callable[..., Any], Callable[[], None]]],
    listener: socket.socket,
    *,
    on_ready: Callable[[], None] | None = None,
    watch: Watch | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then return; call it from the main thread.

    `build` is called in every worker process, after the fork, and returns the application and what closes it.
    `on_ready` is called in the first worker that is about to accept requests; `watch` is started there. A worker that
    dies is replaced. Raises ConfigError when no worker starts, TransientError when they die again and again."""
    _allow_connections()
    _notice_dead_peers(listener)
    begun = mmap.mmap(-1, 1)  # shared with the workers
    address, port = address_of(listener)

    def load() -> Any:
        _die_when_told(server)
        made, close = build()
        app = Counted(made)
        close_on_stop(app, last=close)
        first = begun[0] == 0
        begun[0] = 1
        if first and on_ready is not None:
            on_ready()
        if watch is not None:
            watch.start(address, port, tls=settings.tls_certificate is not None)
        return Answering(app)

    try:
        server = PersistentServer(
            "lastmile-acs",
            address=address,
            port=port,
            interface=Interfaces.WSGI,
            # No CPE speaks HTTP/2, so its floods need not be defended against. And while granian waits to see which of
            # them it is, a connection that says nothing is not timed.
            http=HTTPModes.http1,
            workers=worker_count(settings),
            blocking_threads=settings.threads + WAITING_THREADS,
            backlog=BACKLOG,
            backpressure=CONNECTIONS_MOST,
            websockets=False,
            http1_settings=HTTP1Settings(header_read_timeout=HEADER_MILLISECONDS, max_buffer_size=64 * 1024),
            log_level=LogLevels.error,
            log_dictconfig=LOGGING,
            respawn_failed_workers=True,
            workers_kill_timeout=STOP_SECONDS,
            **_tls(settings),
        )
        server.listener = listener
        server.backlog_most = BACKLOG
        server.serve(target_loader=load, wrap_loader=False)
    except (ConfigurationError, OSError, RuntimeError) as error:
        raise ConfigError(f"cannot serve on {render_address(address, port)}: {error}") from error
    except SystemExit as error:
        if begun[0]:
            raise TransientError("the workers of the ACS die again and again; their log says why") from error
        raise ConfigError("no worker of the ACS starts; its log says why") from error
    finally:
        begun.close()


def _die_when_told(server: PersistentServer) -> None:
    """For a worker that does not serve yet. Until granian has set its handlers there it has those of the process above,
    which only take a note: told to stop meanwhile, it would go on until it is killed."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_DFL)
    if server.interrupt_signal:
        raise SystemExit


def _notice_dead_peers(listener: socket.socket) -> None:
    """Accepted connections inherit these options (tcp(7))."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _TCP_OPTIONS.items():
        listener.setsockopt(socket.IPPROTO_TCP, option, value)


def _tls(settings: AcsSettings) -> dict[str, Any]:
    if settings.tls_certificate is None or settings.tls_key is None:
        return {}
    # Old CPEs know no TLS 1.3.
    tls: dict[str, Any] = {
        "ssl_cert": settings.tls_certificate,
        "ssl_key": settings.tls_key,
        "ssl_protocol_min": SSLProtocols.tls12,
    }
    if settings.tls_client_ca is not None:
        tls |= {"ssl_ca": settings.tls_client_ca, "ssl_client_verify": True}
    return tls


def _allow_connections() -> None:
    """A descriptor for each connection."""
    wanted = CONNECTIONS_MOST + 1024
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard > 0 else wanted, hard))
