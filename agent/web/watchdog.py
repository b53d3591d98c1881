"""Tells whoever watches that the server answers, as long as it does."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

logger = logging.getLogger(__name__)

PATH = "/alive"


class Answering:
    """A WSGI application that answers `PATH` itself, without the database, a token or a line in the log: the answer has
    come all the way through the server and a thread of its pool, where it hangs when it hangs."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["PATH_INFO"] != PATH:
            return self._app(environ, start_response)
        start_response("204 No Content", [])
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """`beat` is due after every `period_seconds` in which the server has answered."""

    period_seconds: float
    beat: Callable[[], None]

    def start(self, address: str, port: int, *, tls: bool = False) -> None:
        """Ask the server at this address from a thread of its own, until the process ends.

        With `tls` it is only connected to: the server may want a certificate that we do not have."""
        look = connect if tls else ask
        arguments = (look, _reachable(address), port)
        threading.Thread(target=self._run, args=arguments, name="watchdog", daemon=True).start()

    def _run(self, look: Callable[[str, int, float], None], address: str, port: int) -> None:
        pause = threading.Event()
        while True:
            try:
                look(address, port, self.period_seconds)
            except (OSError, http.client.HTTPException) as error:
                logger.warning("the server does not answer", extra={"ERROR": repr(error)})
            else:
                self.beat()
            pause.wait(self.period_seconds)


def connect(address: str, port: int, timeout_seconds: float) -> None:
    """Return when the server there has taken a connection. Raises OSError."""
    socket.create_connection((address, port), timeout_seconds).close()


def ask(address: str, port: int, timeout_seconds: float) -> None:
    """Return when the server there has answered. Raises OSError and HTTPException."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout_seconds)
    try:
        connection.request("GET", PATH)
        connection.getresponse().read()
    finally:
        connection.close()


def _reachable(address: str) -> str:
    """Where a server that listens on all addresses is reached from this machine."""
    parsed = ip_address(address)
    if not parsed.is_unspecified:
        return address
    return "127.0.0.1" if parsed.version == 4 else "::1"
