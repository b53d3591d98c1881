"""The body of a CPE's POST, bounded, and unpacked when it is packed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from agent.core.errors import ProtocolError

CHUNK_BYTES = 64 * 1024
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class TooLarge(ProtocolError):
    """There is more than is taken (HTTP 413)."""


class UnknownCoding(ProtocolError):
    """A Content-Encoding that is not taken (HTTP 415)."""


def read_body(environ: Mapping[str, Any], bytes_most: int) -> bytes:
    """The body of a request, unpacked; raises ProtocolError when it is too large, or not packed as it says.

    The server has dealt with chunks and with the length; nothing is read beyond `bytes_most`."""
    length = _length(environ.get("CONTENT_LENGTH") or "")
    if length is not None and length > bytes_most:
        raise TooLarge(f"more than {bytes_most} bytes")
    if length == 0:
        return b""
    body: bytes = environ["wsgi.input"].read(bytes_most + 1)
    if len(body) > bytes_most:
        raise TooLarge(f"more than {bytes_most} bytes")
    if length is not None and len(body) != length:
        # granian gives what has come when the CPE hangs up: nothing at all would look like an empty POST.
        raise ProtocolError(f"the body is cut off: {len(body)} of {length} bytes")
    coding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if not coding or coding == "identity" or not body:
        return body
    return unpack(body, coding, bytes_most)


def _length(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ProtocolError("Content-Length is no number", text)
    return int(text)


def unpack(body: bytes, coding: str, bytes_most: int) -> bytes:
    """`body` unpacked from gzip or deflate, never to more than `bytes_most` bytes."""
    window = _WINDOWS.get(coding)
    if window is None:
        raise UnknownCoding("Content-Encoding is neither gzip nor deflate", coding)
    if coding == "deflate" and (body[0] & 0x0F) != 8:
        window = -zlib.MAX_WBITS  # some send it without zlib's header
    unpacker = zlib.decompressobj(window)
    parts: list[bytes] = []
    size = 0
    rest = body
    try:
        while not unpacker.eof:
            # With all of the input taken there may still be output to come.
            part = unpacker.decompress(rest, CHUNK_BYTES)
            rest = unpacker.unconsumed_tail
            size += len(part)
            if size > bytes_most:
                raise TooLarge(f"more than {bytes_most} bytes when unpacked")
            parts.append(part)
            if not part and not rest:
                break
    except zlib.error as exc:
        raise ProtocolError("the body is not packed as its Content-Encoding says") from exc
    if not unpacker.eof:
        raise ProtocolError("the packed body is cut off")
    return b"".join(parts)


def charset_of(content_type: str) -> str | None:
    """The character set that a Content-Type names; None when it names none."""
    for part in content_type.split(";")[1:]:
        name, _, value = part.partition("=")
        # Some CPEs write "encoding".
        if name.strip().lower() in ("charset", "encoding"):
            return value.strip().strip("\"'") or None
    return None
