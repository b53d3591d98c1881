"""The CPE's address when a reverse proxy stands between (RFC 7239, and X-Forwarded-For)."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

HEADER_MOST = 2048
Network = IPv4Network | IPv6Network


def peer_of(remote: str, forwarded: str, x_forwarded_for: str, trusted: Sequence[Network]) -> str | None:
    """The address that a request comes from: the last one on its way that is not a trusted proxy's.

    What an untrusted sender writes into the headers is not looked at."""
    address = parse_address(remote)
    if address is None or not _in(address, trusted):
        return None if address is None else str(address)
    for text in reversed(_hops(forwarded, x_forwarded_for)):
        hop = parse_address(text)
        if hop is None:
            break  # obfuscated, or nonsense: the proxy that wrote it is all we know
        address = hop
        if not _in(hop, trusted):
            break
    return str(address)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
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


def _hops(forwarded: str, x_forwarded_for: str) -> list[str]:
    if not forwarded:
        return [hop for hop in x_forwarded_for[-HEADER_MOST:].split(",") if hop.strip()]
    hops = []
    for element in forwarded[-HEADER_MOST:].split(","):
        pairs = (pair.strip().partition("=") for pair in element.split(";"))
        hops.append(next((value for name, _, value in pairs if name.strip().lower() == "for"), ""))
    return hops


def _in(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)
