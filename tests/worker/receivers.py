"""Receivers of messages that really listen: HTTP, SMTP with STARTTLS, syslog."""

from __future__ import annotations

import base64
import http.server
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import ClassVar, cast


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One request that came."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class HttpReceiver:
    """Keeps what was posted, and answers what `answer` says: a status, and headers."""

    answer: Callable[[Posted], tuple[int, dict[str, str]]] = lambda _: (204, {})
    posted: list[Posted] = field(default_factory=list)
    tcp_port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.tcp_port}/hook?x=1"


@contextmanager
def http_receiver(receiver: HttpReceiver) -> Iterator[HttpReceiver]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted = Posted(path=self.path, headers=dict(self.headers.items()), body=body)
            receiver.posted.append(posted)
            status, headers = receiver.answer(posted)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as its parent has it
            del format, args

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.tcp_port = server.server_address[1]
        with _serving(server):
            yield receiver


@dataclass(slots=True)
class MailReceiver:
    """An SMTP server that keeps what it was given. `replies`: what it says instead, by the command's first word."""

    certificate: tuple[str, str] | None = None
    """Files of a chain and its key; with them it offers STARTTLS, and takes nothing before."""
    login: tuple[str, str] | None = None
    replies: dict[str, str] = field(default_factory=dict)
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    secured: bool = False
    tcp_port: int = 0


@contextmanager
def mail_receiver(receiver: MailReceiver) -> Iterator[MailReceiver]:
    class Handler(_SmtpHandler):
        owner = receiver

    with _ThreadingTcp(("127.0.0.1", 0), Handler) as server:
        receiver.tcp_port = cast("tuple[str, int]", server.server_address)[1]
        with _serving(server):
            yield receiver


class _ThreadingTcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _SmtpHandler(socketserver.BaseRequestHandler):
    owner: ClassVar[MailReceiver]

    def handle(self) -> None:
        self._connection: socket.socket = self.request
        self._file = self._connection.makefile("rb")
        self._recipients: list[str] = []
        self._secured = self._trusted = False
        try:
            self._talk()
        except (OSError, ValueError):
            return
        finally:
            self._file.close()
            self._connection.close()

    def _talk(self) -> None:
        self._say("220 mail.example.org")
        while line := self._file.readline():
            word = line.split()[0].decode().upper() if line.split() else ""
            if word in self.owner.replies:
                self._say(self.owner.replies[word])
            elif word == "QUIT":
                self._say("221 bye")
                return
            else:
                self._answer(word, line.decode().strip())

    def _answer(self, word: str, line: str) -> None:
        owner = self.owner
        match word:
            case "EHLO":
                offers = ["mail.example.org"]
                if owner.certificate and not self._secured:
                    offers.append("STARTTLS")
                elif owner.login:
                    offers.append("AUTH PLAIN")
                for offer in offers[:-1]:
                    self._say(f"250-{offer}")
                self._say(f"250 {offers[-1]}")
            case "STARTTLS":
                assert owner.certificate is not None
                self._say("220 go on")
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*owner.certificate)
                self._file.close()
                self._connection = context.wrap_socket(self._connection, server_side=True)
                self._file = self._connection.makefile("rb")
                self._secured = owner.secured = True
            case "AUTH":
                given = base64.b64decode(line.split()[2]).decode().split("\0")[1:]
                self._trusted = tuple(given) == owner.login
                self._say("235 welcome" if self._trusted else "535 who are you?")
            case "MAIL" if (owner.certificate and not self._secured) or (owner.login and not self._trusted):
                self._say("530 not like this")
            case "RCPT":
                address = line.partition("<")[2].partition(">")[0]
                refused = address.startswith("nobody")
                if not refused:
                    self._recipients.append(address)
                self._say("550 there is no such person" if refused else "250 ok")
            case "DATA":
                self._say("354 go on")
                lines = []
                while (data := self._file.readline()) not in (b".\r\n", b""):
                    lines.append(data.removeprefix(b"."))
                owner.mails.append(message_from_bytes(b"".join(lines), policy=policy.default))
                owner.recipients.append(self._recipients)
                self._recipients = []
                self._say("250 taken")
            case _:
                self._say("250 ok")

    def _say(self, text: str) -> None:
        self._connection.sendall(text.encode() + b"\r\n")


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(10)
