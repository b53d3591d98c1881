"""The stand-in's listener, its threads, and what every protocol does with a request."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address

from agent.host.proxy.directives import Address, Operation
from agent.sim.threeproxy_names import NoSuchNameError, Resolver, parse_literal
from agent.sim.threeproxy_policy import Asked, Configuration, Outcome

CHUNK_BYTES = 65_536
_UNKNOWN_HOST = 100
_UNREACHABLE = 13
_UNPRINTABLE = re.compile(r'[\x00-\x1f"\\]')


class RefusedError(Exception):
    """A request is not granted; `number` is 3proxy's error number."""

    def __init__(self, number: int, http_status: int) -> None:
        super().__init__(f"refused, {number}")
        self.number = number
        self.http_status = http_status


@dataclass(slots=True, kw_only=True)
class Record:
    """What the access log will say of a connection."""

    service: str = "AUTO"
    error: int = 0
    user: str | None = None
    host: str = "-"
    target: str = "0.0.0.0"
    target_tcp_port: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    started: float = field(default_factory=time.monotonic)


class Connection:
    """One client's connection: its socket, and the rules that were in force when it came."""

    def __init__(self, client: socket.socket, configuration: Configuration, resolver: Resolver) -> None:
        self.socket = client
        self.configuration = configuration
        self.resolver = resolver
        host, self.client_tcp_port = client.getpeername()[:2]
        self.client: Address = ip_address(host)
        self.record = Record()

    def receive(self) -> bytes:
        data = self.socket.recv(CHUNK_BYTES)
        self.record.tx_bytes += len(data)
        return data

    def grant(self, operation: Operation, host: str, tcp_port: int, user: str | None, password: str | None) -> Address:
        """The address to go to; raises RefusedError when the rules or the resolvers say no."""
        self.record.user, self.record.host, self.record.target_tcp_port = user, host, tcp_port
        address = self._resolve(host, operation, user, password)
        self.record.target = str(address)
        self.check(operation, address, user, password)
        return address

    def check(self, operation: Operation, target: Address | None, user: str | None, password: str | None) -> None:
        """Raise RefusedError unless the rules grant it."""
        asked = Asked(client=self.client, operation=operation, target=target, user=user, password=password)
        outcome = self.configuration.decide(asked)
        if outcome is not Outcome.GRANTED:
            raise RefusedError(outcome.value, outcome.http_status)

    def open(self, address: Address, tcp_port: int) -> socket.socket:
        """A connection to the target, by this process's uid; raises RefusedError when there is none."""
        try:
            target = socket.create_connection(
                (str(address), tcp_port), timeout=self.configuration.timeouts.connect_seconds
            )
        except OSError as error:
            raise RefusedError(_UNREACHABLE, 503) from error
        target.settimeout(self.configuration.timeouts.connection_long_seconds)
        target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return target

    def relay(self, target: socket.socket, first: bytes = b"") -> None:
        """Pass bytes both ways until both sides have ended."""
        self.socket.settimeout(self.configuration.timeouts.connection_long_seconds)
        if first:
            target.sendall(first)
        back = threading.Thread(target=self._pump_back, args=(target,), daemon=True)
        back.start()
        self.record.tx_bytes += _pump(self.socket, target)
        back.join()

    def _pump_back(self, target: socket.socket) -> None:
        self.record.rx_bytes += _pump(target, self.socket)

    def _resolve(self, host: str, operation: Operation, user: str | None, password: str | None) -> Address:
        if parse_literal(host) is None:
            self.check(operation, None, user, password)  # no query for a client that is not let in
        try:
            return self.resolver.resolve(host)
        except NoSuchNameError as error:
            raise RefusedError(_UNKNOWN_HOST, 502) from error


class Server:
    """Listens as the configuration says; every client has a thread, as with 3proxy."""

    def __init__(self, configuration: Configuration) -> None:
        self.listeners: tuple[socket.socket, ...] = ()
        self._log_lock = threading.Lock()
        self._open(configuration)

    def replace(self, configuration: Configuration) -> None:
        """Take on a new configuration: the new listener is there before the old one goes; connections stay."""
        old = self.listeners
        self._open(configuration)
        for each in old:
            each.close()

    def close_listener(self) -> None:
        for each in self.listeners:
            each.close()
        self.listeners = ()

    def accept(self, listener: socket.socket) -> None:
        """Take one client. Beyond the most connections it is dropped without a word, as 3proxy does."""
        try:
            client, _ = listener.accept()
        except OSError:
            return  # it has gone again
        if not self._slots.acquire(blocking=False):
            client.close()
            return
        arguments = (client, self._configuration, self._resolver, self._slots)
        threading.Thread(target=self._serve, args=arguments, daemon=True).start()

    def _open(self, configuration: Configuration) -> None:
        family = socket.AF_INET6 if configuration.listen.version == 6 else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((str(configuration.listen), configuration.tcp_port))
            listener.listen(1 + configuration.maximum_connections // 8)
        except OSError:
            listener.close()
            raise
        listener.setblocking(False)
        self._configuration = configuration
        self._resolver = Resolver(configuration.nameservers, configuration.timeouts.dns_seconds)
        self._slots = threading.BoundedSemaphore(configuration.maximum_connections)
        self.listeners = (listener,)

    def _serve(
        self,
        client: socket.socket,
        configuration: Configuration,
        resolver: Resolver,
        slots: threading.BoundedSemaphore,
    ) -> None:
        try:
            with client:
                client.settimeout(configuration.timeouts.string_long_seconds)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection = Connection(client, configuration, resolver)
                try:
                    _speak(connection)
                finally:
                    self._log(connection)
        except OSError as error:
            print(f"client lost: {error}", file=sys.stderr, flush=True)
        finally:
            slots.release()

    def _log(self, connection: Connection) -> None:
        line = format_record(connection.configuration.log_format, connection)
        with self._log_lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def _speak(connection: Connection) -> None:
    """Serve the protocol that the first byte tells, as `auto` does."""
    first = connection.socket.recv(1, socket.MSG_PEEK)
    if first in (b"\x04", b"\x05"):
        from agent.sim.threeproxy_socks import serve_socks

        serve_socks(connection)
    elif first:
        from agent.sim.threeproxy_http import serve_http

        serve_http(connection)


def format_record(log_format: str, connection: Connection) -> str:
    """A line of the access log; the part before `G` names what is replaced in what clients send."""
    record, configuration, now = connection.record, connection.configuration, datetime.now(UTC)
    words = {
        "N": record.service,
        "p": configuration.tcp_port,
        "E": f"{record.error:05d}",
        "U": record.user or "-",
        "C": connection.client,
        "c": connection.client_tcp_port,
        "n": record.host,
        "R": record.target,
        "r": record.target_tcp_port,
        "I": record.rx_bytes,
        "O": record.tx_bytes,
        "D": round((time.monotonic() - record.started) * 1000),
        ".": f"{now.microsecond // 1000:03d}",
    }

    def word(found: re.Match[str]) -> str:
        letter = found[1]
        return _UNPRINTABLE.sub("_", str(words[letter])) if letter in words else now.strftime(f"%{letter}")

    return re.sub(r"%(.)", word, log_format.partition("G")[2])


def _pump(source: socket.socket, sink: socket.socket) -> int:
    """Pass bytes until the source ends, then tell the sink; returns how many."""
    count = 0
    with contextlib.suppress(OSError):  # either side may go at any time
        while data := source.recv(CHUNK_BYTES):
            sink.sendall(data)
            count += len(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
    return count
