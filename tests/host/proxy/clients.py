"""The smallest clients of a proxy: HTTP, CONNECT, SOCKS4, SOCKS4a, SOCKS5 and its UDP association."""

from __future__ import annotations

import base64
import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

Login = tuple[str, str] | None
SECONDS = 8.0


class RefusedError(Exception):
    """The proxy said no; `code` as its protocol has it."""

    def __init__(self, code: int) -> None:
        super().__init__(f"refused with {code}")
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client at `source` of the proxy at `host`, `tcp_port`."""

    host: str
    tcp_port: int
    source: str
    login: Login = None

    def http(self, url: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body of one request."""
        server = url.split("/")[2]
        lines = [f"{'GET' if body is None else 'POST'} {url} HTTP/1.1", f"Host: {server}", "Connection: close"]
        if self.login is not None:
            token = base64.b64encode(":".join(self.login).encode()).decode()
            lines.append(f"Proxy-Authorization: Basic {token}")
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        with self._connected() as stream:
            stream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b""))
            answer = _read_all(stream)
        head, _, payload = answer.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head.lower():
            payload = _unchunked(payload)
        return _status(answer), payload

    def connect(self, target: str, tcp_port: int) -> bytes:
        """What the server behind a CONNECT answers."""
        authority = f"[{target}]:{tcp_port}" if ":" in target else f"{target}:{tcp_port}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        if self.login is not None:
            lines.append("Proxy-Authorization: Basic " + base64.b64encode(":".join(self.login).encode()).decode())
        with self._connected() as stream:
            stream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += _some(stream)
            if _status(answer) != 200:
                raise RefusedError(_status(answer))
            return _ask(stream)

    def socks4(self, target: str, tcp_port: int) -> bytes:
        """What the server answers; a target that is no address is sent as SOCKS4a."""
        try:
            address, name = socket.inet_aton(target), b""
        except OSError:
            address, name = b"\0\0\0\1", target.encode() + b"\0"
        with self._connected() as stream:
            stream.sendall(struct.pack("!BBH", 4, 1, tcp_port) + address + b"somebody\0" + name)
            reply = _exactly(stream, 8)
            if reply[1] != 90:
                raise RefusedError(reply[1])
            return _ask(stream)

    def socks5(self, target: str, tcp_port: int, command: int = 1) -> bytes:
        """What the server answers."""
        with self._connected() as stream:
            self._request(stream, command, target, tcp_port)
            return _ask(stream)

    @contextlib.contextmanager
    def associated(self) -> Iterator[tuple[socket.socket, tuple[str, int]]]:
        """A UDP socket of the client and where the proxy takes its datagrams."""
        family = socket.AF_INET6 if ":" in self.source else socket.AF_INET
        with self._connected() as stream, socket.socket(family, socket.SOCK_DGRAM) as datagrams:
            datagrams.bind((self.source, 0))
            datagrams.settimeout(2.0)
            yield datagrams, self._request(stream, 3, "0.0.0.0", 0)

    def _request(self, stream: socket.socket, command: int, target: str, tcp_port: int) -> tuple[str, int]:
        stream.sendall(b"\5\1\0" if self.login is None else b"\5\1\2")
        if _exactly(stream, 2)[1] == 2 and self.login is not None:
            user, password = (each.encode() for each in self.login)
            stream.sendall(b"\1" + bytes((len(user),)) + user + bytes((len(password),)) + password)
            _exactly(stream, 2)
        stream.sendall(b"\5" + bytes((command,)) + b"\0" + socks_address(target, tcp_port))
        _, code, _, kind = _exactly(stream, 4)
        bound = ip_address(_exactly(stream, 4 if kind == 1 else 16))
        (port,) = struct.unpack("!H", _exactly(stream, 2))
        if code != 0:
            raise RefusedError(code)
        return str(bound), port

    @contextlib.contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        stream = socket.create_connection((self.host, self.tcp_port), SECONDS, source_address=(self.source, 0))
        with stream:
            yield stream


def socks_address(host: str, port: int) -> bytes:
    """Type, address and port, as SOCKS5 writes them."""
    try:
        address = ip_address(host)
    except ValueError:
        return b"\3" + bytes((len(host),)) + host.encode() + struct.pack("!H", port)
    return (b"\1" if address.version == 4 else b"\4") + address.packed + struct.pack("!H", port)


def _ask(stream: socket.socket) -> bytes:
    stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
    return _read_all(stream).partition(b"\r\n\r\n")[2]


def _some(stream: socket.socket) -> bytes:
    data = stream.recv(65_536)
    if not data:
        raise ConnectionResetError("the proxy ended the connection")
    return data


def _exactly(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = stream.recv(count - len(data))
        if not chunk:
            raise ConnectionResetError("the proxy ended the connection")
        data += chunk
    return data


def _read_all(stream: socket.socket) -> bytes:
    data = b""
    while chunk := stream.recv(65_536):
        data += chunk
    return data


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def _unchunked(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        body, data = body + data[:length], data[length + 2 :]
        if not length:
            break
    return body
