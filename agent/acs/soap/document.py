"""Bytes to a tree of elements, with nothing of XML that a CWMP message does not need."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol, cast

from lxml import etree

from agent.acs.soap.limits import Limits
from agent.acs.soap.names import forget_names
from agent.acs.soap.repair import repair
from agent.core.errors import ProtocolError

_SMALL_BYTES = 16 * 1024
# In bytes: `<a>` and ` a=""`.
_TAG_LEAST, _ATTRIBUTE_LEAST = 3, 5
_BLANKS = bytes(range(1, 33))
_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_ENCODING = re.compile(rb"""\sencoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']""")
_NO_SPACE = re.compile(rb"\S")
# Of a tag, up to a quote or the end.
_BARE = re.compile(rb"""[^"'>]*+""")
_NAME_ENDS = re.compile(rb"[\s<>/=]+")
_MARKUP = re.compile(rb"</?[A-Za-z_][A-Za-z0-9_.:-]{0,60}")


class Element(Protocol):
    """What this room uses of lxml's elements; the tag is `{namespace}name` or `name`."""

    @property
    def tag(self) -> str: ...
    @property
    def text(self) -> str | None: ...
    @property
    def nsmap(self) -> dict[str | None, str]: ...
    def __iter__(self) -> Iterator[Element]: ...
    def __len__(self) -> int: ...
    def iter(self, *tags: str) -> Iterator[Element]: ...
    def iterdescendants(self, *tags: str) -> Iterator[Element]: ...
    def getparent(self) -> Element | None: ...
    def values(self) -> list[str]: ...
    def items(self) -> list[tuple[str, str]]: ...


def parse(data: bytes, *, charset: str | None, limits: Limits) -> Element:
    """The root element of `data`.

    Raises ProtocolError for what is not well-formed or beyond the limits, for a DOCTYPE (so there are no entities and
    nothing external), for UTF-7, UTF-16 and UTF-32, and for NUL. White space, control characters and a byte order mark
    in front are dropped. The bytes are taken as UTF-8 whatever they say they are; when that fails, see `repair`.
    """
    if len(data) > limits.size_bytes:
        raise ProtocolError(f"the message is longer than {limits.size_bytes} bytes", sample_of(data))
    if b"\0" in data or data.startswith(_UTF_16):
        raise ProtocolError("NUL bytes, or UTF-16 or UTF-32: UTF-8 is expected")
    if charset is not None and _is_utf_7(charset):
        raise ProtocolError("UTF-7 is not taken: UTF-8 is expected", charset)
    data = _without_blanks(data)
    declared = _check(data, limits)
    try:
        root = _tree(data)
    except etree.XMLSyntaxError as error:
        repaired = repair(data, charset or declared)
        if repaired == data:
            raise _not_well_formed(error, data) from error
        data = repaired
        _check(data, limits)
        try:
            root = _tree(data)
        except etree.XMLSyntaxError as again:
            raise _not_well_formed(again, data) from again
    # A second look, should libxml2 ever read a prolog otherwise than `_check_prolog` does.
    if data[1:2] in (b"?", b"!") and root.getroottree().docinfo.internalDTD is not None:
        raise _doctype(data)
    return cast("Element", root)


def sample_of(data: bytes) -> str:
    """The names of the first tags of `data`, for an error: texts and attributes may be secrets."""
    return " ".join(tag.decode() for tag in _MARKUP.findall(data[:4096]))


def _without_blanks(data: bytes) -> bytes:
    if data[:1] == b"<":
        return data
    return data.lstrip(_BLANKS).removeprefix(_BOM).lstrip(_BLANKS)


def _is_utf_7(charset: str) -> bool:
    return charset.strip().lower().replace("_", "-").startswith(("utf-7", "utf7", "unicode-1-1-utf-7", "csutf7"))


def _check(data: bytes, limits: Limits) -> str | None:
    """Raise ProtocolError for what must not reach the parser; return the encoding that `data` claims."""
    # What can hide in a small document costs no more than reading it.
    if len(data) > _SMALL_BYTES:
        _check_markup(data, limits)
    return _check_prolog(data)


def _check_prolog(data: bytes) -> str | None:
    """A DOCTYPE can only stand before the first element, among declarations, comments and blanks."""
    declared = None
    at = 0
    while data[at : at + 2] in (b"<?", b"<!"):
        if data.startswith(b"<!--", at):
            end = data.find(b"-->", at + 4)
        elif data.startswith(b"<!", at):
            raise _doctype(data)
        else:
            end = data.find(b"?>", at + 2)
            if at == 0 and (found := _ENCODING.search(data, 0, max(end, 0))):
                declared = found[1].decode()
        if end < 0:
            raise ProtocolError("not well-formed XML: what is before the first element has no end", sample_of(data))
        after = _NO_SPACE.search(data, end + 2 + data.startswith(b"-->", end))
        at = after.start() if after else len(data)
    if declared is not None and _is_utf_7(declared):
        raise ProtocolError("UTF-7 is not taken: UTF-8 is expected", declared)
    return declared


def _check_markup(data: bytes, limits: Limits) -> None:
    if len(data) > _TAG_LEAST * limits.tags and data.count(b"<") > limits.tags:
        raise ProtocolError(f"more than {limits.tags} tags", sample_of(data))
    if len(data) > _ATTRIBUTE_LEAST * limits.attributes_in_all and data.count(b"=") > limits.attributes_in_all:
        raise ProtocolError(f"more than {limits.attributes_in_all} attributes", sample_of(data))
    # A name or a tag beyond the limits takes a stretch without any "<"; leap from tag to tag and look for one.
    stretch = min(limits.name_length, _ATTRIBUTE_LEAST * limits.attributes)
    at = data.find(b"<")
    while at >= 0:
        following = data.rfind(b"<", at + 1, at + 1 + stretch)
        if following < 0:
            following = data.find(b"<", at + 1)
            _check_stretch(data[at : following if following >= 0 else None], limits)
        at = following


def _check_stretch(data: bytes, limits: Limits) -> None:
    """`data` is a tag and the text behind it."""
    if data.startswith(b"<!"):
        return
    at, attributes = 1, 0
    while found := _BARE.match(data, at):
        if max(map(len, _NAME_ENDS.split(found[0]))) > limits.name_length:
            raise ProtocolError(f"a name longer than {limits.name_length} letters", sample_of(data))
        quote = data[found.end() : found.end() + 1]
        closing = data.find(quote, found.end() + 1) if quote in (b'"', b"'") else -1
        if closing < 0:
            return
        at = closing + 1
        attributes += 1
        if attributes > limits.attributes:
            raise ProtocolError(f"an element with more than {limits.attributes} attributes", sample_of(data))


def _tree(data: bytes) -> etree._Element:
    # A parser for each message: it takes 4 µs, and shares nothing with other threads. `huge_tree` stays off for
    # libxml2's own bounds: 256 levels, texts of 10 MB, and no entity that grows.
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )
    try:
        return etree.fromstring(data, parser)
    finally:
        # Taking a new dictionary of names costs 5 µs. So do it where that is nothing, and else after one message in 64
        # that the CPE cannot choose: Python salts its hashes.
        if len(data) > _SMALL_BYTES or not hash(data) & 63:
            forget_names()


def _doctype(data: bytes) -> ProtocolError:
    return ProtocolError("a DOCTYPE, which no CWMP message has", sample_of(data))


def _not_well_formed(error: etree.XMLSyntaxError, data: bytes) -> ProtocolError:
    return ProtocolError(f"not well-formed XML: {(error.msg or 'no reason given')[:160]}", sample_of(data))
