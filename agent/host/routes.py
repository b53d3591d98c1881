"""Policy rules and the modems' tables, as the kernel has them.

Rules and routes are deleted by giving the kernel back the very message in which it showed them, so that nothing but
what was observed goes. Additions are made before deletions: between the two, traffic of a modem's uid must never find
itself without a rule, or it would leave by the host's uplink.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from typing import Any

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE
from pyroute2.netlink.rtnl import (
    RTM_DELROUTE,
    RTM_DELRULE,
    RTM_GETROUTE,
    RTM_GETRULE,
    RTM_NEWROUTE,
    RTM_NEWRULE,
)
from pyroute2.netlink.rtnl.fibmsg import FR_ACT_TO_TBL, fibmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from agent.core.errors import TransientError
from agent.host.netlink import FAMILY_OF, HEADER, NetlinkChannel, Request, decode
from agent.host.sysctl import NET, fetch_switch, save_switch
from agent.modem.actions import ApplyRouting
from agent.modem.model import Address, Allocation, Route, RoutingState, Rule
from agent.modem.routing import FAMILIES, host_rules, wanted_reverse_path_filter

NO_LINK = 0
"""`link_index` of a route that is none of ours: not a default route, or of a type or shape that we never make."""
NO_UID = -1
"""`uid` of a rule that is for no single uid, and is not one of the host's own."""
RTN_UNICAST, RTN_UNREACHABLE = 1, 7
RTPROT_STATIC = 4
RTNH_F_ONLINK = 4
SCOPE_GLOBAL, SCOPE_LINK = 0, 253
TABLE_BY_ATTRIBUTE = 252
NO_SUPPRESSION = 0xFFFFFFFF
FIB_RULE_INVERT = 2
_TABLE_BYTE = HEADER.size + 4
_ROUTE_ATTRIBUTES = frozenset(
    {"RTA_TABLE", "RTA_OIF", "RTA_PREFSRC", "RTA_GATEWAY", "RTA_PRIORITY", "RTA_CACHEINFO", "RTA_PREF"}
)
_RULE_ATTRIBUTES = frozenset(
    {"FRA_TABLE", "FRA_PRIORITY", "FRA_PROTOCOL", "FRA_UID_RANGE", "FRA_SRC", "FRA_SUPPRESS_PREFIXLEN"}
)
_ALREADY_THERE = (0, errno.EEXIST)
_ALREADY_GONE = (0, errno.ESRCH, errno.ENOENT, errno.ENODEV)


class NetlinkRouting:
    """`ports.Routing` on the kernel; every method raises TransientError and may be called from any thread."""

    def __init__(self, channel: NetlinkChannel, families: tuple[int, ...] | None = None) -> None:
        """`families`: those the kernel has; None: look."""
        self._channel = channel
        self._families = families if families is not None else kernel_families()
        self._host_wanted = frozenset(rule for rule in host_rules() if rule.family in self._families)

    def observe(self, allocation: Allocation, link_index: int | None) -> RoutingState:
        """All rules for the modem's uid or into its table, and all routes of its table, strays included.

        A stray that the model has no words for comes as a rule with a negative uid (see `_parse_rule`), or as a route
        by `NO_LINK`: never equal to a wanted one, and deleted like any other by `apply`.
        """
        rules = {
            rule
            for rule, _ in self._rules(self._families, _mentions(allocation))
            if rule.uid in (allocation.uid, -allocation.uid) or rule.table == allocation.table
        }
        routes = {route for route, _ in self._routes(self._families, allocation.table)}
        return RoutingState(
            rules=frozenset(rules),
            routes=frozenset(routes),
            families=self._families,
            reverse_path_filter=_reverse_path_filter(link_index) if link_index is not None else None,
            reverse_path_filter_of_all=_reverse_path_filter_of_all(),
        )

    def apply(self, changes: ApplyRouting) -> None:
        """Make all additions, then all deletions; what is there already, or already gone, is no error.

        Every change is tried; the first one that the kernel refused is raised afterwards.
        """
        routes = sorted(changes.add_routes, key=lambda route: -route.metric)
        additions = [_route_request(route) for route in routes]
        additions += [_rule_request(rule) for rule in sorted(changes.add_rules, key=_rule_order)]
        added = self._channel.execute(additions)
        deletions = [*self._rule_deletions(changes.delete_rules), *self._route_deletions(changes.delete_routes)]
        deleted = self._channel.execute(deletions)
        if changes.relax_reverse_path_filter_of is not None:
            _relax_reverse_path_filter(changes.relax_reverse_path_filter_of)
        _check("add a rule or route", added, _ALREADY_THERE)
        _check("delete a rule or route", deleted, _ALREADY_GONE)

    def ensure_host_rules(self) -> bool:
        """Make the host's own rules exist, and see that they do; True when something had to be changed."""
        missing = self._host_wanted - self._host_rules()
        if not missing:
            return False
        codes = self._channel.execute([_rule_request(rule) for rule in sorted(missing, key=_rule_order)])
        _check("add the host's rules", codes, _ALREADY_THERE)
        if not self._host_wanted <= self._host_rules():
            raise TransientError("netlink: the host's rules did not appear")
        return True

    def purge(self, keep: Iterable[Allocation], uids: range, tables: range) -> tuple[Rule, ...]:
        """Delete the rules of uids within `uids`, and the rules and routes of tables within `tables`, that no kept
        allocation has; return the deleted rules. Whatever runs under those uids must have been stopped before."""
        kept = tuple(keep)
        kept_uids, kept_tables = {each.uid for each in kept}, {each.table for each in kept}

        def stale_table(table: int) -> bool:
            return table in tables and table not in kept_tables

        def stale(rule: Rule) -> bool:
            uid = abs(rule.uid) if rule.uid is not None else None
            return (uid in uids and uid not in kept_uids) or stale_table(rule.table)

        purged = [(rule, raw) for rule, raw in self._rules(self._families) if stale(rule)]
        requests = [Request(RTM_DELRULE, 0, raw[HEADER.size :]) for _, raw in purged]
        requests += [
            Request(RTM_DELROUTE, 0, raw[HEADER.size :])
            for route, raw in self._routes(self._families, None)
            if stale_table(route.table)
        ]
        _check("delete a stale rule or route", self._channel.execute(requests), _ALREADY_GONE)
        return tuple(sorted((rule for rule, _ in purged), key=_rule_order))

    def _host_rules(self) -> set[Rule]:
        return {rule for rule, _ in self._rules(self._families)} & host_rules()

    def _rule_deletions(self, stale: frozenset[Rule]) -> list[Request]:
        found = self._rules(sorted({rule.family for rule in stale}))
        return [Request(RTM_DELRULE, 0, raw[HEADER.size :]) for rule, raw in found if rule in stale]

    def _route_deletions(self, stale: frozenset[Route]) -> list[Request]:
        requests = []
        for family, table in sorted({(route.family, route.table) for route in stale}):
            found = self._routes((family,), table)
            requests += [Request(RTM_DELROUTE, 0, raw[HEADER.size :]) for route, raw in found if route in stale]
        return requests

    def _rules(
        self, families: Iterable[int], wanted: Callable[[bytes], bool] = lambda _: True
    ) -> Iterator[tuple[Rule, bytes]]:
        for family in families:
            request = Request.encode(RTM_GETRULE, 0, fibmsg(), family=FAMILY_OF[family])
            for raw in self._channel.dump(request, wanted):
                yield _parse_rule(family, decode(fibmsg, raw)), raw

    def _routes(self, families: Iterable[int], table: int | None) -> Iterator[tuple[Route, bytes]]:
        """Routes of one table, or (None) of all tables whose number is above those that Linux itself uses."""
        attributes = [("RTA_TABLE", table)] if table is not None else []
        for family in families:
            request = Request.encode(RTM_GETROUTE, 0, rtmsg(), attrs=attributes, family=FAMILY_OF[family])
            for raw in self._channel.dump(request, lambda raw: raw[_TABLE_BYTE] <= TABLE_BY_ATTRIBUTE):
                yield _parse_route(family, decode(rtmsg, raw)), raw


def kernel_families() -> tuple[int, ...]:
    """Address families of this kernel; without IPv6 (`ipv6.disable=1`) nothing can leave by it either."""
    return FAMILIES if (NET / "ipv6").exists() else (4,)


def _mentions(allocation: Allocation) -> Callable[[bytes], bool]:
    """A cheap look at undecoded rules, since there are two for every modem and each modem asks for its own."""
    uid_range = struct.pack("=II", allocation.uid, allocation.uid)
    table = struct.pack("=I", allocation.table)
    return lambda raw: uid_range in raw or table in raw


def _parse_rule(family: int, message: Any) -> Rule:
    """The rule in the model's words. One that we never make (other conditions, another action than a lookup) gets
    its uid negated, or `NO_UID` when it is not for a single one."""
    attributes = dict(message["attrs"])
    plain = (
        message["action"] == FR_ACT_TO_TBL
        and not (message["dst_len"] or message["tos"])
        and not message["flags"] & FIB_RULE_INVERT
        and attributes.keys() <= _RULE_ATTRIBUTES
    )
    suppressed = attributes.get("FRA_SUPPRESS_PREFIXLEN", NO_SUPPRESSION)
    uid = _single_uid(attributes.get("FRA_UID_RANGE"))
    source = _address(attributes.get("FRA_SRC"))
    whole_source = source is not None and message["src_len"] == source.max_prefixlen
    by_uid = uid is not None and source is None and suppressed == NO_SUPPRESSION
    by_source = whole_source and "FRA_UID_RANGE" not in attributes and suppressed == NO_SUPPRESSION
    of_host = uid is None and source is None and suppressed == 0 and "FRA_UID_RANGE" not in attributes
    if not (plain and (by_uid or by_source or of_host)):
        uid, source = -uid if uid is not None else NO_UID, None
    return Rule(
        family=family,
        priority=attributes.get("FRA_PRIORITY", 0),
        uid=uid,
        source=source,
        table=attributes.get("FRA_TABLE", message["table"]),
    )


def _single_uid(uid_range: str | None) -> int | None:
    """The uid that a rule is for, when it is for one only."""
    if uid_range is None:
        return None
    start, end = (int(part) for part in uid_range.split(":"))
    return start if start == end else None


def _parse_route(family: int, message: Any) -> Route:
    attributes = dict(message["attrs"])
    table, metric = attributes.get("RTA_TABLE", message["table"]), attributes.get("RTA_PRIORITY", 0)
    plain = not (message["dst_len"] or message["src_len"] or message["tos"]) and attributes.keys() <= _ROUTE_ATTRIBUTES
    if plain and message["type"] == RTN_UNREACHABLE:
        return Route(family=family, table=table, metric=metric)
    if plain and message["type"] == RTN_UNICAST and "RTA_OIF" in attributes:
        return Route(
            family=family,
            table=table,
            link_index=attributes["RTA_OIF"],
            gateway=_address(attributes.get("RTA_GATEWAY")),
            source=_address(attributes.get("RTA_PREFSRC")),
            metric=metric,
        )
    return Route(family=family, table=table, link_index=NO_LINK, metric=metric)


def _address(text: str | None) -> Address | None:
    return ip_address(text) if text is not None else None


def _rule_request(rule: Rule) -> Request:
    attributes: list[tuple[str, object]] = [
        ("FRA_TABLE", rule.table),
        ("FRA_PRIORITY", rule.priority),
        ("FRA_PROTOCOL", RTPROT_STATIC),
    ]
    if rule.uid is not None:
        attributes.append(("FRA_UID_RANGE", f"{rule.uid}:{rule.uid}"))
    elif rule.source is not None:
        attributes.append(("FRA_SRC", str(rule.source)))
    else:
        attributes.append(("FRA_SUPPRESS_PREFIXLEN", 0))
    return Request.encode(
        RTM_NEWRULE,
        NLM_F_CREATE | NLM_F_EXCL,
        fibmsg(),
        attrs=attributes,
        family=FAMILY_OF[rule.family],
        action=FR_ACT_TO_TBL,
        table=_table_byte(rule.table),
        src_len=rule.source.max_prefixlen if rule.source is not None else 0,
    )


def _route_request(route: Route) -> Request:
    attributes: list[tuple[str, object]] = [("RTA_TABLE", route.table), ("RTA_PRIORITY", route.metric)]
    if route.link_index is not None:
        attributes.append(("RTA_OIF", route.link_index))
    if route.gateway is not None:
        attributes.append(("RTA_GATEWAY", str(route.gateway)))
    if route.source is not None:
        attributes.append(("RTA_PREFSRC", str(route.source)))
    by_link_alone = route.link_index is not None and route.gateway is None
    return Request.encode(
        RTM_NEWROUTE,
        NLM_F_CREATE | NLM_F_REPLACE,
        rtmsg(),
        attrs=attributes,
        family=FAMILY_OF[route.family],
        type=RTN_UNREACHABLE if route.link_index is None else RTN_UNICAST,
        table=_table_byte(route.table),
        proto=RTPROT_STATIC,
        scope=SCOPE_LINK if by_link_alone else SCOPE_GLOBAL,
        # A carrier's gateway may lie outside the prefix of the address that it gave.
        flags=RTNH_F_ONLINK if route.gateway is not None else 0,
    )


def _table_byte(table: int) -> int:
    return table if table <= 255 else TABLE_BY_ATTRIBUTE


def _rule_order(rule: Rule) -> tuple[int, int, int, int, str]:
    return (rule.family, rule.priority, -1 if rule.uid is None else rule.uid, rule.table, str(rule.source or ""))


def _check(what: str, codes: list[int], fine: tuple[int, ...]) -> None:
    for code in codes:
        if code not in fine:
            raise TransientError(f"netlink refused to {what}: {os.strerror(code)}")


def _reverse_path_filter(link_index: int) -> int | None:
    """The kernel's own reckoning: the stricter number of the link's and the one for all. None without the link."""
    name = _link_name(link_index)
    own = fetch_switch(4, name, "rp_filter") if name is not None else None
    return max(own, _reverse_path_filter_of_all()) if own is not None else None


def _reverse_path_filter_of_all() -> int:
    return fetch_switch(4, "all", "rp_filter") or 0


def _relax_reverse_path_filter(link_index: int) -> None:
    """On this link only: a strict `all` is outweighed, and left to guard the host's other links."""
    name = _link_name(link_index)
    if name is not None:
        save_switch(4, name, "rp_filter", wanted_reverse_path_filter(_reverse_path_filter_of_all()))


def _link_name(link_index: int) -> str | None:
    try:
        return socket.if_indextoname(link_index)
    except OSError:
        return None
