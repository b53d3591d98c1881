"""Bytes from an AT port, cut into lines and prompts (3GPP TS 27.007 §4, ITU-T V.250 §5). Pure: nothing is
read here."""

from __future__ import annotations

import re
from dataclasses import dataclass

LINE_LIMIT_BYTES = 8192
_LINE_END = re.compile(rb"[\r\n]")
_PROMPT = b"> "


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not empty, without its end, NULs and outer blanks; bytes that are no UTF-8 became
    U+FFFD."""

    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """`> `: the modem waits for text."""


@dataclass(frozen=True, slots=True)
class Overlong:
    """A line longer than the limit was dropped."""


DecodedEvent = Line | Prompt | Overlong


class AtDecoder:
    """Cuts a stream into events; how the bytes are chunked makes no difference to them.

    CR and LF both end a line, so that `AT\\r\\r\\nOK` is two lines. At most `line_limit_bytes` are kept at
    any time.
    """

    def __init__(self, *, line_limit_bytes: int = LINE_LIMIT_BYTES) -> None:
        self._limit = line_limit_bytes
        self._buffer = bytearray()
        self._overlong = False
        self.prompt_expected = False
        """Whether `> ` at the start of a line is a prompt; falls back to False with the prompt."""

    def receive(self, data: bytes) -> tuple[DecodedEvent, ...]:
        """Take any number of bytes, return what they completed."""
        events: list[DecodedEvent] = []
        for index, piece in enumerate(_LINE_END.split(data)):
            if index:
                self._end_line(events)
            self._extend(piece, events)
        return tuple(events)

    def _extend(self, piece: bytes, events: list[DecodedEvent]) -> None:
        # NULs come after an open and inside operator names; PostgreSQL's text type has no place for them.
        piece = piece.replace(b"\0", b"")
        if self.prompt_expected and not self._overlong:
            head = bytes(self._buffer[: len(_PROMPT)]) + piece[: len(_PROMPT)]
            if len(self._buffer) < len(_PROMPT) and head.startswith(_PROMPT):
                piece = piece[len(_PROMPT) - len(self._buffer) :]
                self._buffer.clear()
                self.prompt_expected = False
                events.append(Prompt())
        room = self._limit - len(self._buffer)
        self._buffer += piece[:room]
        self._overlong = self._overlong or len(piece) > room

    def _end_line(self, events: list[DecodedEvent]) -> None:
        text = self._buffer.decode("utf-8", "replace").strip()
        if self._overlong:
            events.append(Overlong())
        elif text:
            events.append(Line(text))
        self._buffer.clear()
        self._overlong = False
