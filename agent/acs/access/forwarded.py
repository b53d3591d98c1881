"""The CPE's address when a reverse proxy stands between (RFC 7239, and X-Forwarded-For)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

HEADER_MOST = 2048
Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
_PAIR = re.compile(r'\s*(?:([A-Za-z0-9_-]{1,32})=(?:"((?:[^"\\]|\\.)*)"|([^",;\s]*)))?\s*([;,]|$)')


def peer_of(remote: str, forwarded: str, x_forwarded_for: str, trusted: Sequence[Network]) -> str | None:
    """The address that a request comes from: the last one on its way that is not a trusted proxy's.

    What an untrusted sender writes into the headers is not looked at. A proxy writes one of the two headers, and may
    let the other pass as the sender made it up: when they do not agree, the proxy is all we know."""
    address = parse_address(remote)
    if address is None or not _in(address, trusted):
        return None if address is None else str(address)
    ways = [hops for hops in (_hops_of_forwarded(forwarded), _hops_of_x(x_forwarded_for)) if hops]
    found = {_walk(address, hops, trusted) for hops in ways}
    return str(found.pop() if len(found) == 1 else address)


def _walk(address: Address, hops: list[str], trusted: Sequence[Network]) -> Address:
    for text in reversed(hops):
        hop = parse_address(text)
        if hop is None:
            break  # obfuscated, or nonsense: the proxy that wrote it is all we know
        address = hop
        if not _in(hop, trusted):
            break
    return address


def parse_address(text: str) -> Address | None:
    """An address with or without brackets and TCP port; an IPv4 address inside IPv6 becomes itself."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _hops_of_x(header: str) -> list[str]:
    return [hop for hop in header[-HEADER_MOST:].split(",") if hop.strip()]


def _hops_of_forwarded(header: str) -> list[str]:
    """The `for` of each element, empty where there is none; nothing but one empty text when the header is malformed:
    behind a quotation mark that is never closed, or inside a quoted Host, any text could stand."""
    hops, current, position = [], "", 0
    if len(header) > HEADER_MOST:
        return [""]
    while position < len(header):
        found = _PAIR.match(header, position)
        if found is None:
            return [""]
        name, quoted, token, end = found.groups()
        if name is not None and name.lower() == "for":
            current = token if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        position = found.end()
        if end != ";":
            hops.append(current)
            current = ""
    return hops


def _in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)
