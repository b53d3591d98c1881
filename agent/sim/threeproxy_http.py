"""HTTP/1 as a proxy (RFC 9110 §7.6, RFC 9112): h11 reads and writes it on both sides."""

from __future__ import annotations

import base64
import binascii
import http
import socket
from typing import Any
from urllib.parse import urlsplit

import h11

from agent.host.proxy.directives import Operation
from agent.sim.threeproxy_server import CHUNK_BYTES, Connection, RefusedError

_NOT_PASSED_ON = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-authenticate",
        b"proxy-connection",
        b"te",
        b"upgrade",
    )
)
_LONGEST_HEADERS_BYTES = 65_536


def serve_http(connection: Connection) -> None:
    """Serve requests until the client or an answer ends the connection."""
    connection.record.service = "PROXY"
    client = h11.Connection(h11.SERVER, max_incomplete_event_size=_LONGEST_HEADERS_BYTES)
    try:
        while True:
            request = _next_event(client, connection)
            if not isinstance(request, h11.Request):
                return
            if not _serve_request(connection, client, request):
                return
            client.start_next_cycle()
    except RefusedError as refused:
        connection.record.error = refused.number
        _answer(connection, client, refused.http_status)
    except h11.RemoteProtocolError as error:
        connection.record.error = 800
        if client.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            _answer(connection, client, error.error_status_hint)


def _serve_request(connection: Connection, client: h11.Connection, request: h11.Request) -> bool:
    """Serve one request; False when the connection has ended with it."""
    user, password = _credentials(request)
    if request.method == b"CONNECT":
        host, tcp_port = _authority(request.target.decode("ascii"), 443)
        address = connection.grant(Operation.HTTPS, host, tcp_port, user, password)
        with connection.open(address, tcp_port) as target:
            connection.socket.sendall(b"HTTP/1.0 200 Connection established\r\n\r\n")
            connection.relay(target, _early_data(client))
        return False
    url = urlsplit(request.target.decode("ascii"))
    if url.scheme != "http" or not url.hostname:
        raise RefusedError(701, 400)
    tcp_port = _authority(url.netloc.rpartition("@")[2], 80)[1]
    address = connection.grant(Operation.HTTP, url.hostname, tcp_port, user, password)
    with connection.open(address, tcp_port) as target:
        path = url._replace(scheme="", netloc="", fragment="").geturl() or "/"
        return _exchange(connection, client, target, request, path)


def _exchange(
    connection: Connection, client: h11.Connection, target: socket.socket, request: h11.Request, path: str
) -> bool:
    """Pass the request on and its answer back; True when the client may ask again."""
    origin = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEADERS_BYTES)
    headers = [*_passed_on(request.headers), (b"Connection", b"close")]
    _send(target, origin, h11.Request(method=request.method, target=path, headers=headers))
    while not isinstance(event := _next_event(client, connection), h11.EndOfMessage):
        _send(target, origin, event)
    _send(target, origin, h11.EndOfMessage())
    while True:
        answer = _next_answer(origin, target, connection)
        match answer:
            case h11.Response() | h11.InformationalResponse():
                kind = type(answer)
                _send(
                    connection.socket,
                    client,
                    kind(status_code=answer.status_code, reason=answer.reason, headers=_passed_on(answer.headers)),
                )
            case h11.Data():
                _send(connection.socket, client, h11.Data(data=bytes(answer.data)))
            case h11.EndOfMessage():
                _send(connection.socket, client, h11.EndOfMessage())
                return client.our_state is h11.DONE and client.their_state is h11.DONE


def _next_event(client: h11.Connection, connection: Connection) -> Any:
    while True:
        if client.they_are_waiting_for_100_continue:
            _send(connection.socket, client, h11.InformationalResponse(status_code=100, headers=[]))
        event = client.next_event()
        if event is not h11.NEED_DATA:
            return event
        client.receive_data(connection.receive())


def _next_answer(origin: h11.Connection, target: socket.socket, connection: Connection) -> Any:
    try:
        while (event := origin.next_event()) is h11.NEED_DATA:
            data = target.recv(CHUNK_BYTES)
            connection.record.rx_bytes += len(data)
            origin.receive_data(data)
    except (OSError, h11.RemoteProtocolError) as error:
        raise RefusedError(90, 502) from error
    if isinstance(event, h11.ConnectionClosed):
        raise RefusedError(90, 502)
    return event


def _send(to: socket.socket, side: h11.Connection, event: Any) -> None:
    data = side.send(event)
    if data:
        to.sendall(data)


def _answer(connection: Connection, client: h11.Connection, status: int) -> None:
    """An answer of the proxy's own, after which the connection ends."""
    if client.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return
    phrase = http.HTTPStatus(status).phrase
    body = f"<html><head><title>{status} {phrase}</title></head><body><h2>{status} {phrase}</h2></body></html>\r\n"
    headers = [("Content-Type", "text/html"), ("Content-Length", str(len(body))), ("Connection", "close")]
    if status == http.HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        headers.append(("Proxy-Authenticate", 'Basic realm="proxy"'))
    answer = h11.Response(status_code=status, reason=phrase.encode(), headers=headers)
    for event in (answer, h11.Data(data=body.encode()), h11.EndOfMessage()):
        _send(connection.socket, client, event)


def _passed_on(headers: Any) -> list[tuple[bytes, bytes]]:
    """Headers that are not the connection's own; who the client is, is told nobody."""
    named = {name.strip() for key, value in headers if key == b"connection" for name in value.lower().split(b",")}
    return [(key, value) for key, value in headers if key not in _NOT_PASSED_ON and key not in named]


def _credentials(request: h11.Request) -> tuple[str | None, str | None]:
    for key, value in request.headers:
        scheme, _, token = value.partition(b" ")
        if key == b"proxy-authorization" and scheme.lower() == b"basic":
            try:
                user, colon, password = base64.b64decode(token, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return None, None
            return (user, password) if colon else (None, None)
    return None, None


def _authority(text: str, default_port: int) -> tuple[str, int]:
    """Host and TCP port of `host[:port]`, the host perhaps in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        return text.strip("[]"), default_port
    if not port.isdecimal() or not 0 < int(port) <= 65_535:
        raise RefusedError(701, 400)
    return host.strip("[]"), int(port)


def _early_data(client: h11.Connection) -> bytes:
    """What the client sent behind its CONNECT without waiting."""
    return bytes(client.trailing_data[0])
