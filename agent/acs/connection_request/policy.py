"""Where a connection request may go: the URL is the CPE's, and must not become a way into our own network. Pure.

The host's name is resolved once, all its addresses are checked here, and the request goes to an address that was
checked: a name that leads elsewhere a moment later changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
URL_MOST = 1024
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\.?\Z){_LABEL}(?:\.{_LABEL})*\.?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_PRINTABLE = re.compile(r"[!-~]*")

_NO_HOST = (IPv4Network("0.0.0.0/8"), IPv4Network("240.0.0.0/4"))
_METADATA: frozenset[Address] = frozenset(
    ip_address(text) for text in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
)
# The last 32 bits are an IPv4 address: IPv4-compatible (RFC 4291 §2.5.5.1), IPv4-translated (RFC 2765 §2.1),
# NAT64 (RFC 6052 §2.1 and RFC 8215).
_ENDS_IN_IPV4 = (
    IPv6Network("::/96"),
    IPv6Network("::ffff:0:0:0/96"),
    IPv6Network("64:ff9b::/96"),
    IPv6Network("64:ff9b:1::/48"),
)
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_ISATAP = (0x00005EFE, 0x02005EFE)


class Forbidden(Exception):
    """The request must not be sent; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a URL names."""

    secure: bool
    host: str
    """A name, or an address without brackets."""
    tcp_port: int
    path: str
    """Path and query, at least `/`."""

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.tcp_port == (443 if self.secure else 80) else f"{host}:{self.tcp_port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator allows besides the rules that always hold."""

    allow: tuple[Network, ...] = ()
    """Networks that may be asked although they are loopback, link-local or this host's own."""
    deny: tuple[Network, ...] = ()
    own: tuple[Address, ...] = ()
    """Addresses of this host."""
    denied_tcp_ports: frozenset[int] = frozenset()
    basic_allowed: bool = False
    """Give a CPE that asks by Basic our password, as it is."""
    verify_tls: bool = False
    """Want a certificate of a known authority. Most CPEs have made theirs themselves, so it is off by default."""
    settings: str = "acs.connection_request"
    """What the operator's settings begin with, for messages: `…_allow` and `…_deny`."""

    def check(self, address: Address) -> None:
        """Raise Forbidden unless a request may go to this address."""
        meant = tuple(_meant(canonical(address)))
        if any(_in(each, self.deny) for each in meant):
            raise Forbidden(f"{address} is denied by {self.settings}_deny")
        own = {canonical(each) for each in self.own}
        for each in meant:
            if _in(each, self.allow):
                continue
            if each in own:
                raise Forbidden(f"{address} is this host's own address")
            if reason := _unfit(each):
                raise Forbidden(f"{address} is {reason}; {self.settings}_allow would allow it")

    def check_tcp_port(self, tcp_port: int) -> None:
        """Raise Forbidden unless a request may go to this TCP port."""
        if not 1 <= tcp_port <= 65_535 or tcp_port in self.denied_tcp_ports:
            raise Forbidden(f"TCP port {tcp_port} is denied")


def parse_url(url: str, what: str = "the ConnectionRequestURL") -> Target:
    """Take a ConnectionRequestURL (or what `what` calls it) apart.

    Raises Forbidden for all but a plain http or https URL.

    An IPv4 address is dotted decimal: every other spelling (`0x7f.1`, `2130706433`, `0177.0.0.1`) is refused, and so
    are scopes of IPv6 addresses, which would only make an address look like another one.
    """
    url = url.strip(" \t\r\n")
    if len(url) > URL_MOST or not _PRINTABLE.fullmatch(url):
        raise Forbidden(f"{what} is too long, or has characters that no URL has")
    if "\\" in url or "#" in url:
        raise Forbidden(f"{what} has a backslash or a fragment in it")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise Forbidden(f"{what} cannot be read") from exc
    if parts.scheme not in ("http", "https"):
        raise Forbidden(f"{what} is neither http nor https")
    if "@" in parts.netloc:
        raise Forbidden(f"{what} has a user name in it")
    if port == 0:
        raise Forbidden(f"{what} has TCP port 0")
    secure = parts.scheme == "https"
    path = parts.path or "/"
    return Target(
        secure=secure,
        host=_checked_host(parts.hostname or "", what),
        tcp_port=port or (443 if secure else 80),
        path=f"{path}?{parts.query}" if parts.query else path,
    )


def literal_address(host: str) -> Address | None:
    """The address that a host is; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def canonical(address: Address) -> Address:
    """The address that a connection really goes to: an IPv4 address mapped into IPv6 is itself, a scope is dropped."""
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


def permitted(addresses: Iterable[Address], policy: Policy) -> tuple[Address, ...]:
    """A host's addresses, each once, if all of them may be asked: a name that also leads inside is a trap.

    Raises Forbidden."""
    found = tuple(dict.fromkeys(canonical(address) for address in addresses))
    if not found:
        raise Forbidden("the host has no address")
    for address in found:
        policy.check(address)
    return found


def choose(addresses: Iterable[Address], policy: Policy) -> Address:
    """The first of `permitted`. Raises Forbidden."""
    return permitted(addresses, policy)[0]


def _checked_host(host: str, what: str) -> str:
    bare = host.removesuffix(".")
    address = literal_address(bare)
    if address is not None:
        if "%" in bare:
            raise Forbidden(f"{what} has an address with a scope")
        return bare
    if not _HOST.fullmatch(host):
        raise Forbidden(f"{what} names no host")
    # What ends in a number is taken for an address by the resolver, in ways that are its own (inet_aton).
    if _NUMBER.fullmatch(bare.rpartition(".")[2]):
        raise Forbidden(f"{what} has an IPv4 address that is not four decimal numbers")
    return host


def _meant(address: Address) -> Iterator[Address]:
    """The address, and the IPv4 addresses that it may stand for behind a translator or a tunnel."""
    yield address
    if isinstance(address, IPv4Address):
        return
    number = int(address)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if number <= 1:
        return  # `::` and `::1` are themselves
    if any(address in network for network in _ENDS_IN_IPV4) or (number >> 32) & 0xFFFFFFFF in _ISATAP:
        yield IPv4Address(number & 0xFFFFFFFF)
    if address in _LOCAL_NAT64:
        # RFC 6052 §2.2, a prefix of 48 bits: the bits 64 to 71 are skipped.
        yield IPv4Address((number >> 64 & 0xFFFF) << 16 | (number >> 40 & 0xFFFF))


def _unfit(address: Address) -> str | None:
    if address in _METADATA:
        return "a cloud's metadata service"
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_unspecified or _in(address, _NO_HOST):
        return "no address of a host"
    return None


def _in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)
