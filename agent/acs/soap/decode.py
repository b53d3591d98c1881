"""Bytes to a message (TR-069 A6 §3.5, Annex A; SOAP 1.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agent.acs.soap.document import Element, parse
from agent.acs.soap.faults import cwmp_fault, read_fault
from agent.acs.soap.limits import LIMITS, Limits
from agent.acs.soap.messages import Envelope, Message, UnknownRPC
from agent.acs.soap.reading import is_true, local_name, number_of, short_text_of
from agent.acs.soap.rpcs import BY_NAME, METHOD_NAME
from agent.acs.soap.versions import CwmpVersion
from agent.core.errors import ProtocolError

_HEADER = frozenset(
    {"ID", "HoldRequests", "NoMoreRequests", "SessionTimeout", "SupportedCWMPVersions", "UseCWMPVersion"}
)


def decode(data: bytes, *, charset: str | None = None, limits: Limits = LIMITS) -> Envelope:
    """The message in `data`, a whole HTTP body without its Content-Encoding; `charset` is that of the Content-Type.

    Blank bytes are an envelope without a message, like one with an empty body. Elements are known by their local names,
    in any namespace; of several in a body the first that is an RPC counts. Raises ProtocolError, with a reason for
    people, for what is no such message, and for what is beyond the limits; never anything else.

    What is tolerated of CPEs: no Header or ID; wrong `arrayType`; untyped and missing values; names given twice; white
    space around names, numbers and keys; odd booleans (false) and odd times (None); wrong encodings and control
    characters (see `repair`).
    """
    if not data or data.isspace():
        return Envelope(message=None)
    root = parse(data, charset=charset, limits=limits)
    if local_name(root) != "Envelope":
        raise ProtocolError("XML, but no SOAP envelope", local_name(root))
    header: dict[str, Element] = {}
    body: Element | None = None
    for child in root:
        match local_name(child):
            case "Header":
                header = {local_name(element): element for element in child}
            case "Body":
                body = child
    if body is None:
        raise ProtocolError("the SOAP envelope has no body")
    rpc = _rpc_in(body)
    return Envelope(
        message=None if rpc is None else _message(rpc, limits),
        version=_version(root, header, rpc),
        **_read_header(header, limits),
    )


def _rpc_in(body: Element) -> Element | None:
    """The first RPC or fault; without one the first element."""
    first = None
    for child in body:
        name = local_name(child)
        if name in BY_NAME or name == "Fault":
            return child
        first = child if first is None else first
    return first


def _message(rpc: Element, limits: Limits) -> Message:
    name = local_name(rpc)
    shape = BY_NAME.get(name)
    if shape is not None:
        message: Message = shape.read(rpc, limits)
        return message
    if name == "Fault":
        return read_fault(rpc, limits)
    if not METHOD_NAME.fullmatch(name):
        raise ProtocolError("the body has an element that cannot be the name of an RPC", name)
    return UnknownRPC(name=name)


def _version(root: Element, header: dict[str, Element], rpc: Element | None) -> CwmpVersion:
    """By the namespace of the RPC; where that is not CWMP's, by the next best one. 1.0 when there is none at all."""
    version = None if rpc is None else CwmpVersion.parse(_namespace_of(rpc))
    if version is not None:
        return version
    for namespace in _namespaces(root, header, rpc):
        version = CwmpVersion.parse(namespace)
        if version is not None:
            return version
    return CwmpVersion.V1_0


def _namespaces(root: Element, header: dict[str, Element], rpc: Element | None) -> Iterator[str]:
    if rpc is not None:
        yield _namespace_of(cwmp_fault(rpc))
    for element in header.values():
        yield _namespace_of(element)
    yield from (root if rpc is None else rpc).nsmap.values()


def _namespace_of(element: Element) -> str:
    namespace, brace, _ = element.tag.rpartition("}")
    return namespace[1:] if brace else ""


def _read_header(header: dict[str, Element], limits: Limits) -> dict[str, Any]:
    """The members of the Envelope that the Header has (TR-069 A6 §3.5)."""
    members: dict[str, Any] = {}
    for name, element in header.items():
        if name not in _HEADER:
            continue
        text = short_text_of(element, limits).strip()
        match name:
            case "ID":
                if len(text) > limits.id_length:
                    raise ProtocolError(f"the cwmp:ID is longer than {limits.id_length} letters", text)
                members["id"] = text or None
            case "HoldRequests":
                members["hold_requests"] = is_true(text)
            case "NoMoreRequests":
                members["no_more_requests"] = is_true(text)
            case "SessionTimeout":
                seconds = number_of(text)
                members["session_timeout"] = seconds if seconds is not None and seconds >= 0 else None
            case "SupportedCWMPVersions":
                members["supported_versions"] = tuple(part.strip() for part in text.split(",") if part.strip())
            case "UseCWMPVersion":
                members["use_version"] = text or None
    return members
