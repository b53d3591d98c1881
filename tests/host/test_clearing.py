"""Taking everything of lastmile off a host, on a real kernel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest

from agent.core.clock import Deadline
from agent.core.errors import TransientError
from agent.core.identifiers import Serial, Slot
from agent.host.clearing import HostClearing, users_of
from agent.host.device_links import DeviceLinkDirectory
from agent.host.links import NetlinkLinks
from agent.host.netlink import NetlinkChannel
from agent.host.proxy.instances import ProxyInstances
from agent.host.proxy.no_units import NoUnits
from agent.host.routes import NetlinkRouting
from agent.modem.actions import ApplyRouting, ConfigureLink
from agent.modem.model import Allocation, Bearer, DataSession, Hardware, IpSettings
from agent.modem.routing import modem_routes, modem_rules
from tests.host.netns import fresh_namespace, ip, link_index, needs_root, peer, write_sysctl

SERIAL = Serial("863000000000017")
ALLOCATION = Allocation(tcp_port=3128, uid=70_000, table=20_000)
EARLIER = Allocation(tcp_port=3128, uid=60_000, table=10_000)
HARDWARE = Hardware(
    slot=Slot("1-1.2"), usb_id="2c7c:0125", syspath="/sys/x", at_node="/dev/ttyUSB2", qmi_node="/dev/cdc-wdm0"
)
SETTINGS = tuple(IpSettings(interface=ip_interface(each)) for each in ("10.9.0.2/30", "2001:db8::2/64"))
BEARER = Bearer(session=DataSession(client_id=1, packet_data_handle=1), ipv4=SETTINGS[0], ipv6=SETTINGS[1])


class Units(NoUnits):
    """Instances that run until they are forgotten; those in `stubborn` do not stop."""

    def __init__(self, *running: Serial) -> None:
        self.running = set(running)
        self.stubborn: set[Serial] = set()

    def known(self) -> list[Serial]:
        return sorted(self.running)

    def forget(self, serial: Serial, deadline: Deadline) -> None:
        del deadline
        if serial in self.stubborn:
            raise TransientError("it does not end")
        self.running.discard(serial)


@dataclass(frozen=True)
class Host:
    clearing: HostClearing
    units: Units
    tmp_path: Path


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host with one modem that is online, everything of it in place."""
    with fresh_namespace(), peer("wwan0", "10.9.0.1/30", "2001:db8::1/64"):
        channel = NetlinkChannel()
        routing, links = NetlinkRouting(channel), NetlinkLinks(channel)
        devices = DeviceLinkDirectory(tmp_path / "modems")
        units = Units(SERIAL)
        (tmp_path / "3proxy").mkdir()
        (tmp_path / "3proxy" / f"{SERIAL}.cfg").write_text("auth iponly\n")
        index = link_index("wwan0")
        write_sysctl("ipv4/conf/default/rp_filter", 1)
        links.configure(
            ConfigureLink(link_index=index, settings=SETTINGS, mtu=1430, alternative_name=f"modem-{SERIAL}")
        )
        routing.ensure_host_rules()
        routing.apply(
            ApplyRouting(
                add_rules=modem_rules(ALLOCATION, 2000, BEARER),
                add_routes=modem_routes(ALLOCATION, BEARER, index),
                relax_reverse_path_filter_of=index,
            )
        )
        devices.make(SERIAL, HARDWARE)
        clearing = HostClearing(
            proxies=ProxyInstances(units, config_dir=tmp_path / "3proxy", state_dir=tmp_path / "run"),
            routing=routing,
            links=links,
            device_links=devices,
            uids=range(70_000, 70_500),
            tables=range(20_000, 20_500),
        )
        yield Host(clearing, units, tmp_path)
        channel.close()


def network() -> tuple[str, ...]:
    """Everything that a modem changes in the network of a host."""
    tables = [ip(family, "route", "show", "table", "all") for family in ("-4", "-6")]
    routes = "\n".join(line for text in tables for line in text.splitlines() if "table 2" in line)
    return ip("-4", "rule"), ip("-6", "rule"), routes


@pytest.mark.root
@needs_root
def test_nothing_of_a_modem_is_left(host: Host) -> None:
    assert "uidrange" in ip("rule")
    assert "unreachable" in network()[2]
    cleared = host.clearing.clear()
    assert cleared.proxies == (SERIAL,)
    assert cleared.links == ("wwan0",)
    assert {rule.table for rule in cleared.rules} == {ALLOCATION.table}
    with fresh_namespace():
        untouched = network()
    assert network() == untouched
    link = ip("addr", "show", "dev", "wwan0")
    assert "altname" not in link
    assert "10.9.0.2" not in link
    assert "2001:db8" not in link
    assert ",UP" not in link
    assert Path("/proc/sys/net/ipv4/conf/wwan0/rp_filter").read_text() == "1\n"
    assert host.units.running == set()
    assert not (host.tmp_path / "3proxy" / f"{SERIAL}.cfg").exists()
    assert not (host.tmp_path / "modems").exists()


@pytest.mark.root
@needs_root
def test_it_can_be_repeated_and_finds_nothing(host: Host) -> None:
    host.clearing.clear()
    again = host.clearing.clear()
    assert (again.proxies, again.rules, again.links) == ((), (), ())


@pytest.mark.root
@needs_root
def test_rules_stay_while_a_proxy_cannot_be_stopped(host: Host) -> None:
    host.units.stubborn.add(SERIAL)
    before = network()
    with pytest.raises(TransientError, match=f"{SERIAL}: it does not end"):
        host.clearing.clear()
    assert network() == before
    assert "altname" in ip("link", "show", "dev", "wwan0")


@pytest.mark.root
@needs_root
def test_what_belongs_to_others_is_not_touched(host: Host) -> None:
    ip("rule", "add", "uidrange", "1000-1000", "lookup", "5000", "pref", "900")
    ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
    ip("link", "property", "add", "dev", "eth0", "altname", "lan-port")
    ip("addr", "add", "192.0.2.1/24", "dev", "eth0", "noprefixroute")
    ip("addr", "add", "198.51.100.9/32", "dev", "wwan0")
    (host.tmp_path / "modems" / "by-path").mkdir()
    (host.tmp_path / "modems" / "by-path" / "at").symlink_to("/dev/null")
    (host.tmp_path / "modems" / "by-path" / "nmea").symlink_to("/dev/null")
    host.clearing.clear()
    assert "lookup 5000" in ip("rule")
    assert "192.0.2.1" in ip("addr", "show", "dev", "eth0")
    assert "lan-port" in ip("link", "show", "dev", "eth0")
    assert "198.51.100.9" in ip("addr", "show", "dev", "wwan0")
    assert (host.tmp_path / "modems" / "by-path" / "nmea").is_symlink()


@pytest.mark.root
@needs_root
def test_numbers_of_earlier_settings_go_too(host: Host) -> None:
    rules = modem_rules(EARLIER, 2000)
    host.clearing.routing.apply(ApplyRouting(add_rules=rules, add_routes=modem_routes(EARLIER, None, None)))
    cleared = replace(host.clearing, allocations=(EARLIER,)).clear()
    assert rules <= set(cleared.rules)
    assert "60000" not in ip("rule")
    assert ip("route", "show", "table", "10000") == ""


@pytest.mark.root
@needs_root
def test_two_modems_with_one_address_leave_no_rule_of_either(host: Host) -> None:
    other = Allocation(tcp_port=3129, uid=70_001, table=20_001)
    host.clearing.routing.apply(ApplyRouting(add_rules=modem_rules(other, 2000, BEARER)))
    host.clearing.clear()
    assert str(ip_address("10.9.0.2")) not in ip("rule")


def test_who_has_a_file_open_is_found(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    assert users_of([path]) == ()
    path.touch()
    assert users_of([path]) == ()
    with path.open():
        assert users_of([path]) == (os.getpid(),)
