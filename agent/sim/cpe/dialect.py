"""Peculiar ways in which real CPEs write their messages: pure changes of the bytes of an envelope."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from enum import Enum


class Dialect(Enum):
    """Each was seen in a capture or is reported of a device (docs: cwmp facts, "Tolerate")."""

    NO_ID = "no_id"
    """Requests and answers without cwmp:ID (the header is empty)."""
    NO_HEADER = "no_header"
    OLD_SCHEMA = "old_schema"
    """The XML Schema namespaces of 1999."""
    WRONG_ARRAY_TYPE = "wrong_array_type"
    """Counts in arrayType that are not the number of items."""
    UNTYPED = "untyped"
    """Values without xsi:type."""
    NO_VALUE = "no_value"
    """An empty value leaves out the Value element."""
    SINGLE_QUOTES = "single_quotes"
    OTHER_PREFIXES = "other_prefixes"
    LEADING_SPACE = "leading_space"
    """White space before the XML declaration."""
    CONTROL_CHARACTERS = "control_characters"
    """A character in the first value that XML forbids."""
    WRONG_ENCODING = "wrong_encoding"
    """Says UTF-8 and holds a byte of ISO 8859-1."""


_COUNT = re.compile(rb'(arrayType="[\w:-]+\[)\d+(\]")')
_TYPE = re.compile(rb' xsi:type="[^"]*"')
_EMPTY_VALUE = re.compile(rb"<Value(?: [^>]*)?/>|<Value(?: [^>]*)?></Value>")
_HEADER = re.compile(rb"<soap-env:Header>.*?</soap-env:Header>|<soap-env:Header/>", re.DOTALL)
_ID = re.compile(rb"<cwmp:ID .*?</cwmp:ID>|<cwmp:ID [^>]*/>", re.DOTALL)
_MARKUP = re.compile(rb"<[^<>]*>")
_FIRST_VALUE = re.compile(rb"(<(?:Value|FaultString)\b[^>]*>)")


_PREFIX = re.compile(rb"(?<=[<\s/:\"'])(soap-env|soap-enc|cwmp|xsi)(?=[:=])")
_OTHER_PREFIX = {b"soap-env": b"S", b"soap-enc": b"E", b"cwmp": b"ns2", b"xsi": b"i"}


def _swap_prefixes(data: bytes) -> bytes:
    def in_tag(tag: re.Match[bytes]) -> bytes:
        return _PREFIX.sub(lambda prefix: _OTHER_PREFIX[prefix[0]], tag[0])

    return _MARKUP.sub(in_tag, data)


def speak(data: bytes, dialects: Collection[Dialect]) -> bytes:
    """An envelope of `soap.render_envelope` as a CPE of those dialects writes it; nothing stays nothing."""
    if not data:
        return data
    for dialect in Dialect:
        if dialect in dialects:
            data = _CHANGES[dialect](data)
    return data


_CHANGES: dict[Dialect, Callable[[bytes], bytes]] = {
    Dialect.NO_ID: lambda data: _ID.sub(b"", data),
    Dialect.NO_HEADER: lambda data: _HEADER.sub(b"", data),
    Dialect.OLD_SCHEMA: lambda data: data.replace(b"/2001/XMLSchema", b"/1999/XMLSchema"),
    Dialect.WRONG_ARRAY_TYPE: lambda data: _COUNT.sub(rb"\g<1>0\g<2>", data),
    Dialect.UNTYPED: lambda data: _TYPE.sub(b"", data),
    Dialect.NO_VALUE: lambda data: _EMPTY_VALUE.sub(b"", data),
    Dialect.SINGLE_QUOTES: lambda data: _MARKUP.sub(lambda tag: tag[0].replace(b'"', b"'"), data),
    Dialect.OTHER_PREFIXES: _swap_prefixes,
    Dialect.LEADING_SPACE: lambda data: b"\r\n  " + data,
    Dialect.CONTROL_CHARACTERS: lambda data: _FIRST_VALUE.sub(rb"\g<1>" + b"\x01", data, count=1),
    Dialect.WRONG_ENCODING: lambda data: _FIRST_VALUE.sub(rb"\g<1>" + b"\xe9", data, count=1),
}
