"""CWMP messages: what the ACS sent to a value, and what the CPE sends to bytes. Nothing here waits or reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from lxml import etree
from lxml.etree import _Element

from agent.core.errors import ProtocolError

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
XSD = "http://www.w3.org/2001/XMLSchema"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
CWMP_NAMESPACES: Mapping[str, str] = {
    "1.0": "urn:dslforum-org:cwmp-1-0",
    "1.1": "urn:dslforum-org:cwmp-1-1",
    "1.2": "urn:dslforum-org:cwmp-1-2",
    # 1.3 and 1.4 extend the namespace of 1.2.
    "1.3": "urn:dslforum-org:cwmp-1-2",
    "1.4": "urn:dslforum-org:cwmp-1-2",
}
Element = _Element
"""An element of a message."""
UNKNOWN_TIME = "0001-01-01T00:00:00Z"
_PREFIXES = {"soap-env": SOAP, "soap-enc": SOAP_ENCODING, "xsd": XSD, "xsi": XSI}
_XSI_TYPE = f"{{{XSI}}}type"
_ARRAY_TYPE = f"{{{SOAP_ENCODING}}}arrayType"
_MUST_UNDERSTAND = f"{{{SOAP}}}mustUnderstand"


@dataclass(frozen=True, slots=True)
class AcsFault:
    """A Fault that the ACS answered with."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the ACS. `body` is the RPC's element; `fault` instead of a method when it is a Fault."""

    method: str
    id: str | None
    hold_requests: bool
    use_version: str
    """UseCWMPVersion of CWMP 1.4; empty when it is not told."""
    namespace: str
    body: Element
    fault: AcsFault | None


def parse_message(data: bytes) -> Message:
    """Parse an envelope of the ACS; ProtocolError when it is none, or has not exactly one RPC in it."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True, remove_comments=True)
    try:
        envelope = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ProtocolError(f"no XML: {error}", data) from error
    if envelope.tag != f"{{{SOAP}}}Envelope":
        raise ProtocolError("no SOAP envelope", data)
    header, body = envelope.find(f"{{{SOAP}}}Header"), envelope.find(f"{{{SOAP}}}Body")
    if body is None or len(body) != 1:
        raise ProtocolError("not one RPC in the body", data)
    content = body[0]
    namespace, method = _split(content)
    told = {_split(each)[1]: (each.text or "") for each in header} if header is not None else {}
    fault = _parse_fault(content) if content.tag == f"{{{SOAP}}}Fault" else None
    hold = told.get("HoldRequests", "").strip() in {"1", "true"}
    use_version = told.get("UseCWMPVersion", "").strip()
    return Message(method, told.get("ID"), hold, use_version, namespace, content, fault)


def _parse_fault(content: Element) -> AcsFault:
    for each in content.iter():
        if _split(each)[1] == "Fault" and each is not content:
            code = text_of(each, "FaultCode") or ""
            return AcsFault(int(code) if code.isdigit() else 0, text_of(each, "FaultString") or "")
    return AcsFault(0, text_of(content, "faultstring") or "")


def _split(element: Element) -> tuple[str, str]:
    tag = element.tag
    if not isinstance(tag, str):
        return "", ""
    namespace, _, local = tag.rpartition("}")
    return namespace[1:], local


def child(parent: Element, name: str) -> Element | None:
    """The child of that local name, whatever its namespace."""
    return next((each for each in parent if _split(each)[1] == name), None)


def text_of(parent: Element, name: str) -> str | None:
    """The text of the child of that name; None when there is no such child."""
    found = child(parent, name)
    return None if found is None else (found.text or "")


def children(parent: Element, name: str) -> list[Element]:
    """All children of that local name."""
    return [each for each in parent if _split(each)[1] == name]


def type_of(element: Element) -> str | None:
    """The `xsi:type` of a value; None when it has none."""
    return element.get(_XSI_TYPE)


def array_type_of(element: Element) -> str | None:
    return element.get(_ARRAY_TYPE)


def start(namespace: str, name: str) -> Element:
    """An RPC's element, to be filled and rendered."""
    return etree.Element(f"{{{namespace}}}{name}", nsmap={**_PREFIXES, "cwmp": namespace})


def add(parent: Element, name: str, text: str | None = None, value_type: str | None = None) -> Element:
    """Append an element without a namespace; `value_type` is its `xsi:type`."""
    element = etree.SubElement(parent, name)
    if text is not None:
        element.text = text
    if value_type is not None:
        element.set(_XSI_TYPE, value_type)
    return element


def can_be_told(text: str) -> bool:
    """Whether XML can hold the text: it forbids most control characters."""
    try:
        etree.Element("text").text = text
    except ValueError:
        return False
    return True


def add_array(parent: Element, name: str, item_type: str, count: int) -> Element:
    """Append a SOAP array of `count` items of `item_type` (with its prefix); the caller appends the items."""
    element = etree.SubElement(parent, name)
    element.set(_ARRAY_TYPE, f"{item_type}[{count}]")
    return element


def add_strings(parent: Element, name: str, texts: Iterable[str]) -> None:
    """Append an array of strings."""
    texts = tuple(texts)
    array = add_array(parent, name, "xsd:string", len(texts))
    for text in texts:
        add(array, "string", text)


def render_envelope(
    namespace: str, body: Element, identifier: str | None, headers: Mapping[str, tuple[str, str]] | None = None
) -> bytes:
    """The bytes of a message; `headers` are further SOAP header elements by name: (mustUnderstand, text)."""
    envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={**_PREFIXES, "cwmp": namespace})
    header = etree.SubElement(envelope, f"{{{SOAP}}}Header")
    told = {} if identifier is None else {"ID": ("1", identifier)}
    for name, (must_understand, text) in {**told, **(headers or {})}.items():
        element = etree.SubElement(header, f"{{{namespace}}}{name}")
        element.set(_MUST_UNDERSTAND, must_understand)
        element.text = text
    etree.SubElement(envelope, f"{{{SOAP}}}Body").append(body)
    return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")


def render_time(moment: datetime | None) -> str:
    """An aware time of day as xsd:dateTime in UTC; None is the unknown time (TR-106 §3.2)."""
    return UNKNOWN_TIME if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
