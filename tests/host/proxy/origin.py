"""The internet of the proxy tests: an HTTP server, a UDP echo and a resolver."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

HTTP_PORT = 8080
ECHO_PORT = 7007


class _Teller(BaseHTTPRequestHandler):
    """Tells the client what it has sent and where it seems to be."""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        told = {
            "path": self.path,
            "headers": dict(self.headers.items()),
            "peer": self.client_address[0],
            "body": self.rfile.read(length).decode(),
        }
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing."""


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error here."""


class _HttpServer6(_HttpServer):
    address_family = socket.AF_INET6


class Services:
    """Servers that run in the namespace of the thread that starts them."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self._ends: list[Callable[[], None]] = []

    def serve_http(self, address: str) -> None:
        server = (_HttpServer6 if ":" in address else _HttpServer)((address, HTTP_PORT), _Teller)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self._ends += [server.shutdown, server.server_close]

    def serve_echo(self, address: str) -> None:
        self._serve_datagrams(address, ECHO_PORT, lambda data: b"echo " + data)

    def serve_names(self, address: str, names: dict[str, str]) -> None:
        def answer(data: bytes) -> bytes:
            query = dns.message.from_wire(data)
            question = query.question[0]
            name = question.name.to_text(omit_final_dot=True)
            self.queries.append(name)
            response = dns.message.make_response(query)
            response.flags |= dns.flags.RA
            known = names.get(name)
            kind = dns.rdatatype.AAAA if known is not None and ":" in known else dns.rdatatype.A
            if known is not None and question.rdtype == kind:
                response.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind.name, known))
            return response.to_wire()

        self._serve_datagrams(address, 53, answer)

    def close(self) -> None:
        for end in self._ends:
            end()

    def _serve_datagrams(self, address: str, udp_port: int, answer: Callable[[bytes], bytes]) -> None:
        server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((address, udp_port))

        def serve() -> None:
            with contextlib.suppress(OSError):  # closed
                while True:
                    data, source = server.recvfrom(65_535)
                    if not data:
                        return
                    server.sendto(answer(data), source)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()

        def end() -> None:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=2)
            server.close()

        self._ends.append(end)
