"""SOCKS 4, 4a and 5 (RFC 1928, RFC 1929): siosocks reads and writes it, this decides what is answered."""

from __future__ import annotations

import socket
from collections.abc import Generator
from typing import Any

from siosocks.exceptions import SocksException
from siosocks.interface import sync_engine
from siosocks.protocol import (
    Socks4Code,
    Socks4Server,
    Socks5AuthMethod,
    Socks5Code,
    Socks5Server,
    SocksCommand,
)
from siosocks.sansio import SansIORW

from agent.host.proxy.directives import Operation
from agent.sim.threeproxy_server import Connection, RefusedError

Steps = Generator[dict[str, Any], Any, Any]
_ANY = "0.0.0.0"


def serve_socks(connection: Connection) -> None:
    """Serve one SOCKS request."""
    protocol = SansIORW("utf-8")
    version = connection.socket.recv(1, socket.MSG_PEEK)[0]
    connection.record.service = f"SOCKS{version}"
    session: _Socks4 | _Socks5 = _Socks4(protocol) if version == 4 else _Socks5(protocol)
    try:
        sync_engine(session.run(), _Wire(connection))
    except RefusedError as refused:
        connection.record.error = refused.number
    except (SocksException, UnicodeDecodeError):
        connection.record.error = 421


class _Socks4(Socks4Server):  # type: ignore[misc]
    def run(self) -> Steps:
        _, command, tcp_port, packed = yield from self.io.read_struct(self.fmt)
        user = (yield from self.io.read_c_string()) or None
        host = socket.inet_ntoa(packed)
        if packed[:3] == b"\0\0\0" and packed[3]:
            host = yield from self.io.read_c_string()
        if command != SocksCommand.tcp_connect:
            yield from self.write_response(Socks4Code.fail)
            raise RefusedError(407, 400)
        try:
            yield {"method": "open", "host": host, "tcp_port": tcp_port, "user": user, "password": None}
        except RefusedError:
            yield from self.write_response(Socks4Code.fail)
            raise
        yield from self.write_response(Socks4Code.success)
        yield {"method": "relay"}


class _Socks5(Socks5Server):  # type: ignore[misc]
    def run(self) -> Steps:
        yield from self.io.read_struct("B")
        user, password = yield from self._log_in()
        command, host, tcp_port = yield from self.read_command()
        credentials = {"user": user, "password": password}
        try:
            if command == SocksCommand.tcp_connect:
                yield {"method": "open", "host": host, "tcp_port": tcp_port, **credentials}
            elif command == SocksCommand.udp_bind:
                bound = yield {"method": "associate", **credentials}
                yield from self.write_command(Socks5Code.request_granted, *bound)
                yield {"method": "relay_datagrams", **credentials}
                return
            else:
                raise RefusedError(1, 403)
        except RefusedError as refused:
            yield from self.write_command(_reply_code(refused), _ANY, 0)
            raise
        yield from self.write_command(Socks5Code.request_granted, _ANY, 0)
        yield {"method": "relay"}

    def _log_in(self) -> Steps:
        """Ask for a name and a password whenever the client has them; whether they are right is answered, as 3proxy
        does, with the request."""
        count = yield from self.io.read_struct("B")
        methods = yield from self.io.read_exactly(count)
        offered = Socks5AuthMethod.username_password in methods
        method = Socks5AuthMethod.username_password if offered else Socks5AuthMethod.no_auth
        yield from self.io.write_struct("BB", self.version, method)
        if not offered:
            return None, None
        version = yield from self.io.read_struct("B")
        if version != 1:
            raise SocksException(f"login of version {version}")
        user = yield from self.io.read_pascal_string()
        password = yield from self.io.read_pascal_string()
        yield from self.io.write_struct("BB", 1, 0)
        return user, password


class _Wire:
    """What the sessions above ask for, done on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._target: socket.socket | None = None
        self._association: socket.socket | None = None

    def read(self) -> bytes:
        return self._connection.receive()

    def write(self, data: bytes) -> None:
        self._connection.socket.sendall(data)

    def open(self, host: str, tcp_port: int, user: str | None, password: str | None) -> None:
        address = self._connection.grant(Operation.CONNECT, host, tcp_port, user, password)
        self._target = self._connection.open(address, tcp_port)

    def relay(self) -> None:
        if self._target is not None:
            with self._target:
                self._connection.relay(self._target)

    def associate(self, user: str | None, password: str | None) -> tuple[str, int]:
        """Open the socket for the client's datagrams and return where it is."""
        from agent.sim.threeproxy_udp import open_association

        self._connection.record.user = user
        self._connection.check(Operation.UDP_ASSOCIATE, None, user, password)
        self._association, bound = open_association(self._connection)
        return bound

    def relay_datagrams(self, user: str | None, password: str | None) -> None:
        from agent.sim.threeproxy_udp import relay_datagrams

        if self._association is not None:
            with self._association:
                relay_datagrams(self._connection, self._association, user, password)


def _reply_code(refused: RefusedError) -> Socks5Code:
    if refused.number <= 10:
        return Socks5Code.connection_not_allowed_by_ruleset
    if refused.number < 20:
        return Socks5Code.connection_refused_by_destination_host
    return Socks5Code.host_unreachable
