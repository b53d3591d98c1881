"""Looks through a modem's own table, as its proxy would: sockets that belong to the modem's uid.

A socket's owner is what a `uidrange` rule compares, and `fchown` changes it; so the agent needs CAP_CHOWN for this, and
no process of that uid.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import selectors
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from agent.core.clock import Deadline, now
from agent.core.errors import ConfigError
from agent.modem.model import Address, Probe

DNS_PORT = 53
ASK_AGAIN_SECONDS = 1.0
RESOLVERS_ASKED = 3
LARGEST_ANSWER_BYTES = 4096
DATAGRAMS_PER_TURN = 16
_SOCKETS = {4: socket.AF_INET, 6: socket.AF_INET6}


class SocketProber:
    """`ports.Prober`: asks the modem's resolvers for a name, and opens a TCP connection to a target, side by side."""

    def __init__(self, name: str, target: Address, target_port: int) -> None:
        """Raises ConfigError when `name` cannot be asked for."""
        try:
            dns.message.make_query(name, dns.rdatatype.A)
        except dns.exception.DNSException as exc:
            raise ConfigError(f"health.probe_name: {name!r} is not a domain name: {exc}") from exc
        self._name = name
        self._target = target
        self._target_port = target_port

    def probe(self, uid: int, nameservers: tuple[Address, ...], deadline: Deadline) -> Probe:
        """Look once, until `deadline` at most. Never raises for what the network does: `detail` says what failed.

        `latency_seconds` is the time of the TCP handshake.
        """
        with contextlib.ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            connection = _TcpProbe(self._target, self._target_port)
            question = _DnsProbe(self._name, nameservers[:RESOLVERS_ASKED])
            for part in (connection, question):
                stack.callback(part.close)
                part.open(uid, selector)
            while not deadline.passed and not (connection.ended and question.ended):
                for key, _ in selector.select(min(deadline.remaining_seconds, question.next_turn_seconds())):
                    key.data.ready(key.fileobj, selector)
                question.ask_again()
            connection.give_up()
            question.give_up()
        details = [part.detail for part in (question, connection) if part.detail]
        return Probe(
            dns=question.passed,
            tcp=connection.passed,
            latency_seconds=connection.latency_seconds,
            detail="; ".join(details),
        )


@dataclass
class _TcpProbe:
    """One TCP handshake."""

    target: Address
    target_port: int
    passed: bool = False
    ended: bool = False
    detail: str = ""
    latency_seconds: float | None = None
    _socket: socket.socket | None = None
    _started: float = 0.0

    def open(self, uid: int, selector: selectors.BaseSelector) -> None:
        self._started = now()
        try:
            self._socket = _socket_of(uid, self.target, socket.SOCK_STREAM)
            code = self._socket.connect_ex((str(self.target), self.target_port))
        except OSError as exc:
            self._fail(exc.errno)
            return
        if code == errno.EINPROGRESS:
            selector.register(self._socket, selectors.EVENT_WRITE, self)
        elif code == 0:
            self._succeed()
        else:
            self._fail(code)

    def ready(self, sock: socket.socket, selector: selectors.BaseSelector) -> None:
        selector.unregister(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            self._succeed()
        else:
            self._fail(code)

    def give_up(self) -> None:
        if not self.ended:
            self._fail(errno.ETIMEDOUT)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def _succeed(self) -> None:
        self.ended = self.passed = True
        self.latency_seconds = now() - self._started

    def _fail(self, code: int | None) -> None:
        self.ended = True
        self.detail = f"TCP to {_host_and_port(self.target, self.target_port)}: {_reason(code)}"


@dataclass
class _DnsProbe:
    """One question to several resolvers, asked again until one of them answers it (RFC 1035 §4.2.1, RFC 5452 §9)."""

    name: str
    nameservers: Sequence[Address]
    passed: bool = False
    detail: str = ""
    _queries: dict[socket.socket, dns.message.QueryMessage] = field(default_factory=dict)
    _failures: list[str] = field(default_factory=list)
    _ask_at: float = 0.0

    @property
    def ended(self) -> bool:
        return self.passed or not self._queries

    def open(self, uid: int, selector: selectors.BaseSelector) -> None:
        if not self.nameservers:
            self._failures.append("the bearer has no nameservers")
        for address in self.nameservers:
            query = dns.message.make_query(self.name, dns.rdatatype.A, id=secrets.randbelow(1 << 16))
            sock = None
            try:
                sock = _socket_of(uid, address, socket.SOCK_DGRAM)
                # A connected socket takes answers from the resolver that was asked only.
                sock.connect((str(address), DNS_PORT))
            except OSError as exc:
                self._failures.append(f"{address}: {_reason(exc.errno)}")
                if sock is not None:
                    sock.close()
                continue
            self._queries[sock] = query
            selector.register(sock, selectors.EVENT_READ, self)
        self._ask()

    def next_turn_seconds(self) -> float:
        """How long to wait before `ask_again` has something to do."""
        return max(0.0, self._ask_at - now()) if not self.ended else ASK_AGAIN_SECONDS

    def ask_again(self) -> None:
        if not self.ended and now() >= self._ask_at:
            self._ask()

    def ready(self, sock: socket.socket, selector: selectors.BaseSelector) -> None:
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                data = sock.recv(LARGEST_ANSWER_BYTES)
            except BlockingIOError:
                return
            except OSError as exc:
                self._drop(sock, selector, _reason(exc.errno))
                return
            verdict = _judge(self._queries[sock], data)
            if verdict == "":
                self.passed = True
                return
            if verdict is not None:
                self._drop(sock, selector, verdict)
                return

    def give_up(self) -> None:
        if not self.passed:
            waited_for = [f"{sock.getpeername()[0]}: {_reason(errno.ETIMEDOUT)}" for sock in self._queries]
            self.detail = f"DNS for {self.name}: " + ", ".join([*self._failures, *waited_for])

    def close(self) -> None:
        for sock in self._queries:
            sock.close()

    def _ask(self) -> None:
        self._ask_at = now() + ASK_AGAIN_SECONDS
        for sock, query in self._queries.items():
            # A failure here comes again with the next receive, where it is judged.
            with contextlib.suppress(OSError):
                sock.send(query.to_wire())

    def _drop(self, sock: socket.socket, selector: selectors.BaseSelector, why: str) -> None:
        self._failures.append(f"{sock.getpeername()[0]}: {why}")
        del self._queries[sock]
        selector.unregister(sock)
        sock.close()


def _judge(query: dns.message.QueryMessage, data: bytes) -> str | None:
    """ "" for a good answer, None for a datagram that is no answer to this query, otherwise what is wrong with it."""
    try:
        answer = dns.message.from_wire(data, raise_on_truncation=False)
    except (dns.exception.DNSException, ValueError):
        return None
    if not query.is_response(answer):
        return None
    if answer.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(answer.rcode())
    if not answer.answer and not answer.flags & dns.flags.TC:
        return "an empty answer"
    return ""


def _socket_of(uid: int, peer: Address, kind: int) -> socket.socket:
    """A non-blocking socket that counts as `uid`'s; the owner must be set before the first packet is routed."""
    sock = socket.socket(_SOCKETS[peer.version], kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        os.fchown(sock.fileno(), uid, -1)
    except BaseException:
        sock.close()
        raise
    return sock


def _host_and_port(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _reason(code: int | None) -> str:
    if code == errno.ETIMEDOUT:
        return "no answer in time"
    return os.strerror(code) if code is not None else "unknown error"
