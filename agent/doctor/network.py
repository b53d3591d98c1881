"""Kernel switches of the network: the reverse path filter, what lastmile's sysctl.d file wants, ephemeral TCP ports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.doctor.findings import Finding, Findings, hint, listed, ok, warning

STRICT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFilter:
    """rp_filter of a modem's link."""

    link: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A line of lastmile's sysctl.d file; `actual` None: the kernel does not have it (here)."""

    file: str
    name: str
    """As `sysctl` writes it, with dots."""
    wanted: str
    actual: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFacts:
    """Of this network namespace."""

    filter_of_all: int
    filter_of_default: int
    filters: tuple[LinkFilter, ...]
    switches: tuple[Switch, ...]
    switch_files: tuple[str, ...]
    ephemeral: tuple[int, int] | None
    """First and last TCP port that the kernel gives to connections."""
    reserved: tuple[tuple[int, int], ...]
    proxy_ports: tuple[int, int]
    agent_runs: bool


def judge_network(facts: NetworkFacts) -> Findings:
    """net.rp_filter, net.sysctl, net.ephemeral_ports"""
    return (_reverse_path_filter(facts), *_switches(facts), _ephemeral(facts))


def _reverse_path_filter(facts: NetworkFacts) -> Finding:
    name = "net.rp_filter"
    # The kernel takes the greater number of the link's and that of all; 2 is loose.
    strict = [each.link for each in facts.filters if max(each.value, facts.filter_of_all) == STRICT]
    if strict:
        return warning(
            name,
            f"the reverse path filter of {listed(strict)} is strict: every answer is dropped",
            f"sysctl -w net.ipv4.conf.{strict[0]}.rp_filter=2; the running agent does it at its next look"
            + ("" if facts.agent_runs else ": systemctl start lastmile-agent"),
        )
    return ok(
        name,
        f"reverse path filter: all={facts.filter_of_all}, default={facts.filter_of_default}; no modem's link is strict",
    )


def _switches(facts: NetworkFacts) -> Iterator[Finding]:
    name = "net.sysctl"
    if not facts.switch_files:
        yield hint(
            name, "lastmile's sysctl.d file is not installed", "apt install --reinstall lastmile && sysctl --system"
        )
        return
    different = [
        each for each in facts.switches if each.actual is not None and not same_value(each.wanted, each.actual)
    ]
    if different:
        first = different[0]
        names = listed(f"{each.name}={each.actual} (wanted: {each.wanted})" for each in different)
        yield warning(name, f"kernel switches differ from {first.file}: {names}", f"sysctl -p {first.file}")
        return
    absent = [each.name for each in facts.switches if each.actual is None]
    more = f"; not in this kernel or container: {listed(absent, 3)}" if absent else ""
    yield ok(name, f"kernel switches are as {listed(facts.switch_files)} wants them{more}")


def same_value(wanted: str, actual: str) -> bool:
    """Whether two values of a switch are one: lists are separated by any white space."""
    return wanted.split() == actual.split()


def _ephemeral(facts: NetworkFacts) -> Finding:
    name = "net.ephemeral_ports"
    first, last = facts.proxy_ports
    if facts.ephemeral is None:
        return ok(name, "the kernel has no range of ephemeral TCP ports here")
    low, high = facts.ephemeral
    shared = [
        port
        for port in range(max(first, low), min(last, high) + 1)
        if not any(start <= port <= end for start, end in facts.reserved)
    ]
    if not shared:
        return ok(name, f"ephemeral TCP ports ({low} to {high}) are none of the proxies' ({first} to {last})")
    return warning(
        name,
        f"the kernel may take {shared[0]} to {shared[-1]} for connections: a proxy may find its TCP port in use",
        f"echo 'net.ipv4.ip_local_reserved_ports={first}-{last}' > /etc/sysctl.d/90-proxies.conf && sysctl --system",
    )
