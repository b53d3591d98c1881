"""The network's kernel switches, rules and tables, as they are in this network namespace."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from typing import Any

from pyroute2.netlink.rtnl import RTM_GETROUTE, RTM_GETRULE
from pyroute2.netlink.rtnl.fibmsg import FR_ACT_TO_TBL, fibmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from agent.core.settings.schema import ProxySettings
from agent.doctor.network import LinkFilter, NetworkFacts, Switch
from agent.doctor.routing import PolicyRule, TableRoutes
from agent.host.doctor.places import Places, read_text
from agent.host.netlink import FAMILY_OF, NetlinkChannel, Request, decode
from agent.host.routes import FIB_RULE_INVERT, NO_SUPPRESSION, kernel_families

OUR_SWITCHES = "*lastmile*.conf"
RULE_DOES_NOTHING = 3
"""FR_ACT_NOP"""
_NARROWING = frozenset(
    {
        "FRA_FWMARK",
        "FRA_OIFNAME",
        "FRA_DST",
        "FRA_L3MDEV",
        "FRA_IP_PROTO",
        "FRA_SPORT_RANGE",
        "FRA_DPORT_RANGE",
        "FRA_TUN_ID",
        "FRA_FLOW",
    }
)


def fetch_network(places: Places, proxy: ProxySettings, links: Collection[str], *, agent_runs: bool) -> NetworkFacts:
    """Switches below /proc/sys; a switch that is not there counts as its default."""
    conf = places.proc / "sys/net/ipv4/conf"
    local_range = _range(read_text(places.proc / "sys/net/ipv4/ip_local_port_range"))
    switches = tuple(_switches(places))
    return NetworkFacts(
        filter_of_all=int(read_text(conf / "all/rp_filter") or 0),
        filter_of_default=int(read_text(conf / "default/rp_filter") or 0),
        filters=tuple(
            LinkFilter(link=link, value=int(value))
            for link in links
            if (value := read_text(conf / link / "rp_filter")) is not None
        ),
        switches=switches,
        switch_files=tuple(str(active) for active, *_ in places.named("sysctl.d", OUR_SWITCHES)),
        ephemeral=local_range,
        reserved=tuple(_ranges(read_text(places.proc / "sys/net/ipv4/ip_local_reserved_ports") or "")),
        proxy_ports=(proxy.tcp_port_first, proxy.tcp_port_last),
        agent_runs=agent_runs,
    )


def _switches(places: Places) -> Iterator[Switch]:
    """Lines of our sysctl.d(5) files; those with a glob are left out, since they mean no single switch."""
    for active, *_ in places.named("sysctl.d", OUR_SWITCHES):
        for line in (read_text(active) or "").splitlines():
            name, separator, wanted = line.partition("=")
            name = name.strip().removeprefix("-")
            if not separator or name.startswith(("#", ";")) or "*" in name:
                continue
            # A name is written with dots or, where a link's name has some, with slashes.
            path = name if "/" in name else name.replace(".", "/")
            actual = read_text(places.proc / "sys" / path)
            yield Switch(file=str(active), name=path.replace("/", "."), wanted=wanted.strip(), actual=actual)


def _range(text: str | None) -> tuple[int, int] | None:
    words = (text or "").split()
    return (int(words[0]), int(words[1])) if len(words) == 2 else None


def _ranges(text: str) -> Iterator[tuple[int, int]]:
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first.isdecimal():
            yield int(first), int(last) if last.isdecimal() else int(first)


def fetch_rules(channel: NetlinkChannel) -> tuple[PolicyRule, ...]:
    """Every policy rule of both families. Raises TransientError."""
    found = []
    for family in kernel_families():
        request = Request.encode(RTM_GETRULE, 0, fibmsg(), family=FAMILY_OF[family])
        found += [_rule(family, decode(fibmsg, raw)) for raw in channel.dump(request)]
    return tuple(found)


def _rule(family: int, message: Any) -> PolicyRule:
    attributes = dict(message["attrs"])
    first, last = (int(part) for part in attributes.get("FRA_UID_RANGE", "-1:-1").split(":"))
    inverted = bool(message["flags"] & FIB_RULE_INVERT)
    # A proxy's traffic begins on this machine: a rule for what comes in by another link is not for it.
    from_elsewhere = attributes.get("FRA_IIFNAME", "lo") != "lo"
    narrow = bool(attributes.keys() & _NARROWING) or bool(message["tos"]) or from_elsewhere
    source = attributes.get("FRA_SRC")
    return PolicyRule(
        family=family,
        priority=attributes.get("FRA_PRIORITY", 0),
        table=attributes.get("FRA_TABLE", message["table"]) if message["action"] == FR_ACT_TO_TBL else None,
        # What an inverted rule excludes is too little to count on.
        first_uid=first if first >= 0 and not inverted else None,
        last_uid=last if first >= 0 and not inverted else None,
        source=f"{source}/{message['src_len']}" if source is not None and not inverted else None,
        suppresses=attributes.get("FRA_SUPPRESS_PREFIXLEN", NO_SUPPRESSION) == 0,
        narrow=(narrow and not inverted) or message["action"] == RULE_DOES_NOTHING,
    )


def fetch_tables(
    channel: NetlinkChannel, tables: range, name_of: Callable[[int], str] = socket.if_indextoname
) -> tuple[TableRoutes, ...]:
    """The tables within the range that have routes, and by which links those go. Raises TransientError."""
    links: dict[int, set[str]] = defaultdict(set)
    for family in kernel_families():
        request = Request.encode(RTM_GETROUTE, 0, rtmsg(), attrs=[], family=FAMILY_OF[family])
        for raw in channel.dump(request):
            message = decode(rtmsg, raw)
            attributes = dict(message["attrs"])
            table = attributes.get("RTA_TABLE", message["table"])
            if table not in tables:
                continue
            hops = [attributes["RTA_OIF"]] if "RTA_OIF" in attributes else []
            hops += [hop["oif"] for hop in attributes.get("RTA_MULTIPATH", ())]
            # An unreachable route of IPv6 is shown with loopback as its link.
            links[table] |= {name for hop in hops if (name := _name(hop, name_of)) != "lo"}
    return tuple(TableRoutes(table=table, links=tuple(sorted(links[table]))) for table in sorted(links))


def _name(index: int, name_of: Callable[[int], str]) -> str:
    try:
        return name_of(index)
    except OSError:
        return f"link {index}"
