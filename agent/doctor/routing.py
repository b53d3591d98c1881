"""Rules and tables of others that get in the way of the modems' own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.doctor.findings import Finding, Findings, listed, number, ok, unknown, warning
from agent.modem.routing import HOST_RULE_PRIORITY, MAIN_TABLE, SOURCE_RULE_OFFSET

LOCAL_TABLE = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """A policy rule as the kernel shows it."""

    family: int
    priority: int
    table: int | None
    """None: it does not look in a table (blackhole, goto, …)."""
    first_uid: int | None = None
    last_uid: int | None = None
    source: str | None = None
    """Network, CIDR."""
    suppresses: bool = False
    narrow: bool = False
    """It has a condition that traffic of a proxy does not meet: a mark, an incoming link, a destination, a port, …"""

    def __str__(self) -> str:
        words = [f"{self.priority}:"]
        if self.source is not None:
            words.append(f"from {self.source}")
        if self.first_uid is not None:
            words.append(f"uidrange {self.first_uid}-{self.last_uid}")
        words.append(f"lookup {self.table}" if self.table is not None else "without a table")
        return " ".join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRoutes:
    """The routes of one table."""

    table: int
    links: tuple[str, ...]
    """Links that they go by; `unreachable` routes go by none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingFacts:
    """What the kernel has, and what the modems of this host own."""

    rules: tuple[PolicyRule, ...]
    tables: tuple[TableRoutes, ...]
    """Those within the modems' range."""
    modem_links: frozenset[str]
    uids: range
    table_range: range
    priority: int
    known_uids: frozenset[int] | None
    """uids that were given to modems; None: it is not known (no database and nothing on disk)."""
    known_tables: frozenset[int] | None


def judge_routing(facts: RoutingFacts) -> Findings:
    """net.rules, net.rules_order, net.stale_rules, net.tables"""
    return (*_shadowing(facts), *_host_rule(facts), _stale(facts), *_tables(facts))


def _shadowing(facts: RoutingFacts) -> Iterator[Finding]:
    shadowing = [rule for rule in facts.rules if _is_in_the_way(rule, facts)]
    for rule in shadowing[:3]:
        flag = "-6 " if rule.family == 6 else ""
        where = f"lookup {rule.table}" if rule.table is not None else "its action"
        yield warning(
            "net.rules",
            f"a foreign rule comes before the modems' own ({facts.priority}): {rule}; proxies may leave by it",
            f"give it a priority above {facts.priority + SOURCE_RULE_OFFSET} where it is made "
            f"(ip {flag}rule add pref 10000 … {where}; ip {flag}rule del pref {rule.priority})",
        )
    if not shadowing:
        yield ok("net.rules", f"no foreign rule comes before the modems' own ({facts.priority})")


def _is_in_the_way(rule: PolicyRule, facts: RoutingFacts) -> bool:
    if rule.priority >= facts.priority or rule.narrow:
        return False
    if rule.table == LOCAL_TABLE or (rule.table == MAIN_TABLE and rule.suppresses):
        return False
    if rule.first_uid is None or rule.last_uid is None:
        # A rule for a source: what a proxy sends has no source yet when its route is looked for.
        return rule.source is None
    overlaps = rule.first_uid < facts.uids.stop and rule.last_uid >= facts.uids.start
    return overlaps and rule.table not in facts.table_range


def _host_rule(facts: RoutingFacts) -> Iterator[Finding]:
    with_modems = {rule.family for rule in facts.rules if rule.table in facts.table_range}
    with_host_rule = {
        rule.family
        for rule in facts.rules
        if rule.priority == HOST_RULE_PRIORITY and rule.table == MAIN_TABLE and rule.suppresses
    }
    missing = sorted(with_modems - with_host_rule)
    if missing:
        families = listed(f"IPv{family}" for family in missing)
        yield warning(
            "net.rules_order",
            f"the host's own rule ({HOST_RULE_PRIORITY}: lookup main suppress_prefixlength 0) is missing "
            f"for {families}: proxies cannot answer the LAN",
            "systemctl restart lastmile-agent (proxies keep running)",
        )


def _stale(facts: RoutingFacts) -> Finding:
    name = "net.stale_rules"
    ours = [
        rule
        for rule in facts.rules
        if (rule.first_uid is not None and rule.first_uid == rule.last_uid and rule.first_uid in facts.uids)
        or rule.table in facts.table_range
    ]
    if facts.known_uids is None or facts.known_tables is None:
        if not ours:
            return ok(name, "there is no rule for a modem")
        return unknown(
            name,
            f"whether {number(len(ours), 'rule')} of modems are all of modems that are known: the database is away",
            "run it as root, with the database within reach",
        )
    stale = [
        rule
        for rule in ours
        if (rule.first_uid is not None and rule.first_uid not in facts.known_uids)
        or (rule.first_uid is None and rule.table not in facts.known_tables)
    ]
    if stale:
        return warning(
            name,
            f"rules of modems that are unknown here: {listed(stale, 3)}",
            "systemctl restart lastmile-agent purges them (without an agent: lastmile host clear)",
        )
    return ok(name, f"{number(len(ours), 'rule')}, all of modems of this host")


def _tables(facts: RoutingFacts) -> Iterator[Finding]:
    foreign = [(each.table, link) for each in facts.tables for link in each.links if link not in facts.modem_links]
    if foreign:
        table, link = foreign[0]
        yield warning(
            "net.tables",
            f"somebody else uses tables of the modems' range: {listed((f'{t} by {via}' for t, via in foreign), 3)}",
            f"ip route show table {table}; give the route by {link} another table, or set proxy.table_first",
        )
    else:
        yield ok(
            "net.tables", f"tables {facts.table_range.start} to {facts.table_range.stop - 1} are the modems' alone"
        )
