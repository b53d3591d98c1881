"""Serves the application under granian: one worker process, many threads, and a stop that ends live streams
first."""

from __future__ import annotations

import logging
import mmap
import socket
from collections.abc import Callable
from typing import Any

from granian.constants import Interfaces
from granian.errors import ConfigurationError
from granian.http import HTTP1Settings
from granian.log import LogLevels

from agent.core.errors import ConfigError, TransientError
from agent.core.settings.schema import WebSettings
from agent.web.activation import address_of, render_address
from agent.web.app import create_app
from agent.web.draining import Counted, close_on_stop
from agent.web.granian_server import LOGGING, Server
from agent.web.services import Services
from agent.web.tls import certificate_of, server_options, watch_certificate
from agent.web.watchdog import Answering, Watch

logger = logging.getLogger(__name__)

STOP_SECONDS = 10
"""After this the worker is killed."""
HEADER_MILLISECONDS = 10_000
CONNECTIONS_MOST = 1024


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
    certificate = certificate_of(settings)
    begun = mmap.mmap(-1, 1)  # shared with the worker
    address, port = (settings.listen, settings.tcp_port) if listener is None else address_of(listener)

    def load() -> Any:
        app = Answering(_load(build_services))
        begun[0] = 1
        if certificate is not None:
            # Read anew: this may be a worker that serves another certificate than the first one.
            watch_certificate(settings, certificate_of(settings) or certificate)
        if on_ready is not None:
            on_ready()
        if watch is not None:
            watch.start(address, port, tls=certificate is not None)
        return app

    try:
        server = Server(
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
            log_dictconfig=LOGGING,
            workers_kill_timeout=STOP_SECONDS,
            **server_options(certificate),
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


def _load(build_services: Callable[[], Services]) -> Any:
    services = build_services()
    services.start()
    app = Counted(create_app(services))
    # A live stream only ends when the hub does.
    close_on_stop(app, first=services.events.close, last=services.close)
    return app
