"""The shape of what qmicli prints: `Key: 'value'` lines, indented by section, with values quoted or not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agent.core.errors import ProtocolError

_WARNING = re.compile(r"\[[^\]]*\] -(?:Warning|Error|Message|Info) \*\* ")
_DEVICE = re.compile(r"\[/[^\]]*\] ")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line with a key; the value is empty for the head of a section."""

    indent: int
    """Tabs before it."""
    key: str
    value: str


def meaningful_lines(text: str) -> Iterator[str]:
    """Lines without libqmi's own warnings, empty lines and the `[/dev/…] ` in front."""
    for line in text.splitlines():
        if line.strip() and not _WARNING.match(line):
            yield _DEVICE.sub("", line, count=1)


def entries(text: str) -> tuple[Entry, ...]:
    """Every line that has a key, in order."""
    result: list[Entry] = []
    for line in meaningful_lines(text):
        key, colon, value = line.strip().partition(":")
        if key.strip() and colon and "'" not in key and value[:1] in ("", " ", "\t"):
            indent = len(line) - len(line.lstrip("\t"))
            result.append(Entry(indent, key.strip(), unquote(value)))
    return tuple(result)


def unquote(value: str) -> str:
    """`value` without its single quotes."""
    stripped = value.strip()
    return stripped[1:-1] if len(stripped) >= 2 and stripped[0] == stripped[-1] == "'" else stripped


def optional(text: str, key: str) -> str | None:
    """The first value of `key`; None when there is none."""
    return next((entry.value for entry in entries(text) if entry.key == key), None)


def required(text: str, key: str) -> str:
    """The first value of `key`; raise ProtocolError when there is none."""
    value = optional(text, key)
    if value is None:
        raise ProtocolError(f"qmicli printed no {key!r}", text)
    return value


def number(text: str, key: str) -> int:
    """The first value of `key` as a number; raise ProtocolError when there is none."""
    value = required(text, key)
    if not re.fullmatch(r"[0-9]{1,20}", value):
        raise ProtocolError(f"qmicli's {key!r} is not a number", value)
    return int(value)
