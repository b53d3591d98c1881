"""Rules and routes on a real kernel, in network namespaces."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_interface

import pytest
from pyroute2.netlink.rtnl import RTM_DELRULE, RTM_NEWRULE

from agent.core.errors import TransientError
from agent.host.netlink import NetlinkChannel
from agent.host.routes import NO_LINK, NO_UID, NetlinkRouting
from agent.modem.actions import ApplyRouting
from agent.modem.model import Allocation, Bearer, DataSession, IpSettings, Route, RoutingState, Rule
from agent.modem.routing import MAIN_TABLE, UNREACHABLE_METRIC, host_rules, modem_routes, modem_rules
from tests.host.netns import fresh_namespace, ip, link_index, needs_root, peer, write_sysctl

pytestmark = [pytest.mark.root, needs_root]

ALLOCATION = Allocation(tcp_port=3128, uid=70_000, table=20_000)
OTHER = Allocation(tcp_port=3129, uid=70_001, table=20_001)
PRIORITY = 2000
METRIC = 10
IPV4_RULE_GROUP = 1 << 7


@pytest.fixture
def routing() -> Iterator[NetlinkRouting]:
    with fresh_namespace():
        channel = NetlinkChannel()
        yield NetlinkRouting(channel)
        channel.close()


def wanted(allocation: Allocation = ALLOCATION) -> ApplyRouting:
    return ApplyRouting(add_rules=modem_rules(allocation, PRIORITY), add_routes=modem_routes(allocation, None, None))


def difference(found: RoutingState, goal: ApplyRouting) -> ApplyRouting:
    """What a planner makes of it."""
    return ApplyRouting(
        add_rules=goal.add_rules - found.rules,
        add_routes=goal.add_routes - found.routes,
        delete_rules=found.rules - goal.add_rules,
        delete_routes=found.routes - goal.add_routes,
    )


def ip_line(line: str) -> None:
    ip(*line.split())


def everything() -> list[str]:
    """All rules and routes of the namespace, each a line."""
    words = (
        ("-4", "rule"),
        ("-6", "rule"),
        ("-4", "route", "show", "table", "all"),
        ("-6", "route", "show", "table", "all"),
    )
    return sorted(line for each in words for line in ip(*each).splitlines())


def test_nothing_is_observed_of_a_modem_that_never_was(routing: NetlinkRouting) -> None:
    assert routing.observe(ALLOCATION, None) == RoutingState()


def test_what_is_applied_is_observed_in_both_families(routing: NetlinkRouting) -> None:
    routing.apply(wanted())
    found = routing.observe(ALLOCATION, None)
    assert found.rules == modem_rules(ALLOCATION, PRIORITY)
    assert found.routes == modem_routes(ALLOCATION, None, None)
    for family in ("-4", "-6"):
        assert f"uidrange 70000-70000 lookup {ALLOCATION.table}" in ip(family, "rule")
        assert "unreachable default" in ip(family, "route", "show", "table", str(ALLOCATION.table))


def test_applying_again_changes_nothing(routing: NetlinkRouting) -> None:
    routing.apply(wanted())
    before = ip("-4", "rule"), ip("-6", "rule")
    routing.apply(wanted())
    assert (ip("-4", "rule"), ip("-6", "rule")) == before


def test_deleting_what_is_not_there_is_no_error(routing: NetlinkRouting) -> None:
    goal = wanted()
    routing.apply(ApplyRouting(delete_rules=goal.add_rules, delete_routes=goal.add_routes))
    assert routing.observe(ALLOCATION, None) == RoutingState()


def test_one_modem_does_not_see_another(routing: NetlinkRouting) -> None:
    routing.apply(wanted(OTHER))
    assert routing.observe(ALLOCATION, None) == RoutingState()


@pytest.mark.parametrize("connected", [False, True], ids=["carrier", "no carrier"])
def test_a_link_route_stands_beside_the_unreachable_one_and_goes_alone(
    routing: NetlinkRouting, connected: bool
) -> None:
    with peer("wwan0") as far:
        ip("addr", "add", "10.9.0.2/30", "dev", "wwan0", "noprefixroute")
        ip("addr", "add", "2001:db8::2/64", "dev", "wwan0", "noprefixroute", "nodad")
        ip("link", "set", "wwan0", "up")
        index = link_index("wwan0")
        by_link = frozenset(
            Route(family=family, table=20_000, link_index=index, source=ip_address(source), metric=METRIC)
            for family, source in ((4, "10.9.0.2"), (6, "2001:db8::2"))
        )
        routing.apply(wanted())
        routing.apply(ApplyRouting(add_routes=by_link))
        if connected:
            with far.entered():
                ip("link", "set", "far", "down")
        unreachable = modem_routes(ALLOCATION, None, None)
        assert routing.observe(ALLOCATION, index).routes == unreachable | by_link
        routing.apply(ApplyRouting(delete_routes=by_link))
        assert routing.observe(ALLOCATION, index).routes == unreachable


def test_a_gateway_outside_the_prefix_is_taken(routing: NetlinkRouting) -> None:
    with peer("wwan0"):
        ip("addr", "add", "10.9.0.2/30", "dev", "wwan0", "noprefixroute")
        ip("link", "set", "wwan0", "up")
        route = Route(
            family=4,
            table=20_000,
            link_index=link_index("wwan0"),
            gateway=ip_address("172.30.0.1"),
            source=ip_address("10.9.0.2"),
            metric=METRIC,
        )
        routing.apply(ApplyRouting(add_routes=frozenset({route})))
        assert routing.observe(ALLOCATION, None).routes == {route}


def test_a_route_by_a_link_that_vanished_cannot_be_added_and_the_rest_is(routing: NetlinkRouting) -> None:
    goal = wanted()
    gone = Route(family=4, table=20_000, link_index=4_711, metric=METRIC)
    with pytest.raises(TransientError, match="add a rule or route"):
        routing.apply(ApplyRouting(add_rules=goal.add_rules, add_routes=goal.add_routes | {gone}))
    found = routing.observe(ALLOCATION, 4_711)
    assert found == RoutingState(rules=goal.add_rules, routes=goal.add_routes)


STRAYS = [
    "-4 rule add uidrange 70000-70000 lookup 20000 pref 1500",
    "-4 rule add uidrange 70000-70000 lookup main pref 2000",
    "-6 rule add uidrange 70000-70000 lookup 20001 pref 2000",
    "-4 rule add uidrange 70000-70000 fwmark 1 lookup 20000 pref 2000",
    "-4 rule add not uidrange 70000-70000 lookup 20000 pref 2000",
    "-4 rule add uidrange 70000-70000 lookup 20000 suppress_prefixlength 0 pref 2000",
    "-4 rule add uidrange 70000-70000 unreachable pref 1999",
    "-4 rule add uidrange 60000-80000 lookup 20000 pref 2000",
    "-4 rule add from 10.1.0.0/16 lookup 20000 pref 2000",
    "-6 rule add from all lookup 20000 pref 1000",
    "-4 route add throw default metric 5 table 20000",
    "-4 route add blackhole default metric 10 table 20000",
    "-4 route add 10.0.0.0/8 dev lo table 20000",
    "-6 route add 2001:db8::/32 dev lo table 20000",
    "-4 route add default dev lo table 20000",
    "-6 route add default dev lo metric 77 table 20000",
    "-4 route add unreachable default metric 12 table 20000",
    "-4 route add default dev lo tos 0x10 table 20000",
]


@pytest.mark.parametrize("stray", STRAYS)
def test_a_stray_is_seen_and_goes_and_ours_stay(routing: NetlinkRouting, stray: str) -> None:
    # The kernel does not tell "not" when it looks for the rule to delete, so ours may go first and come back after.
    passes = 2 if " not " in stray else 1
    goal = wanted()
    routing.apply(goal)
    untouched = "-4 rule add from 10.1.0.0/16 lookup main pref 2000"
    ip_line(untouched)
    before = everything()
    ip_line(stray)
    changes = difference(routing.observe(ALLOCATION, None), goal)
    assert bool(changes.delete_rules) or bool(changes.delete_routes)
    for _ in range(passes):
        routing.apply(difference(routing.observe(ALLOCATION, None), goal))
    assert difference(routing.observe(ALLOCATION, None), goal) == ApplyRouting()
    assert everything() == before


def test_strays_of_every_kind_at_once_converge(routing: NetlinkRouting) -> None:
    for stray in STRAYS:
        ip_line(stray)
    goal = wanted()
    for _ in range(2):
        routing.apply(difference(routing.observe(ALLOCATION, None), goal))
    assert difference(routing.observe(ALLOCATION, None), goal) == ApplyRouting()


def test_what_the_model_cannot_say_has_a_number_no_wanted_one_has(routing: NetlinkRouting) -> None:
    ip_line("-4 rule add from 10.1.0.0/16 lookup 20000 pref 2000")
    ip_line("-4 rule add uidrange 70000-70000 fwmark 1 lookup main pref 2000")
    ip_line("-4 route add throw default metric 5 table 20000")
    found = routing.observe(ALLOCATION, None)
    assert found.rules == {
        Rule(family=4, priority=2000, uid=NO_UID, table=20_000),
        Rule(family=4, priority=2000, uid=-70_000, table=MAIN_TABLE),
    }
    assert found.routes == {Route(family=4, table=20_000, link_index=NO_LINK, metric=5)}


def test_a_wrong_rule_goes_only_after_the_right_one_is_there(routing: NetlinkRouting) -> None:
    """Told by the kernel's own notifications: at no moment was the uid without a rule, and free to take the uplink."""
    wrong, right = (
        Rule(family=4, priority=priority, uid=ALLOCATION.uid, table=ALLOCATION.table) for priority in (1500, 2000)
    )
    routing.apply(ApplyRouting(add_rules=frozenset({wrong})))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as watch:
        watch.bind((0, IPV4_RULE_GROUP))
        watch.settimeout(5)
        routing.apply(ApplyRouting(add_rules=frozenset({right}), delete_rules=frozenset({wrong})))
        kinds = [struct.unpack_from("=IH", watch.recv(4096))[1] for _ in range(2)]
    assert kinds == [RTM_NEWRULE, RTM_DELRULE]


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db8:7::1"])
def test_traffic_of_the_uid_finds_no_way_but_its_table(routing: NetlinkRouting, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def can_leave(uid: int) -> bool:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            os.fchown(sock.fileno(), uid, -1)
            return sock.connect_ex((address, 53)) == 0

    with peer("wan0"):
        ip("addr", "add", "192.0.2.2/24", "dev", "wan0")
        ip("addr", "add", "2001:db8::2/64", "dev", "wan0", "nodad")
        ip("link", "set", "wan0", "up")
        for which in ("-4", "-6"):
            ip(which, "route", "add", "default", "dev", "wan0")
        assert can_leave(ALLOCATION.uid)
        routing.ensure_host_rules()
        routing.apply(wanted())
        assert not can_leave(ALLOCATION.uid)
        assert can_leave(OTHER.uid)


def test_host_rules_are_made_once_and_read_back(routing: NetlinkRouting) -> None:
    assert routing.ensure_host_rules() is True
    assert routing.ensure_host_rules() is False
    for family in ("-4", "-6"):
        assert "50:\tfrom all lookup main suppress_prefixlength 0" in ip(family, "rule")


def test_a_rule_that_only_looks_like_the_hosts_own_does_not_count(routing: NetlinkRouting) -> None:
    ip("-4", "rule", "add", "lookup", "main", "pref", "50")
    ip("-6", "rule", "add", "lookup", "main", "suppress_prefixlength", "0", "pref", "50", "fwmark", "7")
    assert routing.ensure_host_rules() is True
    assert ip("-4", "rule").count("suppress_prefixlength 0") == 1
    assert ip("-6", "rule").count("suppress_prefixlength 0") == 2


def test_purge_takes_what_no_modem_has_and_nothing_else(routing: NetlinkRouting) -> None:
    routing.ensure_host_rules()
    routing.apply(wanted())
    before = everything()
    routing.apply(wanted(OTHER))
    ip_line("-4 rule add uidrange 70005-70005 lookup 30000 pref 77")
    ip_line("-4 rule add from 10.1.0.0/16 lookup 20009 pref 78")
    ip_line("-6 route add 2001:db8::/32 dev lo table 20009")
    purged = routing.purge([ALLOCATION], range(70_000, 70_100), range(20_000, 20_100))
    assert purged == (
        Rule(family=4, priority=77, uid=70_005, table=30_000),
        Rule(family=4, priority=78, uid=NO_UID, table=20_009),
        *(Rule(family=family, priority=PRIORITY, uid=OTHER.uid, table=OTHER.table) for family in (4, 6)),
    )
    assert everything() == before
    assert routing.purge([ALLOCATION], range(70_000, 70_100), range(20_000, 20_100)) == ()


@pytest.mark.parametrize(("every", "own", "effective"), [(0, 0, 0), (1, 0, 1), (0, 1, 1), (1, 2, 2), (2, 1, 2)])
def test_the_reverse_path_filter_is_the_kernels_maximum(
    routing: NetlinkRouting, every: int, own: int, effective: int
) -> None:
    with peer("wwan0"):
        write_sysctl("ipv4/conf/all/rp_filter", every)
        write_sysctl("ipv4/conf/wwan0/rp_filter", own)
        assert routing.observe(ALLOCATION, link_index("wwan0")).reverse_path_filter == effective


def test_a_strict_reverse_path_filter_is_relaxed_for_the_modem_only(routing: NetlinkRouting) -> None:
    with peer("wwan0"), peer("wwan1"):
        write_sysctl("ipv4/conf/all/rp_filter", 1)
        index = link_index("wwan0")
        routing.apply(ApplyRouting(relax_reverse_path_filter_of=index))
        assert routing.observe(ALLOCATION, index).reverse_path_filter == 2
        assert routing.observe(ALLOCATION, link_index("wwan1")).reverse_path_filter == 1


def test_the_reverse_path_filter_goes_off_where_the_host_allows_it(routing: NetlinkRouting) -> None:
    with peer("wwan0"):
        write_sysctl("ipv4/conf/all/rp_filter", 0)
        write_sysctl("ipv4/conf/wwan0/rp_filter", 2)
        routing.apply(ApplyRouting(relax_reverse_path_filter_of=link_index("wwan0")))
        assert routing.observe(ALLOCATION, link_index("wwan0")).reverse_path_filter == 0


def test_a_vanished_link_has_no_reverse_path_filter(routing: NetlinkRouting) -> None:
    routing.apply(ApplyRouting(relax_reverse_path_filter_of=4_711))
    assert routing.observe(ALLOCATION, 4_711).reverse_path_filter is None


def test_a_renamed_link_is_found_by_its_index(routing: NetlinkRouting) -> None:
    with peer("wwan0"):
        index = link_index("wwan0")
        write_sysctl("ipv4/conf/wwan0/rp_filter", 1)
        ip("link", "set", "wwan0", "name", "modem7")
        assert routing.observe(ALLOCATION, index).reverse_path_filter == 1
        ip("link", "del", "modem7")


def test_routing_works_where_ipv6_is_switched_off(routing: NetlinkRouting) -> None:
    for name in ("all", "default", "lo"):
        write_sysctl(f"ipv6/conf/{name}/disable_ipv6", 1)
    routing.apply(wanted())
    assert difference(routing.observe(ALLOCATION, None), wanted()) == ApplyRouting()


def test_thirty_threads_share_one_socket(routing: NetlinkRouting) -> None:
    allocations = [Allocation(tcp_port=3128 + n, uid=70_000 + n, table=20_000 + n) for n in range(30)]

    def one(allocation: Allocation) -> ApplyRouting:
        for _ in range(4):
            routing.apply(wanted(allocation))
            routing.observe(allocation, None)
        return difference(routing.observe(allocation, None), wanted(allocation))

    with ThreadPoolExecutor(max_workers=len(allocations)) as threads:
        assert list(threads.map(one, allocations)) == [ApplyRouting()] * len(allocations)


def test_a_closed_channel_says_so(routing: NetlinkRouting) -> None:
    channel = NetlinkChannel()
    channel.close()
    with pytest.raises(TransientError, match="netlink"):
        NetlinkRouting(channel).observe(ALLOCATION, None)


def test_the_metric_of_the_fallback_is_above_any_link_route() -> None:
    assert UNREACHABLE_METRIC > METRIC
    assert {rule.uid for rule in host_rules()} == {None}


def test_what_comes_from_the_bearers_address_looks_in_the_modems_table(routing: NetlinkRouting) -> None:
    bearer = Bearer(
        session=DataSession(client_id=1, packet_data_handle=1),
        ipv4=IpSettings(interface=ip_interface("10.64.0.5/30")),
        ipv6=IpSettings(interface=ip_interface("2001:db8::5/64")),
    )
    rules = modem_rules(ALLOCATION, PRIORITY, bearer)
    routing.apply(ApplyRouting(add_rules=rules))
    assert routing.observe(ALLOCATION, None).rules == rules
    assert f"from 10.64.0.5 lookup {ALLOCATION.table}" in ip("-4", "rule")
    gone = rules - modem_rules(ALLOCATION, PRIORITY)
    routing.apply(ApplyRouting(delete_rules=gone))
    assert routing.observe(ALLOCATION, None).rules == modem_rules(ALLOCATION, PRIORITY)


def test_a_kernel_without_ipv6_gets_rules_and_routes_of_ipv4_only() -> None:
    with fresh_namespace():
        channel = NetlinkChannel()
        try:
            routing = NetlinkRouting(channel, families=(4,))
            assert routing.ensure_host_rules()
            assert not routing.ensure_host_rules()
            assert routing.observe(ALLOCATION, None).families == (4,)
            assert "suppress_prefixlength" not in ip("-6", "rule")
        finally:
            channel.close()
