"""Where a connection request may go: the URL is the CPE's, and must not become a way into our own network. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
URL_MOST = 1024
_NAT64 = IPv6Network("64:ff9b::/96")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\.?")
_PRINTABLE = re.compile(r"[!-~]*")


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

    def check(self, address: Address) -> None:
        """Raise Forbidden unless a request may go to this address."""
        meant = _meant(address)
        if any(_in(each, self.deny) for each in meant):
            raise Forbidden(f"{address} is denied by acs.connection_request_deny")
        if all(_in(each, self.allow) for each in meant):
            return
        for each in meant:
            if each in self.own:
                raise Forbidden(f"{address} is this host's own address")
            if reason := _unfit(each):
                raise Forbidden(f"{address} is {reason}; acs.connection_request_allow would allow it")


def parse_url(url: str) -> Target:
    """Take a ConnectionRequestURL apart. Raises Forbidden for all but a plain http or https URL."""
    if len(url) > URL_MOST or not _PRINTABLE.fullmatch(url):
        raise Forbidden("the ConnectionRequestURL is too long, or has characters that no URL has")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise Forbidden("the ConnectionRequestURL cannot be read") from exc
    if parts.scheme not in ("http", "https"):
        raise Forbidden("the ConnectionRequestURL is neither http nor https")
    if parts.username is not None or parts.password is not None:
        raise Forbidden("the ConnectionRequestURL has a user name in it")
    host = parts.hostname or ""
    if not (_HOST.fullmatch(host) or _literal(host) is not None):
        raise Forbidden("the ConnectionRequestURL names no host")
    if port == 0:
        raise Forbidden("the ConnectionRequestURL has TCP port 0")
    secure = parts.scheme == "https"
    path = parts.path or "/"
    return Target(
        secure=secure,
        host=host,
        tcp_port=port or (443 if secure else 80),
        path=f"{path}?{parts.query}" if parts.query else path,
    )


def choose(addresses: Iterable[Address], policy: Policy) -> Address:
    """The first of a host's addresses, if all of them may be asked: a name that also leads inside is a trap.

    Raises Forbidden."""
    found = list(addresses)
    if not found:
        raise Forbidden("the host of the ConnectionRequestURL has no address")
    for address in found:
        policy.check(address)
    return found[0]


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _meant(address: Address) -> tuple[Address, ...]:
    """The address, and the IPv4 address that it stands for by mapping, 6to4, Teredo or NAT64."""
    if isinstance(address, IPv4Address):
        return (address,)
    inner: list[Address] = []
    if address.ipv4_mapped is not None:
        inner.append(address.ipv4_mapped)
    if address.sixtofour is not None:
        inner.append(address.sixtofour)
    if address.teredo is not None:
        inner.append(address.teredo[1])
    if address in _NAT64 or int(address) >> 32 == 0:
        inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return (address, *inner)


def _unfit(address: Address) -> str | None:
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_unspecified:
        return "no address of a host"
    if isinstance(address, IPv4Address) and (address == IPv4Address("255.255.255.255") or address in _THIS_NETWORK):
        return "no address of a host"
    return None


_THIS_NETWORK = IPv4Network("0.0.0.0/8")


def _in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)
