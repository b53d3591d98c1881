"""Small servers that behave as CPEs do, and worse: each test writes down what its CPE says."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Talk = Callable[[socket.socket, "Cpe"], None]
"""One connection, from its first request to its end."""


@dataclass
class Cpe:
    """What a CPE has seen."""

    tcp_port: int
    requests: list[str] = field(default_factory=list)
    connections: int = 0

    @property
    def authorizations(self) -> list[str]:
        return [found[1] for text in self.requests if (found := re.search(r"(?mi)^authorization: (.*)\r$", text))]

    def read(self, connection: socket.socket) -> str:
        """One request; empty at the end of the connection."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            more = connection.recv(4096)
            if not more:
                return ""
            data += more
        text = data.decode("latin-1")
        self.requests.append(text)
        return text


@contextlib.contextmanager
def serve(*talks: Talk, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Cpe]:
    """A CPE on loopback. Each connection gets the next talk, later ones the last."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        cpe = Cpe(tcp_port=listener.getsockname()[1])
        ended = threading.Event()

        def run() -> None:
            while True:
                try:
                    accepted, _ = listener.accept()
                except OSError:
                    return
                if ended.is_set():
                    accepted.close()
                    return
                talk = talks[min(cpe.connections, len(talks) - 1)]
                cpe.connections += 1
                with contextlib.suppress(OSError), accepted as plain:
                    plain.settimeout(5)
                    with tls.wrap_socket(plain, server_side=True) if tls else plain as connection:
                        talk(connection, cpe)

        thread = threading.Thread(target=run, name="cpe")
        thread.start()
        try:
            yield cpe
        finally:
            ended.set()
            with contextlib.suppress(OSError):
                socket.create_connection((host, cpe.tcp_port), 1).close()
            thread.join(10)


def head(status: str, *headers: str, body: str = "") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", body]).encode("latin-1")


def say(*answers: bytes) -> Talk:
    """Answer the requests of one connection with these bytes, then end it."""

    def talk(connection: socket.socket, cpe: Cpe) -> None:
        for answer in answers:
            if not cpe.read(connection):
                return
            connection.sendall(answer)

    return talk


def trickle(data: bytes, *, pause_seconds: float = 0.02) -> Talk:
    """Send a byte now and then, for as long as anybody listens."""

    def talk(connection: socket.socket, cpe: Cpe) -> None:
        cpe.read(connection)
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(pause_seconds)

    return talk


def silence(connection: socket.socket, cpe: Cpe) -> None:
    """Say nothing until the other side gives up."""
    while connection.recv(4096):
        pass
