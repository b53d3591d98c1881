"""One connection request over HTTP: to exactly an address that was checked, no redirect, every wait bounded.

It blocks until its deadline at most, and starts no thread.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import secrets
import ssl
from collections.abc import Sequence
from typing import Protocol, Self

from agent.acs.connection_request.answer import Login, answer_challenge
from agent.acs.connection_request.outcome import Outcome, Refused, Unreachable, Why, judge_answer
from agent.acs.connection_request.policy import Address, Forbidden, Policy, Target, literal_address, permitted
from agent.acs.connection_request.response import Head, HeadDecoder
from agent.core.clock import Deadline
from agent.core.errors import ProtocolError

METHOD = "GET"
BODY_MOST = 4096
BODY_WAIT_SECONDS = 0.5
ADDRESSES_MOST = 3
_RECEIVE_BYTES = 4096
_PLAIN = re.compile(r"[^\x00-\x1f\x7f]+")


class Resolver(Protocol):
    """Finds the addresses of a target's host, all of them. Raises OSError; must give up at the deadline."""

    def __call__(self, target: Target, deadline: Deadline, /) -> Sequence[Address]: ...


def request(target: Target, login: Login | None, *, deadline: Deadline, policy: Policy, resolver: Resolver) -> Outcome:
    """Ask a CPE to begin a session, and answer its challenge once (TR-069 A6 §3.2.2).

    `target` comes from `policy.parse_url`; `login` None: there is no password for this CPE. Raises nothing: whatever
    the network or the CPE does is an outcome, with a reason for people.
    """
    try:
        addresses = _find_addresses(target, policy, resolver, deadline)
    except Forbidden as exc:
        return Refused(Why.FORBIDDEN, str(exc))
    except OSError as exc:
        return Unreachable(f"the address of {target.host} cannot be found: {_text(exc)}")
    try:
        with _Line(target, addresses, policy, deadline) as line:
            return _converse(line, target, login, policy)
    except ssl.SSLCertVerificationError as exc:
        return Refused(Why.CERTIFICATE, exc.verify_message)
    except OSError as exc:
        return Unreachable(f"{addresses[0]} TCP port {target.tcp_port}: {_text(exc)}")
    except ProtocolError as exc:
        return Refused(Why.PROTOCOL, str(exc))


def _find_addresses(target: Target, policy: Policy, resolver: Resolver, deadline: Deadline) -> tuple[Address, ...]:
    policy.check_tcp_port(target.tcp_port)
    literal = literal_address(target.host)
    return permitted(resolver(target, deadline) if literal is None else (literal,), policy)


def _converse(line: _Line, target: Target, login: Login | None, policy: Policy) -> Outcome:
    head = line.ask(None)
    if head.status == http.client.UNAUTHORIZED:
        if login is None:
            return Refused(Why.NO_LOGIN)
        authorization = answer_challenge(
            head.all("www-authenticate"),
            login,
            method=METHOD,
            uri=target.path,
            cnonce=secrets.token_hex(8),
            basic_allowed=policy.basic_allowed,
        )
        if authorization is None:
            return Refused(Why.NO_SCHEME)
        if not _PLAIN.fullmatch(authorization):
            return Refused(Why.NO_LOGIN, "there are control characters in our user name")
        head = line.ask(authorization)
    return judge_answer(head)


class _Line:
    """The way to one CPE: a TCP connection, and a second one where the CPE ends the first.

    The connection is kept for the second try if the CPE does: the nonces of some are good on their connection only.
    """

    def __init__(self, target: Target, addresses: Sequence[Address], policy: Policy, deadline: Deadline) -> None:
        self._target = target
        self._addresses = addresses[:ADDRESSES_MOST]
        self._policy = policy
        self._deadline = deadline
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hang_up()

    def ask(self, authorization: str | None) -> Head:
        """Send the request and take its answer. Raises OSError and ProtocolError."""
        kept = self._connection is not None
        try:
            return self._exchange(authorization)
        except (ConnectionError, ssl.SSLError):
            # RFC 9112 §9.3.1: a kept connection may have been ended while the request was on its way.
            if not kept:
                raise
            self._hang_up()
            return self._exchange(authorization)

    def _exchange(self, authorization: str | None) -> Head:
        connection = self._connection or self._connect()
        self._connection = connection
        connection.sock.settimeout(self._seconds_left())
        connection.sock.sendall(_render_request(self._target, authorization))
        decoder = HeadDecoder()
        head: Head | None = None
        while head is None:
            data = self._receive(connection, self._deadline)
            head = decoder.receive(data) if data else decoder.end()
            if head is None and not data:
                raise ConnectionResetError("the device ended the connection without an answer")
        if not self._drain(connection, head, len(decoder.rest)):
            self._hang_up()
        return head

    def _connect(self) -> http.client.HTTPConnection:
        """To the first of the addresses that answers; each gets its share of the time."""
        for left in range(len(self._addresses), 1, -1):
            address = self._addresses[-left]
            with contextlib.suppress(OSError):
                connection = self._connect_to(address, self._deadline.earlier(self._seconds_left() / left))
                # What was tried in vain is not tried again for the second request.
                self._addresses = (address,)
                return connection
        return self._connect_to(self._addresses[-1], self._deadline)

    def _connect_to(self, address: Address, deadline: Deadline) -> http.client.HTTPConnection:
        target = self._target
        connection = http.client.HTTPConnection(
            str(address), target.tcp_port, timeout=max(0.001, deadline.remaining_seconds)
        )
        try:
            connection.connect()
            if target.secure:
                connection.sock.settimeout(self._seconds_left())  # ssl keeps it for the handshake as a whole
                context = _make_context(self._policy)
                connection.sock = context.wrap_socket(connection.sock, server_hostname=target.host.removesuffix("."))
        except BaseException:
            connection.close()
            raise
        return connection

    def _drain(self, connection: http.client.HTTPConnection, head: Head, received_bytes: int) -> bool:
        """Let a small body pass by, as closing before it would look like an error to the CPE.

        Returns whether the connection can take another request.
        """
        length = head.body_bytes
        wanted = BODY_MOST if length is None else min(length, BODY_MOST)
        deadline = self._deadline.earlier(BODY_WAIT_SECONDS)
        try:
            while received_bytes < wanted:
                data = self._receive(connection, deadline)
                if not data:
                    return False
                received_bytes += len(data)
        except OSError:
            return False  # the answer is known all the same
        return head.keeps_connection and received_bytes == length

    def _receive(self, connection: http.client.HTTPConnection, deadline: Deadline) -> bytes:
        """What comes next; nothing at the end. The time for each read is what is left: trickling does not help."""
        connection.sock.settimeout(self._seconds_left(deadline))
        data: bytes = connection.sock.recv(_RECEIVE_BYTES)
        return data

    def _seconds_left(self, deadline: Deadline | None = None) -> float:
        seconds = (deadline or self._deadline).remaining_seconds
        if seconds <= 0:
            raise TimeoutError("timed out")
        return seconds

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _render_request(target: Target, authorization: str | None) -> bytes:
    lines = [
        f"{METHOD} {target.path} HTTP/1.1",
        f"Host: {target.host_header}",
        "User-Agent: lastmile",
        "Accept: */*",
    ]
    if authorization is not None:
        lines.append(f"Authorization: {authorization}")
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _make_context(policy: Policy) -> ssl.SSLContext:
    if policy.verify_tls:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _text(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
