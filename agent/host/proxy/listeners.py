"""Who listens on a TCP port of this host, as the kernel tells it (proc_net_tcp)."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agent.core.errors import TransientError
from agent.modem.model import Address

_LISTEN = "0A"
_TABLES = {4: Path("/proc/thread-self/net/tcp"), 6: Path("/proc/thread-self/net/tcp6")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A listening socket: the uid that made it, and its inode, which no other socket has meanwhile."""

    uid: int
    inode: int


def find_listeners(address: Address, tcp_port: int) -> frozenset[Listener]:
    """The sockets that listen on exactly this address and TCP port, in this network namespace.

    The kernel lists listening sockets first, so that thousands of connections cost nothing here.
    """
    wanted = f"{_kernel_hex(address)}:{tcp_port:04X}"
    found = set()
    try:
        with _TABLES[address.version].open(encoding="ascii") as table:
            next(table, None)
            for row in table:
                columns = row.split()
                if columns[3] != _LISTEN:
                    break
                if columns[1] == wanted:
                    found.add(Listener(uid=int(columns[7]), inode=int(columns[9])))
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise TransientError(f"listening sockets: {error}") from error
    return frozenset(found)


class Answer(StrEnum):
    """What becomes of a connection."""

    REFUSED = "refused"
    SILENT = "silent"
    """Taken by the kernel at most: the process behind the socket does not move."""
    SERVED = "served"


def knock(address: Address, tcp_port: int, timeout_seconds: float) -> Answer:
    """Connect, say at once that nothing will be said, and see whether the other side ends the connection in time.

    The kernel completes connections also for a process that hangs; only a living one notices their end."""
    try:
        with socket.create_connection((str(address), tcp_port), timeout=timeout_seconds) as connection:
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
    except TimeoutError:
        return Answer.SILENT
    except ConnectionResetError:
        # Dropped, as for want of room: it lives.
        return Answer.SERVED
    except OSError:
        return Answer.REFUSED
    return Answer.SERVED


def _kernel_hex(address: Address) -> str:
    """An address as the kernel prints it: 32-bit words in the machine's own byte order."""
    packed = address.packed
    words = (packed[start : start + 4] for start in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)
