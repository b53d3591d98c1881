"""What a hostile client sends: requests that are wrong as HTTP, or as a CPE's message."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from tests.acs_live.messages import inform, new_serial
from tests.acs_live.raw import request, soap_post

MOST_BYTES = 16 * 1024 * 1024
"""acs.body_bytes_most"""
CHUNKED = {"Content-Type": "text/xml", "Transfer-Encoding": "chunked"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One request (or what passes for one) and the status that it must get; None: the connection is just closed."""

    data: Callable[[], bytes]
    status: int | None
    says: str = ""
    method: str = "POST"


def _inform() -> bytes:
    return inform(new_serial())


def _chunks(data: bytes, **headers: str) -> bytes:
    return request(body=data, headers={**CHUNKED, **headers}, length=False)


def _length(value: str) -> Callable[[], bytes]:
    return lambda: request(body=_inform(), headers={"Content-Type": "text/xml", "Content-Length": value})


def _packed(coding: str, data: Callable[[], bytes]) -> Callable[[], bytes]:
    return lambda: soap_post(data(), {"Content-Encoding": coding})


def _bomb(window: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, window)
    return packer.compress(b" " * (8 * MOST_BYTES)) + packer.flush()


def _line(line: str) -> Callable[[], bytes]:
    return lambda: f"{line}\r\nHost: acs\r\nContent-Length: 0\r\n\r\n".encode("latin-1")


HTTP: dict[str, Attack] = {
    "garbage instead of HTTP": Attack(data=lambda: b"\x13\x37" * 500 + b"\r\n\r\n", status=400),
    "a TLS handshake on the plain TCP port": Attack(
        data=lambda: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500, status=400
    ),
    "HTTP/2 without being asked": Attack(
        data=lambda: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0", status=None
    ),
    "HTTP/0.9": Attack(data=lambda: b"POST /\r\n\r\n", status=400),
    "HTTP/9.9": Attack(data=_line("POST / HTTP/9.9"), status=400),
    "a NUL in the request line": Attack(data=_line("POST /\0 HTTP/1.1"), status=400),
    "a blank before the colon of a header": Attack(data=lambda: _chunks(b"0\r\n\r\n", **{"X ": "y"}), status=400),
    "a header continued on the next line": Attack(data=_line("POST / HTTP/1.1\r\nX-A: b\r\n c"), status=400),
    "200 headers": Attack(data=lambda: request(headers={f"X-{number}": "a" for number in range(200)}), status=431),
    "20,000 headers": Attack(
        data=lambda: request(headers={f"X-{number}": "a" for number in range(20_000)}), status=431
    ),
    "a header of 1 MB": Attack(data=lambda: request(headers={"Cookie": "a" * 1_000_000}), status=431),
    "a URL of 1 MB": Attack(data=lambda: request(path="/" + "a" * 1_000_000), status=431),
    "GET, PUT, DELETE, TRACE, CONNECT": Attack(
        data=lambda: request("TRACE"), status=405, says="CPEs talk CWMP here, by POST", method="TRACE"
    ),
    "a method of one's own": Attack(data=lambda: request("DESTROY"), status=405, method="DESTROY"),
    "Content-Length twice, with two values": Attack(
        data=lambda: request(body=b"hello", headers={"Content-Length": "5\r\nContent-Length: 6"}), status=400
    ),
    "a negative Content-Length": Attack(data=_length("-5"), status=400),
    "Content-Length: +5": Attack(data=_length("+5"), status=400),
    "Content-Length: 5, 5": Attack(data=_length("5, 5"), status=400),
    "a Content-Length of twenty digits": Attack(data=_length("9" * 20), status=400),
    "a message of 100 GB, announced": Attack(data=_length("99999999999"), status=413),
    "a message of 17 MB in chunks": Attack(
        data=lambda: _chunks(b"1100000\r\n" + b" " * 0x1100000 + b"\r\n0\r\n\r\n"), status=413
    ),
    "a message without its length": Attack(
        data=lambda: request(body=_inform(), headers={"Content-Type": "text/xml"}, length=False), status=411
    ),
    "Transfer-Encoding: gzip, chunked": Attack(
        data=lambda: _chunks(b"5\r\nhello\r\n0\r\n\r\n", **{"Transfer-Encoding": "gzip, chunked"}), status=400
    ),
    "Transfer-Encoding: xchunked": Attack(
        data=lambda: _chunks(b"5\r\nhello\r\n0\r\n\r\n", **{"Transfer-Encoding": "xchunked"}), status=400
    ),
    "chunks in HTTP/1.0": Attack(
        data=lambda: request(body=b"5\r\nhello\r\n0\r\n\r\n", headers=CHUNKED, length=False, version="1.0"), status=400
    ),
    "a body that says gzip and is none": Attack(data=_packed("gzip", _inform), status=400, says="not packed"),
    "a packed body that is cut off": Attack(
        data=_packed("gzip", lambda: gzip.compress(_inform())[:-9]), status=400, says="cut off"
    ),
    "Content-Encoding: br": Attack(data=_packed("br", _inform), status=415),
    "a gzip bomb: 130 kB that become 128 MB": Attack(
        data=_packed("gzip", lambda: _bomb(31)), status=413, says="when unpacked"
    ),
    "a deflate bomb": Attack(data=_packed("deflate", lambda: _bomb(15)), status=413, says="when unpacked"),
    "a deflate bomb without zlib's header": Attack(
        data=_packed("deflate", lambda: _bomb(-15)), status=413, says="when unpacked"
    ),
    "gzip within gzip": Attack(
        data=_packed("gzip", lambda: gzip.compress(gzip.compress(_inform()))), status=400, says="NUL bytes"
    ),
}

BROKEN_CHUNKS: dict[str, bytes] = {
    "a chunk whose size is no number": b"zz\r\nhello\r\n0\r\n\r\n",
    "a chunk of 2^72 bytes": b"FFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    "a negative chunk": b"-5\r\nhello\r\n0\r\n\r\n",
    "a chunk without its end": b"5\r\nhelloXX0\r\n\r\n",
    "a chunk extension of 1 MB": b"5;" + b"x" * 1_000_000 + b"\r\nhello\r\n0\r\n\r\n",
    "20,000 trailers": b"5\r\nhello\r\n0\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(20_000)) + b"\r\n",
}
"""They are never taken for a message; what is read of them is taken for none, or for one that is cut off."""

OUTSIDE = (
    "/files/{task}/../../../etc/passwd",
    "/files/{task}/..%2f..%2f..%2fetc%2fpasswd",
    "/files/{task}/%2e%2e/%2e%2e/etc/passwd",
    "/files/{task}/..%5c..%5cetc%5cpasswd",
    "/files/{task}//etc/passwd",
    "/files/{task}/%2fetc%2fpasswd",
    "/files/{task}/plain.bin%00.txt",
    "/files/{task}/plain.bin/",
    "/files/{task}/.",
    "/files/{task}/",
    "/files/",
    "/files",
    "/../etc/passwd",
    "//etc/passwd",
    "/static/x",
    "/uploads/{task}",
    "/metrics",
    "/api/devices",
)
"""Asked for by who may have one file."""
OTHERS = ("/files/-1/plain.bin", "/files/1e3/plain.bin", "/files/0x1/plain.bin", f"/files/{'9' * 30}/plain.bin")
