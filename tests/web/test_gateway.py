"""The gateway between the server and the WSGI application: over real sockets, with clients that behave badly."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from tests.store.farm import eventually
from tests.web.test_server import ROOT, free_tcp_port

THREADS = 3


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    tcp_port = free_tcp_port()
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.web.echoing", str(tcp_port), str(THREADS)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )

    def answers() -> bool:
        assert process.poll() is None, process.communicate()
        try:
            return httpx.get(f"http://127.0.0.1:{tcp_port}/", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    with process:
        try:
            eventually(answers, 20)
            yield tcp_port
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=20)
    assert "never retrieved" not in errors
    assert "was never awaited" not in errors


def connect(port: int) -> closing[socket.socket]:
    return closing(socket.create_connection(("127.0.0.1", port), 20))


def read_all(client: socket.socket) -> bytes:
    """What comes until the server closes."""
    answer = b""
    while part := client.recv(65536):
        answer += part
    return answer


def ask(port: int, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer to `request`, after which the server closes or is told nothing more."""
    with connect(port) as client:
        client.sendall(request)
        head, _, body = read_all(client).partition(b"\r\n\r\n")
        return head, body


def environ_of(port: int, target: bytes, *headers: bytes) -> dict[str, str]:
    lines = b"".join(header + b"\r\n" for header in (b"Host: a", b"Connection: close", *headers))
    _, body = ask(port, b"GET " + target + b" HTTP/1.1\r\n" + lines + b"\r\n")
    found: dict[str, str] = json.loads(body)
    return found


class TestRequest:
    def test_bytes_that_are_no_text_come_as_they_are(self, port: int) -> None:
        environ = environ_of(port, b"/a%2Fb%252F%C3%A9%FF?x=%20&y=\xc3\xa9", b"X-A: \xe9")
        assert environ["PATH_INFO"] == "/a/b%2F\u00c3\u00a9\u00ff"
        assert environ["QUERY_STRING"] == "x=%20&y=\u00c3\u00a9"
        assert environ["HTTP_X_A"] == "\u00e9"

    def test_headers_come_together_and_none_passes_for_another(self, port: int) -> None:
        environ = environ_of(
            port, b"/", b"Cookie: a=1", b"Cookie: b=2", b"X-A: 1", b"X-A: 2", b"X_Forwarded_For: 1.2.3.4"
        )
        assert environ["HTTP_COOKIE"] == "a=1; b=2"
        assert environ["HTTP_X_A"] == "1,2"
        assert "HTTP_X_FORWARDED_FOR" not in environ
        assert environ["REMOTE_ADDR"] == "127.0.0.1"

    @pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
    @pytest.mark.parametrize("chunked", [False, True])
    def test_a_body_comes_whole(self, port: int, size: int, chunked: bool) -> None:
        body = os.urandom(size)
        content = iter([body[:1000], body[1000:]]) if chunked else body
        answer = httpx.post(f"http://127.0.0.1:{port}/echo", content=content, timeout=30)
        assert answer.content == body

    def test_bodies_that_do_not_come_take_no_thread(self, port: int) -> None:
        slow = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(THREADS * 3)]
        try:
            for each in slow:
                each.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx")
            time.sleep(0.3)
            begun = time.monotonic()
            assert httpx.get(f"http://127.0.0.1:{port}/", timeout=10).status_code == 200
            assert time.monotonic() - begun < 5
        finally:
            for each in slow:
                each.close()

    def test_an_upload_that_is_cut_off_ends(self, port: int) -> None:
        with connect(port) as client:
            client.sendall(b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n" + b"x" * 200_000)
            time.sleep(0.2)
        eventually(lambda: httpx.get(f"http://127.0.0.1:{port}/counted", timeout=5).text == "200000")


class TestAnswer:
    def test_a_long_one_is_not_held_in_memory_and_ends_when_the_client_goes(self, port: int) -> None:
        def rss() -> int:
            return int(httpx.get(f"http://127.0.0.1:{port}/rss", timeout=5).text)

        before = rss()
        with connect(port) as client:
            client.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"200 OK" in client.recv(65536)
            time.sleep(1)
            assert rss() - before < 32 * 1024 * 1024
            assert httpx.get(f"http://127.0.0.1:{port}/open", timeout=5).text == "1"
        eventually(lambda: httpx.get(f"http://127.0.0.1:{port}/open", timeout=5).text == "0", 10)

    def test_one_that_breaks_off_does_not_pass_for_a_whole_one(self, port: int) -> None:
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/breaks", timeout=10)

    def test_no_body(self, port: int) -> None:
        assert httpx.get(f"http://127.0.0.1:{port}/nothing", timeout=10).status_code == 204
        head = httpx.head(f"http://127.0.0.1:{port}/", timeout=10)
        assert head.status_code == 200
        assert int(head.headers["Content-Length"]) > 0

    def test_more_requests_than_threads(self, port: int) -> None:
        waiting = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(THREADS * 4)]
        try:
            for each in waiting:
                each.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert all(read_all(each).endswith(b"slow") for each in waiting)
        finally:
            for each in waiting:
                each.close()


def test_a_websocket_where_there_is_none(port: int) -> None:
    handshake = (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    with connect(port) as client:
        client.sendall(handshake)
        assert client.recv(65536).startswith(b"HTTP/1.1 400 ")
