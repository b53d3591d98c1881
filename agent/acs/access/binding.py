"""Which device a sender may speak for."""

from __future__ import annotations

import re

from agent.acs.access.credentials import Credential
from agent.acs.identity import DeviceIdentity

SUBJECT_MOST = 1024
"""A subject this long is not looked at: the end of it may be missing."""
_ATTRIBUTE = re.compile(r'\s*([A-Za-z0-9.-]+)\s*=\s*("(?:[^"\\]|\\.)*"|(?:[^,;+"\\]|\\.)*)\s*(?:[,;+]|$)', re.DOTALL)
_ESCAPE = re.compile(r"(?:\\[0-9A-Fa-f]{2})+|\\(.)", re.DOTALL)


def credential_covers(credential: Credential, identity: DeviceIdentity) -> bool:
    """Whether a CPE with this credential may be that device; one that is bound to no device may be any."""
    return credential.device_id is None or credential.device_id == identity.device_id


def certificate_covers(subject: str, identity: DeviceIdentity) -> bool:
    """Whether a certificate's subject (RFC 4514, or `/CN=…/O=…`) names that device: its common name is the serial
    number, OUI-serial number or the device id (TR-069 A6 §3.4.5 leaves it to the operator)."""
    names = {identity.serial_number, f"{identity.oui}-{identity.serial_number}", identity.device_id}
    return common_name(subject) in names


def common_name(subject: str) -> str | None:
    """The CN of a subject; None when it has none, or more than one, or cannot be read without doubt.

    `/CN=…/O=…` escapes nothing, so there an organisation could be called `x/CN=y`: RFC 4514 is the better one."""
    if len(subject) >= SUBJECT_MOST:
        return None
    found = _slashed(subject) if subject.startswith("/") else _separated(subject)
    names = [value for name, value in found or () if name.upper() in ("CN", "2.5.4.3")]
    return names[0] if len(names) == 1 else None


def _slashed(subject: str) -> list[tuple[str, str]] | None:
    """Names and values of `/CN=…/O=…`; None when a value has a slash in it."""
    pairs = [part.partition("=") for part in subject[1:].split("/")]
    return [(name.strip(), value.strip()) for name, _, value in pairs] if all(pair[1] for pair in pairs) else None


def _separated(subject: str) -> list[tuple[str, str]] | None:
    """Names and values of RFC 4514 (and RFC 2253, which quotes); None when it is neither."""
    found: list[tuple[str, str]] = []
    position = 0
    while position < len(subject):
        match = _ATTRIBUTE.match(subject, position)
        if match is None:
            return None
        name, value = match.groups()
        if value.startswith('"'):
            value = value[1:-1]
        found.append((name, _ESCAPE.sub(_unescape, value.strip())))
        position = match.end()
    return found


def _unescape(match: re.Match[str]) -> str:
    if match[1] is not None:
        return match[1]
    return bytes.fromhex(match[0].replace("\\", "")).decode("utf-8", "replace")
