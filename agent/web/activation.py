"""The listening socket that systemd hands over (sd_listen_fds(3)): it stays open while this process is restarted, so
nobody who connects meanwhile is refused."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping

from agent.core.errors import ConfigError

FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START"""
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
WEB_SOCKET = "lastmile-web.socket"


def take_socket(environ: MutableMapping[str, str], unit: str = WEB_SOCKET) -> socket.socket | None:
    """The socket that was handed to this process, or None when there is none; what says so is taken out of `environ`.
    `unit` is the socket unit's name, for messages.

    Raises ConfigError unless it is exactly one TCP socket that listens."""
    mine = environ.get("LISTEN_PID") == str(os.getpid())
    count = environ.get("LISTEN_FDS", "")
    for name in _VARIABLES:
        environ.pop(name, None)
    if not mine or not count.isdigit() or int(count) == 0:
        return None
    if int(count) != 1:
        raise ConfigError(f"{unit} has {count} sockets, and one can be served: keep one ListenStream= in it")
    os.set_inheritable(FIRST_DESCRIPTOR, False)
    given = socket.socket(fileno=FIRST_DESCRIPTOR)
    if given.family not in (socket.AF_INET, socket.AF_INET6) or not _listens(given):
        given.detach()
        raise ConfigError(f"{unit} must have a TCP socket: ListenStream=ADDRESS:PORT and Accept=no")
    return given


def render_address(address: str, port: int) -> str:
    """ADDRESS:PORT as URLs and ListenStream= have it."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def address_of(listener: socket.socket) -> tuple[str, int]:
    """Where it listens: address and TCP port."""
    address, port, *_ = listener.getsockname()
    return address, port


def _listens(given: socket.socket) -> bool:
    with contextlib.suppress(OSError):
        return given.type == socket.SOCK_STREAM and bool(given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    return False
