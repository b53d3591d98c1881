"""The part of 3proxy's configuration language that this product writes, as typed values (3proxy.cfg(5)); pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class AuthType(StrEnum):
    """Who is let in: `auth`."""

    IP_ONLY = "iponly"
    STRONG = "strong"


class Verdict(StrEnum):
    """What an access rule decides."""

    ALLOW = "allow"
    DENY = "deny"


class Operation(StrEnum):
    """Operations of an access rule. BIND, FTP and ADMIN are left out on purpose: they open listeners or
    connections that no destination list governs."""

    CONNECT = "CONNECT"
    UDP_ASSOCIATE = "UDPASSOC"
    HTTP = "HTTP"
    HTTPS = "HTTPS"


class PasswordKind(StrEnum):
    """How a password is written in `users`."""

    CLEAR = "CL"
    CRYPT = "CR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """`log`: to standard output."""

    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFormat:
    """`logformat "…"`"""

    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Nameserver:
    """`nserver ADDRESS`, asked on port 53 over UDP."""

    line: int
    address: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class NameCache:
    """`nscache` and `nscache6`: records kept per family (4 or 6)."""

    line: int
    family: int
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """`timeouts`: seconds, in 3proxy's order."""

    line: int
    seconds: tuple[int, ...]

    @property
    def string_short_seconds(self) -> int:
        return self.seconds[2]

    @property
    def string_long_seconds(self) -> int:
        return self.seconds[3]

    @property
    def connection_long_seconds(self) -> int:
        return self.seconds[5]

    @property
    def dns_seconds(self) -> int:
        return self.seconds[6]

    @property
    def connect_seconds(self) -> int:
        return self.seconds[8]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaximumConnections:
    """`maxconn`"""

    line: int
    connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """`auth iponly` or `auth strong`"""

    line: int
    type: AuthType


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """`users "NAME:CL:PASSWORD"`, one to a line; `secret` may be empty here, and is a hazard then."""

    line: int
    name: str
    kind: PasswordKind
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRule:
    """`allow` or `deny` USERS SOURCES TARGETS PORTS OPERATIONS; empty means any. PORTS is always `*`."""

    line: int
    verdict: Verdict
    users: tuple[str, ...] = ()
    sources: tuple[Network, ...] = ()
    targets: tuple[Network, ...] = ()
    operations: frozenset[Operation] = frozenset()

    @property
    def denies_all(self) -> bool:
        return self.verdict is Verdict.DENY and not (self.users or self.sources or self.targets or self.operations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """`auto`: HTTP, CONNECT, SOCKS4 and SOCKS5 on one TCP port."""

    line: int
    listen: Address | None
    tcp_port: int | None
    anonymous: bool
    """`-a`: no `Forwarded` header."""
    both_families: bool
    """`-46`: names resolve to IPv4, or to IPv6 where there is no IPv4."""


Directive = (
    Log | LogFormat | Nameserver | NameCache | Timeouts | MaximumConnections | Auth | User | AccessRule | Service
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Fault:
    """Why a line is refused; lines count from 1."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"
