"""One demo at a time: two would tear each other's links, namespaces and database down."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from agent.core.errors import TransientError

_CREDENTIALS = struct.Struct("3i")
"""`struct ucred` of unix(7): process, user, group."""


@contextmanager
def only_one(what: str) -> Iterator[None]:
    """Be the only process of this machine that does `what`; the claim ends with the process, however it ends.

    Raises TransientError, naming the other process, when there is one. The claim is an abstract socket's name: it
    leaves no file, and is a network namespace's own, as the links are that it guards."""
    name = f"\0lastmile-{what}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as claim:
        try:
            claim.bind(name)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise TransientError(
                f"a {what} runs on this machine already{_holder(name)}: end it first (Ctrl-C in its terminal)"
            ) from error
        claim.listen()
        yield


def _holder(name: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
        try:
            visitor.connect(name)
        except OSError:
            # It is about to listen, or about to end.
            return ""
        process, _, _ = _CREDENTIALS.unpack(
            visitor.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
    return f" (process {process})" if process else ""
