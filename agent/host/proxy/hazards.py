"""Whether a proxy's configuration would open the proxy, or the host behind it, to anyone it should not. Pure.

3proxy has no check of its own, and most slips in its configuration open it instead of stopping it. A text that has
any hazard is not written to disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network
from typing import TypeVar

from agent.core.errors import ConfigError
from agent.host.proxy.directives import (
    AccessRule,
    Auth,
    AuthType,
    Directive,
    Fault,
    Log,
    LogFormat,
    MaximumConnections,
    NameCache,
    Nameserver,
    Network,
    Operation,
    PasswordKind,
    Service,
    Timeouts,
    User,
    Verdict,
)
from agent.host.proxy.parser import read_directives

DENIED_NETWORKS: tuple[Network, ...] = tuple(
    ip_network(each)
    for each in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",
        "::ffff:0:0/96",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
    )
)
"""Destinations that no modem's client may reach: this host, its networks, the modem's own web page, multicast."""

LOG_FORMAT_FILTER = '-"\\+_G'
"""What a log format starts with: `"` and `\\` in what clients send become `_`, so that a record stays one record."""

MOST_NAMESERVERS = 5
"""3proxy ignores what comes after the fifth."""

_WIDEST_PREFIX = {4: 8, 6: 7}
_ORDER: tuple[type[Directive], ...] = (
    Log,
    LogFormat,
    Nameserver,
    NameCache,
    Timeouts,
    MaximumConnections,
    Auth,
    User,
    AccessRule,
    Service,
)
_ONCE = (Log, LogFormat, Timeouts, MaximumConnections, Auth, Service)
_Kind = TypeVar("_Kind", bound=Directive)


def find_hazards(text: str, must_deny: Iterable[Network] = ()) -> tuple[Fault, ...]:
    """Everything in `text` that would open the proxy or that is not understood, by line.

    `must_deny`: destinations that must be denied besides the built-in list and the address it listens on.
    """
    directives, faults = read_directives(text)
    end = text.count("\n") + 1
    found = [
        *faults,
        *_order(directives),
        *_resolving(directives, end),
        *_logging(directives, end),
        *_authentication(directives, end),
        *_users(directives),
        *_clients(directives, end),
        *_destinations(directives, end, must_deny),
        *_service(directives),
    ]
    return tuple(sorted(set(found)))


def refuse_hazards(text: str, must_deny: Iterable[Network] = ()) -> None:
    """Raise ConfigError that names every line with a hazard, and why."""
    hazards = find_hazards(text, must_deny)
    if hazards:
        raise ConfigError("refused 3proxy configuration: " + "; ".join(str(hazard) for hazard in hazards))


def _all(directives: Sequence[Directive], kind: type[_Kind]) -> list[_Kind]:
    return [each for each in directives if isinstance(each, kind)]


def _order(directives: Sequence[Directive], /) -> Iterator[Fault]:
    latest = -1
    for each in directives:
        rank = _ORDER.index(type(each))
        if rank < latest:
            name = type(each).__name__
            yield Fault(line=each.line, reason=f"{name} comes after {_ORDER[latest].__name__}, where it has no effect")
        latest = max(latest, rank)
    for kind in _ONCE:
        for again in _all(directives, kind)[1:]:
            yield Fault(line=again.line, reason=f"{kind.__name__} is given twice")


def _resolving(directives: Sequence[Directive], end: int) -> Iterator[Fault]:
    nameservers = _all(directives, Nameserver)
    if not nameservers:
        yield Fault(line=end, reason="no nserver: names would be asked of the host's resolver, over the uplink")
    for each in nameservers[MOST_NAMESERVERS:]:
        yield Fault(line=each.line, reason=f"more than {MOST_NAMESERVERS} nserver lines")
    for each in nameservers:
        if each.address.is_loopback or each.address.is_unspecified:
            yield Fault(line=each.line, reason="the resolver is the host's own: names would leave by the uplink")


def _logging(directives: Sequence[Directive], end: int) -> Iterator[Fault]:
    if not _all(directives, Log) or not _all(directives, LogFormat):
        yield Fault(line=end, reason="no log and logformat: what clients do would not be recorded")
    for each in _all(directives, LogFormat):
        if not each.text.startswith(LOG_FORMAT_FILTER):
            yield Fault(line=each.line, reason="the log format does not filter what clients send")


def _authentication(directives: Sequence[Directive], end: int) -> Iterator[Fault]:
    auths, users = _all(directives, Auth), _all(directives, User)
    if not auths:
        yield Fault(line=end, reason="no auth line: everybody is let in")
    for each in auths:
        if each.type is AuthType.STRONG and not users:
            yield Fault(line=each.line, reason="auth strong without a user: nobody is let in")
        if each.type is AuthType.IP_ONLY and users:
            yield Fault(line=each.line, reason="there are users, but auth iponly never asks for a password")


def _users(directives: Sequence[Directive]) -> Iterator[Fault]:
    names: set[str] = set()
    for each in _all(directives, User):
        if each.name in names:
            yield Fault(line=each.line, reason=f"user {each.name!r} is given twice")
        names.add(each.name)
        if not each.secret:
            yield Fault(line=each.line, reason=f"user {each.name!r} has an empty password")
        elif each.kind is PasswordKind.CRYPT and not each.secret.startswith(("$1$", "$3$")):
            yield Fault(line=each.line, reason=f"the hash of {each.name!r} is of a kind that never matches")


def _clients(directives: Sequence[Directive], end: int) -> Iterator[Fault]:
    allows = [each for each in _all(directives, AccessRule) if each.verdict is Verdict.ALLOW]
    users = {each.name for each in _all(directives, User)}
    if not allows:
        yield Fault(line=end, reason="no allow: nobody is let in, and with no rule at all everybody")
    for each in allows:
        for network in each.sources:
            if network.prefixlen < _WIDEST_PREFIX[network.version]:
                yield Fault(line=each.line, reason=f"clients from {network}: wider than any local network")
        if not each.sources:
            yield Fault(line=each.line, reason="clients from everywhere are allowed")
        if not each.operations:
            yield Fault(line=each.line, reason=f"every operation is allowed, not only {', '.join(Operation)}")
        if each.targets:
            yield Fault(line=each.line, reason="an allow by destination is not written by lastmile")
        if set(each.users) != users:
            yield Fault(line=each.line, reason="the users that are allowed are not the users that are known")


def _destinations(directives: Sequence[Directive], end: int, must_deny: Iterable[Network]) -> Iterator[Fault]:
    rules = _all(directives, AccessRule)
    denied: list[Network] = []
    for position, rule in enumerate(rules):
        if rule.verdict is Verdict.ALLOW:
            break
        if rule.users or rule.sources or rule.operations:
            yield Fault(line=rule.line, reason="a deny that some clients escape is not written by lastmile")
            continue
        if rule.denies_all and position != len(rules) - 1:
            yield Fault(line=rule.line, reason="nothing after this line is ever asked")
        denied.extend(rule.targets)
    allow_seen = False
    for rule in rules:
        allow_seen = allow_seen or rule.verdict is Verdict.ALLOW
        if allow_seen and rule.verdict is Verdict.DENY and not rule.denies_all:
            yield Fault(line=rule.line, reason="a deny after an allow comes too late")
    if rules and not rules[-1].denies_all:
        yield Fault(line=rules[-1].line, reason="the last rule is not 'deny *'")
    own = [ip_network(each.listen) for each in _all(directives, Service) if each.listen is not None]
    for network in (*DENIED_NETWORKS, *must_deny, *own):
        if not _covered(network, denied):
            yield Fault(line=end, reason=f"destination {network} is not denied before the first allow")


def _covered(network: Network, by: Iterable[Network]) -> bool:
    return any(
        network.version == each.version and network.network_address in each and network.prefixlen >= each.prefixlen
        for each in by
    )


def _service(directives: Sequence[Directive]) -> Iterator[Fault]:
    services = _all(directives, Service)
    if not services:
        yield Fault(line=1, reason="no service")
    for each in services:
        if each.listen is None:
            yield Fault(line=each.line, reason="no -i: it would listen on every address, the modem's too")
        elif each.listen.is_unspecified or each.listen.is_multicast:
            yield Fault(line=each.line, reason=f"it would listen on every address ({each.listen})")
        if each.tcp_port is None:
            yield Fault(line=each.line, reason="no -p: it would listen on 3proxy's own default port")
        if not each.anonymous:
            yield Fault(line=each.line, reason="no -a: the client's address would be told to the server")
        if not each.both_families:
            yield Fault(line=each.line, reason="no -46: names would resolve to one address family only")
