"""The head of an HTTP/1 response, fed by bytes (RFC 9112 §3 to §6). I/O-free.

Small servers of CPEs write what they like: lines may end with LF alone, and lines that are no header are passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.core.errors import ProtocolError

HEAD_MOST = 16_384
"""Bytes, interim responses (1xx) and empty lines before it included."""

_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(r"HTTP/1\.([0-9])[ \t]+([1-9][0-9]{2})(?:[ \t].*)?")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers; names in lower case, values with their bytes as Latin-1."""

    status: int
    minor_version: int
    headers: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each == name]

    def first(self, name: str) -> str | None:
        return next((value for each, value in self.headers if each == name), None)

    @property
    def body_bytes(self) -> int | None:
        """Length of the body; None when it is not told, or told in a way that we have no use for (chunks)."""
        if self.status in (204, 304):
            return 0
        lengths = set(self.all("content-length"))
        if len(lengths) != 1 or self.all("transfer-encoding"):
            return None
        length = lengths.pop()
        return int(length) if length.isascii() and length.isdigit() and len(length) < 16 else None

    @property
    def keeps_connection(self) -> bool:
        """Whether another request may follow on this connection."""
        words = {word.strip().lower() for value in self.all("connection") for word in value.split(",")}
        return "close" not in words and (self.minor_version >= 1 or "keep-alive" in words)


class HeadDecoder:
    """Feed it bytes until it gives the head of the final response; `rest` is then what came of the body."""

    def __init__(self) -> None:
        self.rest = b""
        self._buffer = bytearray()
        self._received_bytes = 0
        self._searched = 0

    def receive(self, data: bytes) -> Head | None:
        """The head, once it is whole. Raises ProtocolError for what is no HTTP/1 response, or one too long."""
        self._buffer += data
        self._received_bytes += len(data)
        while (end := _END.search(self._buffer, self._searched)) is not None:
            if self._received_bytes - len(self._buffer) + end.end() > HEAD_MOST:
                break
            text = self._buffer[: end.start()].decode("latin-1")
            del self._buffer[: end.end()]
            self._searched = 0
            head = _parse_head(text) if text.strip() else None
            # 101 is final: it would be another protocol, which nobody asked for.
            if head is not None and (head.status >= 200 or head.status == 101):
                self.rest = bytes(self._buffer)
                return head
        else:
            self._searched = max(0, len(self._buffer) - 3)
            self._check_start()
            if self._received_bytes <= HEAD_MOST:
                return None
        raise ProtocolError("the head of the HTTP response is too long")

    def end(self) -> Head | None:
        """The peer ends the connection: the head, if its first line is there. Small servers forget the empty line."""
        text = self._buffer.decode("latin-1").lstrip("\r\n")
        if "\n" not in text:
            return None
        self._buffer.clear()
        head = _parse_head(text)
        return head if head.status >= 200 else None

    def _check_start(self) -> None:
        # What talks another protocol is told from its first bytes; it may never send an empty line.
        start = bytes(self._buffer).lstrip(b"\r\n")[:5]
        if start != b"HTTP/"[: len(start)]:
            raise ProtocolError("that is no HTTP response", start)


def _parse_head(text: str) -> Head:
    lines = text.lstrip("\r\n").split("\n")
    status = _STATUS.fullmatch(lines[0].rstrip("\r"))
    if status is None:
        raise ProtocolError("that is no HTTP/1 response", lines[0])
    headers: list[tuple[str, str]] = []
    for line in (line.rstrip("\r") for line in lines[1:]):
        if line[:1] in (" ", "\t") and headers:
            # RFC 9112 §5.2: a folded line, as was once allowed.
            name, value = headers[-1]
            headers[-1] = (name, f"{value} {line.strip()}")
            continue
        name, _, value = line.partition(":")
        if _NAME.fullmatch(name.rstrip()):
            headers.append((name.rstrip().lower(), value.strip()))
    kept = tuple((name, value) for name, value in headers if not _CONTROL.search(value))
    return Head(status=int(status[2]), minor_version=int(status[1]), headers=kept)
