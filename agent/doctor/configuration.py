"""The settings: whether they can be used, and what they open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from agent.doctor.findings import AS_ROOT, Finding, Findings, failure, hint, listed, ok, unknown, warning


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationFacts:
    """The settings as they were read, and what their "auto" addresses are now."""

    problems: tuple[str, ...]
    """Mistakes: with any, everything else was judged by the defaults."""
    readable: bool
    """Whether this user may read all of the files."""
    warnings: tuple[str, ...]
    listen: str | None
    allow: tuple[str, ...]
    address_error: str
    """Why `listen` is None; empty when it was not asked for."""
    has_users: bool
    own_addresses: tuple[str, ...]
    web_listen: str


def judge_configuration(facts: ConfigurationFacts) -> Findings:
    """settings.valid, settings.listen, settings.open, settings.web, settings.secrets"""
    if facts.problems and not facts.readable:
        return (
            unknown(
                "settings.valid", "the settings may not be read by this user; the other checks use defaults", AS_ROOT
            ),
        )
    if facts.problems:
        more = f" (and {len(facts.problems) - 1} more mistakes)" if len(facts.problems) > 1 else ""
        return (
            failure(
                "settings.valid",
                f"{facts.problems[0]}{more}; the other checks use the defaults",
                "lastmile config check lists all mistakes",
            ),
            *_loose(facts),
        )
    return (ok("settings.valid", "the settings are good"), *_loose(facts), *_proxy(facts), *_web(facts))


def _loose(facts: ConfigurationFacts) -> Iterator[Finding]:
    for text in facts.warnings:
        path = text.partition(":")[0]
        yield warning("settings.permissions", text, f"chown root:lastmile {path} && chmod 0640 {path}")


def _proxy(facts: ConfigurationFacts) -> Iterator[Finding]:
    if facts.listen is None:
        yield warning(
            "settings.listen",
            f"proxies cannot start yet: {facts.address_error}",
            "name an address of this host (ip -br address) in proxy.listen, and the clients' networks in proxy.allow",
        )
        return
    listen = ip_address(facts.listen)
    if not listen.is_unspecified and facts.listen not in facts.own_addresses:
        yield failure(
            "settings.listen", f"proxy.listen {listen} is no address of this host", "ip -br address; then correct it"
        )
    else:
        yield ok("settings.listen", f"proxies listen on {listen}, for {listed(facts.allow, 3)}")
    open_to_all = [network for network in facts.allow if ip_network(network).prefixlen == 0]
    if open_to_all and not facts.has_users:
        yield failure(
            "settings.open",
            f"proxy.allow has {listed(open_to_all)}, and there are no proxy.users: open proxies for everybody",
            "name the clients' networks in proxy.allow, or add proxy.users",
        )
    elif not listen.is_private and not listen.is_unspecified and not facts.has_users:
        yield hint(
            "settings.open",
            f"proxies listen on the public address {listen} without proxy.users, for {listed(facts.allow, 3)}",
            "add proxy.users when clients come from elsewhere",
        )


def _web(facts: ConfigurationFacts) -> Iterator[Finding]:
    listen = ip_address(facts.web_listen)
    if not listen.is_loopback and not listen.is_unspecified and facts.web_listen not in facts.own_addresses:
        yield failure(
            "settings.web", f"web.listen {listen} is no address of this host", "ip -br address; then correct it"
        )
    elif not listen.is_loopback:
        yield hint(
            "settings.web",
            f"the API listens on {listen} without TLS: tokens go in the clear",
            "set web.listen to 127.0.0.1 and put a reverse proxy with TLS before it",
        )
