"""Which device a sender may speak for."""

from __future__ import annotations

from agent.acs.access.credentials import Credential
from agent.acs.identity import DeviceIdentity


def credential_covers(credential: Credential, identity: DeviceIdentity) -> bool:
    """Whether a CPE with this credential may be that device; one that is bound to no device may be any."""
    return credential.device_id is None or credential.device_id == identity.device_id


def certificate_covers(subject: str, identity: DeviceIdentity) -> bool:
    """Whether a certificate's subject (RFC 4514, or `/CN=…/O=…`) names that device: its common name is the serial
    number, OUI-serial number or the device id (TR-069 A6 §3.4.5 leaves it to the operator)."""
    names = {identity.serial_number, f"{identity.oui}-{identity.serial_number}", identity.device_id}
    return common_name(subject) in names


def common_name(subject: str) -> str | None:
    """The CN of a subject; None when it has none, or more than one."""
    separator = "/" if subject.startswith("/") else ","
    found = [
        value.strip()
        for part in subject[:1024].split(separator)
        for name, equals, value in (part.strip().partition("="),)
        if equals and name.strip().upper() == "CN"
    ]
    return found[0] if len(found) == 1 else None
