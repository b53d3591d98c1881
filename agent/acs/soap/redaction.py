"""A message as it may be kept: without the secrets that parameters, transfers and URLs carry."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from lxml import etree

from agent.acs.soap.document import Element, parse
from agent.acs.soap.limits import LIMITS, Limits
from agent.acs.soap.reading import local_name

HIDDEN = "***"
_SECRET_ELEMENTS = frozenset({"Password"})
_USER_INFORMATION = re.compile(r"(?<=://)[^/@\s]+(?=@)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A message that may be kept."""

    text: str
    method: str
    """The name of the RPC, of its answer, or Fault; empty when the envelope has nothing in it."""


def redact(
    body: bytes, is_secret: Callable[[str], bool], *, charset: str | None = None, limits: Limits = LIMITS
) -> Redacted:
    """The text of a SOAP envelope, indented as it came, with `***` for the value of every parameter whose name
    `is_secret` (TR-069 A6 §A.3.2.1: in any element that has a Name and a Value), for every Password, and for the user
    in a URL. Comments go, since nobody knows what is in them. Raises ProtocolError as `decode` does."""
    root = parse(body, charset=charset, limits=limits)
    for element in root.iter():
        # Comments and the like have a function for a tag.
        tag: object = element.tag
        name = local_name(element) if isinstance(tag, str) else ""
        if name in _SECRET_ELEMENTS:
            _hide(element)
        elif name == "Name" and is_secret(_text(element).strip()):
            parent = element.getparent()
            for sibling in parent if parent is not None else ():
                tag = cast("object", sibling.tag)
                if isinstance(tag, str) and local_name(sibling) == "Value":
                    _hide(sibling)
        elif element.text and "@" in element.text:
            cast("Any", element).text = _USER_INFORMATION.sub(HIDDEN, element.text)
    tree = cast("Any", root)
    etree.strip_elements(tree, etree.Comment, etree.ProcessingInstruction, with_tail=False)
    return Redacted(text=str(etree.tostring(tree, encoding="unicode")), method=_method(root))


def _method(root: Element) -> str:
    for child in root:
        if local_name(child) == "Body":
            return next((local_name(rpc) for rpc in child), "")
    return ""


def _text(element: Any) -> str:
    return "".join(element.itertext())


def _hide(element: Any) -> None:
    if not _text(element).strip():
        return
    for child in list(element):
        element.remove(child)
    element.text = HIDDEN
