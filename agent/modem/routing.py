"""One uid and one table per modem: the rules and routes that make a proxy leave by its own modem or not at all.

Pure. The design and why it is this one: docs/architecture.md, "How traffic flows".
"""

from __future__ import annotations

from agent.modem.model import Allocation, Bearer, Route, Rule

MAIN_TABLE = 254
HOST_RULE_PRIORITY = 50
LINK_METRIC = 10
"""Named, since the kernel's own default differs between the families (0 and 1024)."""
UNREACHABLE_METRIC = 9999
SOURCE_RULE_OFFSET = 1000
FAMILIES = (4, 6)


def wanted_reverse_path_filter(of_all: int) -> int:
    """Off where the host allows it, else loose: strict drops every answer that comes in by a modem, and loose drops
    them too on a host whose main table has no default route at all."""
    return 0 if of_all == 0 else 2


def host_rules() -> frozenset[Rule]:
    """Once per host: LAN replies and connected networks are looked up in main, its default routes are not."""
    return frozenset(
        Rule(family=family, priority=HOST_RULE_PRIORITY, uid=None, table=MAIN_TABLE) for family in FAMILIES
    )


def modem_rules(allocation: Allocation, priority: int, bearer: Bearer | None = None) -> frozenset[Rule]:
    """Everything the modem's uid originates looks in the modem's table, whatever the family; and, after all uid rules,
    everything that comes from the bearer's addresses.

    The latter is for what the kernel itself sends (an ICMP error, a TCP reset for a lost socket): it has no uid,
    and would leave by the host's uplink. It also lets the reverse path filter find the modem's link. It comes last
    because two modems may have one address."""
    rules = {Rule(family=family, priority=priority, uid=allocation.uid, table=allocation.table) for family in FAMILIES}
    for settings in bearer.settings if bearer is not None else ():
        address = settings.interface.ip
        rules.add(
            Rule(
                family=address.version,
                priority=priority + SOURCE_RULE_OFFSET,
                source=address,
                table=allocation.table,
            )
        )
    return frozenset(rules)


def modem_routes(allocation: Allocation, bearer: Bearer | None, link_index: int | None) -> frozenset[Route]:
    """The modem's table: an `unreachable` default of each family, and the bearer's default where there is one.

    The route goes by the link alone: a carrier's gateway may lie outside the prefix, and the link has no neighbours.
    """
    routes = {Route(family=family, table=allocation.table, metric=UNREACHABLE_METRIC) for family in FAMILIES}
    if bearer is not None and link_index is not None:
        for settings in bearer.settings:
            address = settings.interface.ip
            routes.add(
                Route(
                    family=address.version,
                    table=allocation.table,
                    link_index=link_index,
                    source=address,
                    metric=LINK_METRIC,
                )
            )
    return frozenset(routes)
