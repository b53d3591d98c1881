"""HTTP byte by byte, for what no well-behaved client would send."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from agent.sim.cpe.http_auth import Auth, Authenticator
from tests.acs_live.process import HOST
from tests.acs_live.waiting import PATIENCE_SECONDS

_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace").strip()

    def header(self, name: str) -> str | None:
        return next((value for each, value in self.headers if each == name), None)

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each == name]


class Raw:
    """A connection to a server on this machine; a context manager."""

    def __init__(self, tcp_port: int, *, source: str = HOST, receive_bytes: int | None = None) -> None:
        """`source`: the address that it comes from; `receive_bytes`: how much may be on its way to it."""
        self.socket = socket.socket()
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(PATIENCE_SECONDS)
        try:
            self.socket.bind((source, 0))
            self.socket.connect((HOST, tcp_port))
        except OSError:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    @property
    def tcp_port(self) -> int:
        """Its own."""
        port: int = self.socket.getsockname()[1]
        return port

    def send(self, data: bytes) -> None:
        """Send; that the server does not take it all is no error: its answer counts."""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            self.socket.sendall(data)

    def answer(self, method: str = "POST") -> Answer | None:
        """The next answer; None when the connection ends instead."""
        response = http.client.HTTPResponse(self.socket, method=method)
        with contextlib.closing(response):
            try:
                response.begin()
                body = response.read()
            except (http.client.BadStatusLine, ConnectionResetError):
                return None
            told = tuple((name.lower(), value) for name, value in response.getheaders())
            return Answer(status=response.status, headers=told, body=body)

    def ask(self, data: bytes, method: str = "POST") -> Answer | None:
        """Send, and the answer."""
        self.send(data)
        return self.answer(method)

    def await_end(self, seconds: float = PATIENCE_SECONDS) -> bytes:
        """All that still comes, until the server ends the connection."""
        self.socket.settimeout(seconds)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while data := self.socket.recv(_READ_BYTES):
                found += data
        return found


def request(
    method: str = "POST",
    path: str = "/",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    length: bool = True,
    version: str = "1.1",
) -> bytes:
    """A request with what `headers` says, and nothing else but Host and (unless not wanted) Content-Length."""
    told = {"Host": HOST, **(headers or {})}
    if length and "Content-Length" not in told:
        told["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"{method} {path} HTTP/{version}\r\n{head}\r\n".encode("latin-1") + body


def soap_post(body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """A CWMP message as a CPE posts it."""
    return request(body=body, headers={"Content-Type": "text/xml; charset=utf-8", "SOAPAction": "", **(headers or {})})


def ask(tcp_port: int, data: bytes, method: str = "POST", *, source: str = HOST) -> Answer:
    """One request on a connection of its own; there must be an answer."""
    with Raw(tcp_port, source=source) as raw:
        answer = raw.ask(data, method)
    assert answer is not None, "the connection ended without an answer"
    return answer


class Digest:
    """A client that answers a server's challenge; every `header` counts the nonce up."""

    def __init__(self, answer: Answer, username: str, password: str, algorithm: str = "MD5") -> None:
        self._authenticator = Authenticator(Auth.DIGEST, username, password)
        offers = [each for each in answer.all("www-authenticate") if f"algorithm={algorithm}" in each]
        assert self._authenticator.challenged(offers), answer.headers

    def header(self, method: str = "POST", path: str = "/") -> dict[str, str]:
        told = self._authenticator.header(method, path)
        assert told is not None
        return {"Authorization": told}
