"""Where the proxies listen and whom they serve, from what the kernel has."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from agent.core.errors import ConfigError, TransientError
from agent.core.settings.schema import ProxySettings
from agent.host.addresses import ProxyAddresses, host_addresses, resolve_proxy_addresses
from agent.host.netlink import NetlinkChannel
from tests.host.netns import fresh_namespace, ip, link_index, needs_root, peer

pytestmark = [pytest.mark.root, needs_root]


@pytest.fixture
def channel() -> Iterator[NetlinkChannel]:
    """A namespace with a LAN by `lan0` and a modem by `wwan0`, both up, without default routes."""
    with fresh_namespace(), peer("lan0"), peer("wwan0"):
        for address in ("192.0.2.2/24", "192.0.2.3/24", "2001:db8::2/64"):
            ip("addr", "add", address, "dev", "lan0", *(("nodad",) if ":" in address else ()))
        ip("addr", "add", "10.9.0.2/30", "dev", "wwan0", "noprefixroute")
        for link in ("lan0", "wwan0"):
            ip("link", "set", link, "up")
        made = NetlinkChannel()
        yield made
        made.close()


def resolved(listen: str, *allow: str) -> ProxyAddresses:
    return ProxyAddresses(listen=ip_address(listen), allow=allow)


def test_auto_is_the_link_with_the_default_route(channel: NetlinkChannel) -> None:
    ip("route", "add", "default", "via", "192.0.2.1")
    assert resolve_proxy_addresses(ProxySettings(), channel) == resolved("192.0.2.2", "192.0.2.0/24")


def test_the_routes_own_source_address_is_preferred(channel: NetlinkChannel) -> None:
    ip("route", "add", "default", "via", "192.0.2.1", "src", "192.0.2.3")
    assert resolve_proxy_addresses(ProxySettings(), channel) == resolved("192.0.2.3", "192.0.2.0/24")


def test_a_default_route_by_a_modem_does_not_count(channel: NetlinkChannel) -> None:
    ip("route", "add", "default", "dev", "wwan0", "metric", "5")
    ip("route", "add", "default", "via", "192.0.2.1", "metric", "100")
    ip("route", "add", "default", "dev", "lan0", "table", "20000")
    found = resolve_proxy_addresses(ProxySettings(), channel, {link_index("wwan0")})
    assert found == resolved("192.0.2.2", "192.0.2.0/24")


def test_the_lowest_metric_wins(channel: NetlinkChannel) -> None:
    ip("route", "add", "default", "dev", "wwan0", "metric", "50")
    ip("route", "add", "default", "via", "192.0.2.1", "metric", "100")
    assert resolve_proxy_addresses(ProxySettings(), channel).listen == ip_address("10.9.0.2")


def test_ipv6_is_taken_where_there_is_no_ipv4(channel: NetlinkChannel) -> None:
    ip("-6", "route", "add", "default", "via", "2001:db8::1", "dev", "lan0")
    assert resolve_proxy_addresses(ProxySettings(), channel) == resolved("2001:db8::2", "2001:db8::/64")


def test_routes_over_several_hops_count(channel: NetlinkChannel) -> None:
    words = "route add default nexthop via 192.0.2.1 dev lan0 nexthop dev wwan0"
    ip(*words.split())
    assert resolve_proxy_addresses(ProxySettings(), channel).listen == ip_address("192.0.2.2")


def test_without_a_default_route_it_is_tried_again(channel: NetlinkChannel) -> None:
    ip("route", "add", "unreachable", "default", "metric", "9")
    with pytest.raises(TransientError, match="no default route"):
        resolve_proxy_addresses(ProxySettings(), channel)


def test_a_fixed_address_gets_the_network_it_lies_in(channel: NetlinkChannel) -> None:
    found = resolve_proxy_addresses(ProxySettings(listen="127.0.0.1"), channel)
    assert found == resolved("127.0.0.1", "127.0.0.0/8")


def test_fixed_settings_need_nothing_of_the_kernel(channel: NetlinkChannel) -> None:
    proxy = ProxySettings(listen="0.0.0.0", allow=(ip_network("198.51.100.0/24"),))
    channel.close()
    assert resolve_proxy_addresses(proxy, channel) == resolved("0.0.0.0", "198.51.100.0/24")


def test_clients_of_every_address_must_be_named(channel: NetlinkChannel) -> None:
    with pytest.raises(ConfigError, match=r"proxy\.allow"):
        resolve_proxy_addresses(ProxySettings(listen="0.0.0.0"), channel)


def test_an_address_that_is_not_here_is_said(channel: NetlinkChannel) -> None:
    with pytest.raises(TransientError, match=r"198\.51\.100\.7"):
        resolve_proxy_addresses(ProxySettings(listen="198.51.100.7"), channel)


def test_all_addresses_of_the_host_are_listed(channel: NetlinkChannel) -> None:
    found = [str(each) for each in host_addresses(channel)]
    link_local = [each for each in found if each.startswith("fe80:")]
    assert link_local
    assert [each for each in found if each not in link_local] == [
        "10.9.0.2", "127.0.0.1", "192.0.2.2", "192.0.2.3", "::1", "2001:db8::2",
    ]  # fmt: skip
