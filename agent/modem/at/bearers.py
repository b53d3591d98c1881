"""`+CGPADDR` (3GPP TS 27.007 §10.1.14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from agent.core.errors import ProtocolError
from agent.modem.at.fields import all_parameters, decimal, values
from agent.modem.model import Address

_IPV6_OCTETS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextAddresses:
    """The addresses of one PDP context; empty when it has none (`0.0.0.0`)."""

    context_id: int
    addresses: tuple[Address, ...]


def parse_addresses(lines: Sequence[str]) -> tuple[ContextAddresses, ...]:
    """The answer to `AT+CGPADDR`: one line per context, IPv6 in 16 dotted octets or with colons."""
    result: list[ContextAddresses] = []
    for parameters in all_parameters(lines, "CGPADDR"):
        context_id, *rest = values(parameters)
        texts = [text.strip() for field in rest for text in field.split(",") if text.strip()]
        addresses = tuple(address for text in texts if not (address := _parse_address(text)).is_unspecified)
        result.append(ContextAddresses(context_id=decimal(context_id, "<cid>"), addresses=addresses))
    return tuple(result)


def _parse_address(text: str) -> Address:
    try:
        octets = text.split(".")
        if len(octets) == _IPV6_OCTETS:
            return IPv6Address(bytes(int(octet) for octet in octets))
        return IPv4Address(text) if len(octets) == 4 else ip_address(text)
    except ValueError as exc:
        raise ProtocolError("not an address", text) from exc
