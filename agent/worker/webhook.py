"""Webhooks: a signed POST to exactly an address that was checked, no redirect, every wait bounded."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

from agent.acs.connection_request.policy import (
    Address,
    Forbidden,
    Policy,
    Target,
    literal_address,
    parse_url,
    permitted,
)
from agent.acs.connection_request.response import Head, HeadDecoder
from agent.alert.messages import DELIVERY_HEADER, EVENT_HEADER, SIGNATURE_HEADER, render_body, sign
from agent.core.clock import Deadline
from agent.core.errors import ProtocolError
from agent.store.alert_deliveries import Destination
from agent.worker.http_call import resolve
from agent.worker.http_request import Resolver
from agent.worker.telling import Heard, Letter, Told

ADDRESSES_MOST = 3
_RECEIVE_BYTES = 4096
_AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


class Webhook:
    """A `Sender`. `policy` says where requests may go, as of now."""

    def __init__(self, policy: Callable[[], Policy], page_url: str = "", resolver: Resolver = resolve) -> None:
        self._policy = policy
        self._page_url = page_url
        self._resolver = resolver

    def __call__(self, destination: Destination, letters: Sequence[Letter], deadline: Deadline) -> Told:
        letter = letters[0]
        policy = self._policy()
        try:
            target = parse_url(str(destination.settings.get("url", "")), "the webhook's URL")
            addresses = self._find(target, policy, deadline)
        except Forbidden as exc:
            return Told(heard=Heard.NEVER, reason=str(exc))
        except OSError as exc:
            return Told(heard=Heard.LATER, reason=f"the address of the host cannot be found: {_text(exc)}")
        body = render_body(letter.message, self._page_url)
        headers = {
            "Content-Type": "application/json",
            EVENT_HEADER: letter.message.event.value,
            DELIVERY_HEADER: str(letter.id),
        }
        if destination.secret:
            headers[SIGNATURE_HEADER] = sign(destination.secret, body, int(time.time()))
        try:
            head = _post(target, addresses, headers, body, policy, deadline)
        except ssl.SSLCertVerificationError as exc:
            return Told(heard=Heard.LATER, reason=f"its certificate is not good: {exc.verify_message}")
        except OSError as exc:
            return Told(heard=Heard.LATER, reason=_text(exc))
        except ProtocolError as exc:
            return Told(heard=Heard.LATER, reason=str(exc))
        return judge(head.status)

    def _find(self, target: Target, policy: Policy, deadline: Deadline) -> tuple[Address, ...]:
        policy.check_tcp_port(target.tcp_port)
        literal = literal_address(target.host)
        return permitted(self._resolver(target, deadline) if literal is None else (literal,), policy)


def judge(status: int) -> Told:
    """What an answer's status says."""
    if 200 <= status < 300:  # RFC 9110 §15.3
        return Told(heard=Heard.TAKEN)
    if 300 <= status < 400:  # RFC 9110 §15.4
        return Told(heard=Heard.NEVER, reason=f"it answers {status}: redirects are not followed, name the place itself")
    again = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _AGAIN
    return Told(heard=Heard.LATER if again else Heard.NEVER, reason=f"it answers {status}")


def _post(
    target: Target,
    addresses: Sequence[Address],
    headers: dict[str, str],
    body: bytes,
    policy: Policy,
    deadline: Deadline,
) -> Head:
    with _connect(target, addresses, policy, deadline) as connection:
        lines = [
            f"POST {target.path} HTTP/1.1",
            f"Host: {target.host_header}",
            "User-Agent: lastmile",
            "Connection: close",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        connection.settimeout(_left(deadline))
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        decoder = HeadDecoder()
        while True:
            # The time for each read is what is left: trickling does not help.
            connection.settimeout(_left(deadline))
            data = connection.recv(_RECEIVE_BYTES)
            head = decoder.receive(data) if data else decoder.end()
            if head is not None:
                return head
            if not data:
                raise ConnectionResetError("the connection ended without an answer")


def _connect(target: Target, addresses: Sequence[Address], policy: Policy, deadline: Deadline) -> socket.socket:
    """To the first of the addresses that answers; each gets its share of the time."""
    tried = addresses[:ADDRESSES_MOST]
    for left in range(len(tried), 1, -1):
        with contextlib.suppress(OSError):
            share = deadline.earlier(deadline.remaining_seconds / left)
            return _connect_to(target, tried[-left], policy, share, deadline)
    return _connect_to(target, tried[-1], policy, deadline, deadline)


def _connect_to(target: Target, address: Address, policy: Policy, share: Deadline, deadline: Deadline) -> socket.socket:
    connection = socket.create_connection((str(address), target.tcp_port), timeout=_left(share))
    if not target.secure:
        return connection
    try:
        connection.settimeout(_left(deadline))
        context = ssl.create_default_context()
        if not policy.verify_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(connection, server_hostname=target.host.removesuffix("."))
    except BaseException:
        connection.close()
        raise


def _left(deadline: Deadline) -> float:
    seconds = deadline.remaining_seconds
    if seconds <= 0:
        raise TimeoutError("no answer in time")
    return seconds


def _text(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
