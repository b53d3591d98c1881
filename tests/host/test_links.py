"""Links on a real kernel, in network namespaces."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import Path

import pytest

from agent.core.errors import TransientError
from agent.host.links import NetlinkLinks
from agent.host.netlink import NetlinkChannel
from agent.modem.actions import ConfigureLink
from agent.modem.model import IpSettings, LinkState
from tests.host.netns import fresh_namespace, ip, link_index, needs_root, peer, write_sysctl

pytestmark = [pytest.mark.root, needs_root]

NAME = "modem-863000000000017"


@pytest.fixture
def links() -> Iterator[NetlinkLinks]:
    with fresh_namespace(), peer("wwan0", "10.9.0.1/30", "2001:db8::1/64"):
        channel = NetlinkChannel()
        yield NetlinkLinks(channel)
        channel.close()


def wanted(*interfaces: str, mtu: int | None = 1430, name: str = NAME, link: str = "wwan0") -> ConfigureLink:
    settings = tuple(IpSettings(interface=ip_interface(each)) for each in interfaces)
    return ConfigureLink(link_index=link_index(link), settings=settings, mtu=mtu, alternative_name=name)


def seen(links: NetlinkLinks, link: str = "wwan0") -> LinkState:
    state = links.observe(link_index(link), None)
    assert state is not None
    return state


def test_a_link_that_is_not_there_is_none(links: NetlinkLinks) -> None:
    assert links.observe(4_711, None) is None


def test_a_bare_link_is_seen_as_it_is(links: NetlinkLinks) -> None:
    state = seen(links)
    assert (state.name, state.up, state.mtu, state.raw_ip) == ("wwan0", False, 1500, None)
    assert state.addresses == frozenset()
    assert state.alternative_names == frozenset()


def test_configure_brings_about_exactly_what_is_wanted(links: NetlinkLinks) -> None:
    links.configure(wanted("10.9.0.2/30", "2001:db8::2/64"))
    state = seen(links)
    assert (state.up, state.mtu, state.alternative_names) == (True, 1430, frozenset({NAME}))
    assert state.addresses == {IPv4Interface("10.9.0.2/30"), IPv6Interface("2001:db8::2/64")}


def test_addresses_bring_no_prefix_route(links: NetlinkLinks) -> None:
    links.configure(wanted("10.9.0.2/30", "2001:db8::2/64"))
    assert "10.9.0.0/30" not in ip("-4", "route", "show", "table", "main")
    assert "2001:db8::/64" not in ip("-6", "route", "show", "table", "main")


def test_an_address_with_a_prefix_route_is_made_anew_without_it(links: NetlinkLinks) -> None:
    ip("link", "set", "wwan0", "up")
    ip("addr", "add", "10.9.0.2/30", "dev", "wwan0")
    assert "10.9.0.0/30" in ip("-4", "route")
    links.configure(wanted("10.9.0.2/30"))
    assert "10.9.0.0/30" not in ip("-4", "route")
    assert seen(links).addresses == {IPv4Interface("10.9.0.2/30")}


def test_stale_addresses_go_and_link_local_ones_stay(links: NetlinkLinks) -> None:
    links.configure(wanted("10.9.0.2/30", "2001:db8::2/64"))
    ip("addr", "add", "10.77.0.1/16", "dev", "wwan0")
    ip("addr", "add", "fe80::77/64", "dev", "wwan0", "nodad")
    links.configure(wanted("10.9.0.6/30"))
    assert seen(links).addresses == {IPv4Interface("10.9.0.6/30")}
    assert "fe80::77" in ip("-6", "addr", "show", "dev", "wwan0")


def test_a_secondary_address_survives_the_removal_of_its_primary(links: NetlinkLinks) -> None:
    write_sysctl("ipv4/conf/wwan0/promote_secondaries", 0)
    ip("link", "set", "wwan0", "up")
    ip("addr", "add", "10.9.0.9/24", "dev", "wwan0", "noprefixroute")
    ip("addr", "add", "10.9.0.2/24", "dev", "wwan0", "noprefixroute")
    links.configure(wanted("10.9.0.2/24"))
    assert seen(links).addresses == {IPv4Interface("10.9.0.2/24")}


def test_a_changed_prefix_of_the_same_address_is_taken(links: NetlinkLinks) -> None:
    links.configure(wanted("10.9.0.2/30", "2001:db8::2/64"))
    links.configure(wanted("10.9.0.2/29", "2001:db8::2/128"))
    assert seen(links).addresses == {IPv4Interface("10.9.0.2/29"), IPv6Interface("2001:db8::2/128")}


def test_configuring_again_touches_nothing(links: NetlinkLinks) -> None:
    write_sysctl("ipv6/conf/wwan0/addr_gen_mode", 1)  # no link-local address that comes of itself, later
    links.configure(wanted("10.9.0.2/30", "2001:db8::2/64"))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as watch:
        every_link_and_address_group = 0x1 | 0x10 | 0x100
        watch.bind((0, every_link_and_address_group))
        watch.settimeout(1.5)  # the kernel may tell of a carrier a second late
        with contextlib.suppress(TimeoutError):
            while watch.recv(65_536):
                pass
        links.configure(wanted("10.9.0.2/30", "2001:db8::2/64"))
        with pytest.raises(TimeoutError):
            watch.recv(65_536)


def test_two_links_may_have_the_same_address(links: NetlinkLinks) -> None:
    with peer("wwan1"):
        links.configure(wanted("10.9.0.2/30"))
        links.configure(wanted("10.9.0.2/30", name="modem-2", link="wwan1"))
        assert seen(links).addresses == seen(links, "wwan1").addresses


def test_a_lasting_name_is_taken_away_from_another_link(links: NetlinkLinks) -> None:
    with peer("wwan1"):
        ip("link", "property", "add", "dev", "wwan1", "altname", NAME)
        ip("link", "property", "add", "dev", "wwan1", "altname", "operators-own")
        links.configure(wanted())
        assert seen(links).alternative_names == {NAME}
        assert seen(links, "wwan1").alternative_names == {"operators-own"}


def test_a_link_has_one_lasting_name_of_ours_and_keeps_others(links: NetlinkLinks) -> None:
    ip("link", "property", "add", "dev", "wwan0", "altname", "modem-of-before")
    ip("link", "property", "add", "dev", "wwan0", "altname", "operators-own")
    links.configure(wanted())
    assert seen(links).alternative_names == {NAME, "operators-own"}


def test_a_renamed_link_is_configured_by_its_index(links: NetlinkLinks) -> None:
    goal = wanted("10.9.0.2/30")
    ip("link", "set", "wwan0", "name", "elsewhere")
    links.configure(goal)
    assert seen(links, "elsewhere").addresses == {IPv4Interface("10.9.0.2/30")}
    ip("link", "del", "elsewhere")


def test_a_link_that_has_gone_cannot_be_configured(links: NetlinkLinks) -> None:
    goal = wanted("10.9.0.2/30")
    ip("link", "del", "wwan0")
    with pytest.raises(TransientError, match="has gone"):
        links.configure(goal)
    with pytest.raises(TransientError):
        links.switch_to_raw_ip(goal.link_index, "/nonexistent/raw_ip")


def test_an_impossible_mtu_is_refused_and_said(links: NetlinkLinks) -> None:
    with pytest.raises(TransientError, match="refused to change a link"):
        links.configure(wanted(mtu=1_000_000))


def test_router_advertisements_are_ignored_on_a_modems_link(links: NetlinkLinks) -> None:
    links.configure(wanted())
    assert Path("/proc/sys/net/ipv6/conf/wwan0/accept_ra").read_text(encoding="ascii").strip() == "0"


def test_an_ipv4_only_link_is_configured_where_ipv6_is_off(links: NetlinkLinks) -> None:
    write_sysctl("ipv6/conf/all/disable_ipv6", 1)
    links.configure(wanted("10.9.0.2/30"))
    assert seen(links).addresses == {IPv4Interface("10.9.0.2/30")}


def test_bytes_are_counted_in_both_directions(links: NetlinkLinks) -> None:
    links.configure(wanted("10.9.0.2/30"))
    ip("route", "add", "default", "dev", "wwan0")
    before = seen(links)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(2)
        with pytest.raises(ConnectionRefusedError):
            sock.connect(("10.9.0.1", 9))
    after = seen(links)
    assert after.tx_bytes > before.tx_bytes
    assert after.rx_bytes > before.rx_bytes


def test_raw_ip_is_read_back(links: NetlinkLinks, tmp_path: Path) -> None:
    switch = tmp_path / "raw_ip"
    index = link_index("wwan0")

    def raw_ip() -> bool | None:
        state = links.observe(index, str(switch))
        assert state is not None
        return state.raw_ip

    assert raw_ip() is None
    switch.write_text("N\n", encoding="ascii")
    assert raw_ip() is False
    ip("link", "set", "wwan0", "up")
    links.switch_to_raw_ip(index, str(switch))
    assert raw_ip() is True
    assert seen(links).up is False
    links.configure(wanted())
    assert seen(links).up is True


def test_a_switch_that_does_not_hold_is_said(links: NetlinkLinks) -> None:
    with pytest.raises(TransientError, match="raw-IP"):
        links.switch_to_raw_ip(link_index("wwan0"), "/dev/null")
