"""UDP through SOCKS5 (RFC 1928 §7): datagrams of one client, each judged by its own destination."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from ipaddress import ip_address

from agent.host.proxy.directives import Address, Operation
from agent.sim.threeproxy_server import Connection, RefusedError

MOST_BYTES = 65_535
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_IPV4, _NAME, _IPV6 = 1, 3, 4


class _MalformedError(Exception):
    """A datagram without a proper header, or a fragment of one."""


def open_association(connection: Connection) -> tuple[socket.socket, tuple[str, int]]:
    """A socket on the address that the client has connected to, and its address and UDP port."""
    host = connection.socket.getsockname()[0]
    association = socket.socket(connection.socket.family, socket.SOCK_DGRAM)
    association.bind((host, 0))
    return association, association.getsockname()[:2]


def relay_datagrams(connection: Connection, association: socket.socket, user: str | None, password: str | None) -> None:
    """Pass datagrams until the client ends its TCP connection or nothing has come for long."""
    outside = {version: _open_outside(version) for version in _FAMILIES}
    sockets = {each: version for version, each in outside.items()}
    client_at: tuple[str, int] | None = None
    idle_seconds = connection.configuration.timeouts.connection_long_seconds
    try:
        while ready := select.select([connection.socket, association, *sockets], [], [], idle_seconds)[0]:
            if connection.socket in ready and not connection.socket.recv(1):
                return
            if association in ready:
                data, source = association.recvfrom(MOST_BYTES)
                if ip_address(source[0]) == connection.client:
                    client_at = client_at or source[:2]
                if source[:2] == client_at:
                    _send_out(connection, outside, data, (user, password))
            for each in sockets.keys() & set(ready):
                with contextlib.suppress(OSError):  # an ICMP error of an earlier datagram
                    data, source = each.recvfrom(MOST_BYTES)
                    connection.record.rx_bytes += len(data)
                    if client_at is not None:
                        association.sendto(_wrap(ip_address(source[0]), source[1], data), client_at)
    finally:
        for each in sockets:
            each.close()


def _open_outside(version: int) -> socket.socket:
    return socket.socket(_FAMILIES[version], socket.SOCK_DGRAM)


def _send_out(
    connection: Connection,
    outside: dict[int, socket.socket],
    data: bytes,
    credentials: tuple[str | None, str | None],
) -> None:
    """Send one datagram of the client on, or drop it: a refused destination is not answered."""
    with contextlib.suppress(_MalformedError, RefusedError, OSError, UnicodeDecodeError):
        host, udp_port, payload = _unwrap(data)
        address = connection.grant(Operation.UDP_ASSOCIATE, host, udp_port, *credentials)
        connection.record.tx_bytes += len(payload)
        outside[address.version].sendto(payload, (str(address), udp_port))


def _unwrap(data: bytes) -> tuple[str, int, bytes]:
    """Destination host, its UDP port and the payload."""
    if len(data) < 7 or data[:3] != b"\0\0\0":
        raise _MalformedError
    if data[3] == _NAME:
        start, length = 5, data[4]
    else:
        start, length = 4, {_IPV4: 4, _IPV6: 16}.get(data[3], 0)
    end = start + length
    if not length or len(data) < end + 2:
        raise _MalformedError
    host = data[start:end].decode() if data[3] == _NAME else str(ip_address(data[start:end]))
    return host, struct.unpack("!H", data[end : end + 2])[0], data[end + 2 :]


def _wrap(source: Address, udp_port: int, payload: bytes) -> bytes:
    kind = _IPV4 if source.version == 4 else _IPV6
    return bytes((0, 0, 0, kind)) + source.packed + struct.pack("!H", udp_port) + payload
