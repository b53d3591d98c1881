"""Heads of HTTP responses, fed in pieces."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.acs.connection_request.response import HEAD_MOST, Head, HeadDecoder
from agent.core.errors import ProtocolError

RESPONSE = (
    b"\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=r,\r\n\tnonce=n\r\nwww-authenticate:Basic\r\n"
    b"Content-Length : 4\r\nConnection: Keep-Alive\r\n\r\nbody"
)


def decode(data: bytes) -> Head | None:
    return HeadDecoder().receive(data)


@pytest.mark.parametrize("size", range(1, len(RESPONSE) + 1))
def test_it_does_not_matter_in_which_pieces_it_comes(size: int) -> None:
    decoder = HeadDecoder()
    rest = b""
    head = None
    for start in range(0, len(RESPONSE), size):
        piece = RESPONSE[start : start + size]
        if head is None:
            head = decoder.receive(piece)
            rest = decoder.rest
        else:
            rest += piece

    assert head is not None
    assert head.status == 401
    assert head.all("www-authenticate") == ["Digest realm=r, nonce=n", "Basic"]
    assert head.body_bytes == 4
    assert head.keeps_connection
    assert rest == b"body"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("HTTP/1.1 200 OK\r\n\r\n", 200),
        ("HTTP/1.0 204\r\n\r\n", 204),
        ("HTTP/1.1 200 OK\nA: b\n\n", 200),
        ("HTTP/1.1  503 \r\nno header at all\r\n: x\r\nA B: c\r\n\r\n", 503),
        ("HTTP/1.1 101 Switching\r\n\r\n", 101),
    ],
)
def test_small_servers_are_understood(text: str, status: int) -> None:
    head = decode(text.encode())

    assert head is not None
    assert head.status == status


def test_a_head_that_ends_with_the_connection_is_whole() -> None:
    decoder = HeadDecoder()

    assert decoder.receive(b"HTTP/1.1 200 OK\r\nServer: x\r\n") is None
    assert decoder.end() == Head(200, 1, (("server", "x"),))


@pytest.mark.parametrize("text", ["", "\r\n", "HTTP/1.1 200", "HTTP/1.1 100 Continue\r\n"])
def test_what_ends_before_its_status_is_no_head(text: str) -> None:
    decoder = HeadDecoder()

    assert decoder.receive(text.encode()) is None
    assert decoder.end() is None


@pytest.mark.parametrize(
    "text",
    [
        "SSH-2.0-dropbear",
        "\x16\x03\x01",
        "HTTX",
        "<html>",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 2000 x\r\n\r\n",
        "HTTP/1.1 099 x\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: " + "x" * HEAD_MOST,
        "HTTP/1.1 200 OK\r\nA: " + "x" * HEAD_MOST + "\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n" * 1000,
        "\r\n" * HEAD_MOST,
    ],
)
def test_what_is_no_http_or_too_much_of_it_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        decode(text.encode("latin-1"))


@pytest.mark.parametrize(
    ("headers", "body_bytes"),
    [
        ("", None),
        ("Content-Length: 5", 5),
        ("Content-Length: 5\r\nContent-Length: 5", 5),
        ("Content-Length: 5\r\nContent-Length: 6", None),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", None),
        ("Content-Length: -5", None),
        ("Content-Length: 5_0", None),
        ("Content-Length: \u00b2", None),
        ("Content-Length: " + "9" * 5000, None),
    ],
)
def test_the_length_of_the_body_is_told_clearly_or_not_at_all(headers: str, body_bytes: int | None) -> None:
    head = decode(f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n".encode("latin-1"))

    assert head is not None
    assert head.body_bytes == body_bytes


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        ("1.1", "", True),
        ("1.1", "Close", False),
        ("1.1", "x, close", False),
        ("1.0", "", False),
        ("1.0", "keep-alive", True),
    ],
)
def test_whether_the_connection_goes_on(version: str, connection: str, keeps: bool) -> None:
    head = decode(f"HTTP/{version} 401 x\r\nConnection: {connection}\r\n\r\n".encode())

    assert head is not None
    assert head.keeps_connection is keeps


def test_a_header_with_control_characters_is_passed_over() -> None:
    head = decode(b"HTTP/1.1 401 x\r\nWWW-Authenticate: a\rb\r\nB: \x00\r\nC: ok\r\n\r\n")

    assert head == Head(401, 1, (("c", "ok"),))


_PIECES = st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 100 x", b"\r\n", b"\n", b"\r", b" ", b"A: b", b":", b"\xff"])


@given(st.lists(st.binary(max_size=30) | st.lists(_PIECES, max_size=20).map(b"".join), max_size=20))
def test_no_bytes_raise_anything_else(pieces: list[bytes]) -> None:
    decoder = HeadDecoder()
    with contextlib.suppress(ProtocolError):
        for piece in pieces:
            if decoder.receive(piece) is not None:
                return
        decoder.end()
