"""A message to bytes (TR-069 A6 §3.5, Annex A; SOAP 1.1)."""

from __future__ import annotations

from agent.acs.soap.escape import escape
from agent.acs.soap.faults import render_fault
from agent.acs.soap.limits import LIMITS
from agent.acs.soap.messages import Envelope, Fault, Message, UnknownRPC
from agent.acs.soap.rpcs import BY_CLASS, METHOD_NAME
from agent.acs.soap.versions import CwmpVersion

_OPEN = {
    version: '<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:SOAP-ENC="http://schemas.xmlsoap.org/soap/encoding/"'
    ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    f' xmlns:cwmp="{version.value}">'
    for version in CwmpVersion
}
_CLOSE = "</SOAP-ENV:Body></SOAP-ENV:Envelope>"


def encode(envelope: Envelope) -> bytes:
    """`envelope` as XML in UTF-8, ready to be sent.

    There is no XML declaration, and the prefixes are SOAP-ENV and cwmp: some old CPEs want it so. Raises ValueError for
    what cannot be written: a character that XML has no way for, a type that CWMP does not have, a time without zone, an
    ID that is too long.
    """
    body = "" if envelope.message is None else _render(envelope.message)
    return f"{_OPEN[envelope.version]}{_render_header(envelope)}<SOAP-ENV:Body>{body}{_CLOSE}".encode()


def _render(message: Message) -> str:
    if isinstance(message, Fault):
        return render_fault(message)
    if isinstance(message, UnknownRPC):
        if not METHOD_NAME.fullmatch(message.name):
            raise ValueError(f"{message.name[:80]!r} cannot be the name of an RPC")
        return f"<cwmp:{message.name}/>"
    shape = BY_CLASS[type(message)]
    return f"<cwmp:{shape.name}>{shape.render(message)}</cwmp:{shape.name}>"


def _render_header(envelope: Envelope) -> str:
    fields = ""
    if envelope.id is not None:
        if len(envelope.id) > LIMITS.id_length:
            raise ValueError(f"the cwmp:ID is longer than {LIMITS.id_length} letters")
        fields = _header_field("ID", envelope.id)
    if envelope.hold_requests:
        fields += _header_field("HoldRequests", "1")
    if envelope.no_more_requests:
        fields += _header_field("NoMoreRequests", "1")
    if envelope.session_timeout is not None:
        fields += _header_field("SessionTimeout", str(int(envelope.session_timeout)), must_understand="0")
    if envelope.supported_versions:
        fields += _header_field("SupportedCWMPVersions", ",".join(envelope.supported_versions), must_understand="0")
    if envelope.use_version is not None:
        fields += _header_field("UseCWMPVersion", envelope.use_version)
    return f"<SOAP-ENV:Header>{fields}</SOAP-ENV:Header>" if fields else ""


def _header_field(name: str, text: str, *, must_understand: str = "1") -> str:
    return f'<cwmp:{name} SOAP-ENV:mustUnderstand="{must_understand}">{escape(text)}</cwmp:{name}>'
