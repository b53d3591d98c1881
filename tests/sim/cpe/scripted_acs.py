"""A small ACS for these tests: it asks what it is told to ask, and keeps all that CPEs send. Not the product's ACS."""

from __future__ import annotations

import gzip
import hashlib
import re
import ssl
import threading
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lxml import etree

NAMESPACE = "urn:dslforum-org:cwmp-1-2"
WAIT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Received:
    """One HTTP request; `method` is the RPC, or empty for an empty body, or `?` for what is no XML."""

    verb: str
    path: str
    headers: dict[str, str]
    body: bytes
    method: str
    connection: int
    version: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the ACS answers; `close` ends the connection instead of answering."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    close: bool = False


Hook = Callable[[Received], Reply | None]


def envelope(
    content: str, *, identifier: str | None = "acs-1", hold: bool = False, namespace: str = NAMESPACE
) -> bytes:
    """A message of the ACS's around one RPC's XML."""
    header = "" if identifier is None else f'<cwmp:ID s:mustUnderstand="1">{identifier}</cwmp:ID>'
    if hold:
        header += '<cwmp:HoldRequests s:mustUnderstand="1">1</cwmp:HoldRequests>'
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:e="http://schemas.xmlsoap.org/soap/encoding/"'
        ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        f' xmlns:cwmp="{namespace}"><s:Header>{header}</s:Header><s:Body>{content}</s:Body></s:Envelope>'
    ).encode()


def method_of(body: bytes) -> str:
    """The local name of the RPC in a body."""
    if not body.strip():
        return ""
    try:
        # Some CPEs write characters that XML or the encoding forbids.
        root = etree.fromstring(body.strip().replace(b"\x01", b"").replace(b"\xe9", b""))
    except etree.XMLSyntaxError:
        return "?"
    found = [each for each in root if str(each.tag).endswith("}Body")]
    return etree.QName(found[0][0]).localname if found and len(found[0]) else "?"


class ScriptedAcs:
    """Answers Inform and the CPE's other requests as TR-069 wants, then asks what is in `asks`, then ends the session.

    `hooks` come first: each is called once, in order, and may answer instead (`None`: it does not, and stays)."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.asks: deque[bytes] = deque()
        self.hooks: deque[Hook] = deque()
        self.files: dict[str, bytes] = {}
        self.uploads: dict[str, tuple[str, bytes]] = {}
        self.received: list[Received] = []
        self.namespace = NAMESPACE
        self.digest: tuple[str, str, str] | None = None
        """User, password, algorithm: what is asked of every request."""
        self.cookie: str | None = "session=1; Path=/"
        self.hold_until_asked = False
        self._held: set[str] = set()
        self._changed = threading.Condition()
        self._server = _Server(self)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.scheme = "https" if tls else "http"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(WAIT_SECONDS)

    def ask(self, *contents: str) -> None:
        """Ask these RPCs (their XML, without the envelope), in the next sessions."""
        self.asks.extend(envelope(each, namespace=self.namespace) for each in contents)

    def sent(self, method: str) -> list[etree._Element]:
        """The messages of CPEs with that RPC, parsed, in order."""
        return [etree.fromstring(each.body.strip()) for each in self.received if each.method == method]

    def last(self, method: str) -> etree._Element:
        return self.sent(method)[-1]

    def methods(self) -> list[str]:
        """What came, in order: RPC names, and empty strings."""
        return [each.method for each in self.received]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until what came is enough."""
        with self._changed:
            assert self._changed.wait_for(condition, WAIT_SECONDS), self.methods()

    def reply(self, received: Received) -> Reply:
        with self._changed:
            self.received.append(received)
            self._changed.notify_all()
            if self.hooks and (answer := self.hooks[0](received)) is not None:
                self.hooks.popleft()
                return answer
            if (challenge := self._challenge(received)) is not None:
                return challenge
            if received.verb == "GET":
                found = self.files.get(received.path)
                return Reply(404) if found is None else Reply(200, found, {"Content-Type": "application/octet-stream"})
            if received.path in self.uploads:
                self.uploads[received.path] = (received.verb, received.body)
                return Reply(201)
            if received.verb == "PUT":
                return Reply(404)
            return self._cwmp(received)

    def _cwmp(self, received: Received) -> Reply:
        headers = {"Content-Type": 'text/xml; charset="utf-8"'}
        if self.cookie is not None and received.method == "Inform":
            headers["Set-Cookie"] = self.cookie
        if received.method in _RESPONSES:
            identifier = re.search(rb"[:<]ID[^>]*>([^<]*)<", received.body)
            content = _RESPONSES[received.method].replace("@", "cwmp:")
            echoed = identifier[1].decode() if identifier else None
            answer = envelope(content, identifier=echoed, hold=self.hold_until_asked, namespace=self.namespace)
            return Reply(200, answer, headers)
        if self.asks:
            return Reply(200, self.asks.popleft(), headers)
        return Reply(204)

    def _challenge(self, received: Received) -> Reply | None:
        if self.digest is None:
            return None
        user, password, algorithm = self.digest
        told = dict(re.findall(r'(\w+)="?([^",]*)"?', received.headers.get("authorization", "")))
        hashed = hashlib.sha256 if algorithm == "SHA-256" else hashlib.md5

        def digest(text: str) -> str:
            return hashed(text.encode()).hexdigest()

        first = digest(f"{user}:acs:{password}")
        second = digest(f"{received.verb}:{received.path}")
        wanted = digest(f"{first}:n0nce:{told.get('nc')}:{told.get('cnonce')}:auth:{second}")
        if told.get("response") == wanted and told.get("username") == user and told.get("nonce") == "n0nce":
            return None
        challenge = f'Digest realm="acs", qop="auth,auth-int", nonce="n0nce", algorithm={algorithm}, opaque="o"'
        return Reply(401, b"", {"WWW-Authenticate": challenge})


_RESPONSES = {
    "Inform": "<@InformResponse><MaxEnvelopes>1</MaxEnvelopes></@InformResponse>",
    "TransferComplete": "<@TransferCompleteResponse/>",
    "AutonomousTransferComplete": "<@AutonomousTransferCompleteResponse/>",
    "DUStateChangeComplete": "<@DUStateChangeCompleteResponse/>",
    "RequestDownload": "<@RequestDownloadResponse/>",
    "Kicked": "<@KickedResponse><NextURL>http://x/</NextURL></@KickedResponse>",
    "GetRPCMethods": (
        '<@GetRPCMethodsResponse><MethodList e:arrayType="xsd:string[1]"><string>Inform</string></MethodList>'
        "</@GetRPCMethodsResponse>"
    ),
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, acs: ScriptedAcs) -> None:
        self.acs = acs
        self.connections = 0
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A CPE that crashes is no error of the ACS."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = WAIT_SECONDS
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1
        self.connection_number = self.server.connections

    def _handle(self) -> None:
        body = self._read_body()
        if body is None:
            self.close_connection = True
            return
        received = Received(
            verb=self.command,
            path=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            method=method_of(body),
            connection=self.connection_number,
            version=self.request_version,
        )
        reply = self.server.acs.reply(received)
        if reply.close:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = do_PUT = _handle  # noqa: N815 the names that http.server wants

    def _read_body(self) -> bytes | None:
        """None when the CPE ended the connection before the body did."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if len(body) < length:
                return None
        match self.headers.get("Content-Encoding"):
            case "gzip":
                return gzip.decompress(body)
            case "deflate":
                return zlib.decompress(body)
            case _:
                return body

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the base class's name
        """Quiet."""
