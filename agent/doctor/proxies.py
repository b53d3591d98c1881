"""What the proxies need of the host: free TCP ports, free uids, a readable configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.doctor.findings import AS_ROOT, Finding, Findings, failure, hint, listed, number, ok, unknown, warning

ACCOUNT_PREFIX = "lastmile-proxy-"
FOREIGN_RANGES = (
    (range(1000, 60_000), "the machine's ordinary users"),
    (range(60_001, 60_514), "systemd-homed's users"),
    (range(61_184, 65_520), "systemd's dynamic users"),
    (range(65_534, 65_536), "nobody"),
    (range(524_288, 1_879_048_192), "systemd-nspawn's containers"),
)
"""UIDS-GIDS of systemd, and Debian policy §9.2.2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A TCP port of ours that a socket listens on."""

    tcp_port: int
    address: str
    uid: int
    processes: tuple[str, ...]
    """`name (process 1)`; empty: whose it is cannot be seen."""
    ours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PortFacts:
    """Listening sockets on the proxies' and the web's TCP ports."""

    proxy_ports: tuple[int, int]
    web_port: int
    taken: tuple[Taken, ...]
    complete: bool
    """Whether every process could be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UidFacts:
    """Accounts and ranges that meet the proxies' uids."""

    uids: range
    accounts: tuple[tuple[int, str], ...]
    """(uid, name) of the accounts within the range."""
    subordinate: tuple[tuple[str, int, int], ...]
    """(owner, first, count) of /etc/subuid and /etc/subgid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDirFacts:
    """The folder of the proxies' configurations; None: it may not be looked at."""

    path: str
    exists: bool
    closed_at: str | None
    """The first folder on the way that an ordinary uid may not pass."""
    writable_by_others: tuple[str, ...]
    readable_by_all: tuple[str, ...]
    """Configurations with passwords that everybody may read."""
    files: int
    visible: bool


def judge_ports(facts: PortFacts) -> Findings:
    """tcp.proxies, tcp.web, tcp.overlap"""
    first, last = facts.proxy_ports
    proxies = [each for each in facts.taken if first <= each.tcp_port <= last and each.tcp_port != facts.web_port]
    web = [each for each in facts.taken if each.tcp_port == facts.web_port]
    overlap = first <= facts.web_port <= last
    return (
        *_taken("tcp.proxies", proxies, f"TCP ports {first} to {last}", "proxy.tcp_port_first", facts.complete),
        *_taken("tcp.web", web, f"TCP port {facts.web_port}", "web.tcp_port", facts.complete),
        *(
            [
                failure(
                    "tcp.overlap", f"web.tcp_port {facts.web_port} is one of the proxies'", "set web.tcp_port outside"
                )
            ]
            if overlap
            else []
        ),
    )


def _taken(name: str, taken: list[Taken], what: str, setting: str, complete: bool) -> Iterator[Finding]:
    foreign = [each for each in taken if not each.ours and each.processes]
    unclear = [each for each in taken if not each.ours and not each.processes]
    for each in foreign:
        yield failure(
            name,
            f"{listed(each.processes)} listens on {each.address}, TCP port {each.tcp_port}",
            f"ss -Hltnp 'sport = :{each.tcp_port}'; stop it, or set {setting} to others",
        )
    for each in unclear:
        text = f"a process of uid {each.uid} listens on {each.address}, TCP port {each.tcp_port}"
        if complete:
            # Everything was looked at and nobody holds it here: another mount or PID namespace, such as a container.
            yield failure(name, f"{text}: in a container", f"stop it, or set {setting} to others")
        else:
            yield unknown(name, text, AS_ROOT)
    if not foreign and not unclear:
        ours = len({each.tcp_port for each in taken})
        yield ok(name, f"{what}: nobody else listens" + (f"; {ours} in use by lastmile" if ours else ""))


def judge_uids(facts: UidFacts) -> Findings:
    """proxy.uids"""
    return tuple(_uids(facts))


def _uids(facts: UidFacts) -> Iterator[Finding]:
    uids = facts.uids
    what = f"proxies' uids {uids.start} to {uids.stop - 1}"
    accounts = [(uid, name) for uid, name in facts.accounts if not name.startswith(ACCOUNT_PREFIX)]
    fine = True
    if accounts:
        fine = False
        yield failure(
            "proxy.uids",
            f"accounts lie within the {what}: {listed(f'{name} ({uid})' for uid, name in accounts)}; "
            "their traffic would leave by a modem",
            "set proxy.uid_first to a range without accounts, before the first modem is plugged in",
        )
    for owner, first, count in facts.subordinate:
        if first < uids.stop and first + count > uids.start:
            fine = False
            yield warning(
                "proxy.subuids",
                f"containers of {owner} may use {first} to {first + count - 1} (/etc/subuid), which meets the {what}",
                "set proxy.uid_first to a range that /etc/subuid and /etc/subgid do not name",
            )
            break
    for foreign, owner in FOREIGN_RANGES:
        if foreign.start < uids.stop and foreign.stop > uids.start:
            fine = False
            yield warning(
                "proxy.uid_range",
                f"the {what} meet those of {owner} ({foreign.start} to {foreign.stop - 1})",
                "set proxy.uid_first to a free range, such as 70000",
            )
    if fine:
        yield ok("proxy.uids", f"the {what} are nobody else's")


def judge_config_dir(facts: ConfigDirFacts) -> Findings:
    """proxy.config_dir"""
    return tuple(_config_dir(facts))


def _config_dir(facts: ConfigDirFacts) -> Iterator[Finding]:
    name = "proxy.config_dir"
    if facts.closed_at is not None:
        yield failure(
            name,
            f"{facts.closed_at} is closed to the proxies' uids: 3proxy cannot read its configuration",
            f"chmod o+x {facts.closed_at}",
        )
    elif facts.writable_by_others:
        bad = facts.writable_by_others
        yield failure(name, f"others than root may write {listed(bad)}", f"chown root {bad[0]} && chmod go-w {bad[0]}")
    elif facts.readable_by_all:
        bad = facts.readable_by_all
        yield warning(name, f"everybody may read the passwords in {listed(bad, 2)}", f"chmod 0640 {bad[0]}")
    elif not facts.exists:
        yield hint(name, f"{facts.path} is not there; the agent makes it with the first modem")
    elif not facts.visible:
        yield unknown(name, f"what is in {facts.path}", AS_ROOT)
    else:
        yield ok(name, f"{facts.path} holds {number(facts.files, 'configuration')}, and its modes are right")
