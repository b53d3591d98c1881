"""Verdicts on facts: a healthy host is ok throughout, and each trouble is one finding that says how to mend it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.doctor.clock import judge_clock
from agent.doctor.configuration import ConfigurationFacts, judge_configuration
from agent.doctor.database import DatabaseFacts, ServerFacts, judge_database
from agent.doctor.files import FileFacts, Place, judge_files
from agent.doctor.findings import Findings, Severity, listed
from agent.doctor.holders import Holder, HolderFacts, judge_holders, lastmile_command
from agent.doctor.kernel import DRIVERS, KernelFacts, judge_kernel
from agent.doctor.links import ManagerFacts, ModemLink, judge_managers
from agent.doctor.network import LinkFilter, NetworkFacts, Switch, judge_network
from agent.doctor.proxies import (
    ConfigDirFacts,
    PortFacts,
    Taken,
    UidFacts,
    judge_config_dir,
    judge_ports,
    judge_uids,
)
from agent.doctor.routing import PolicyRule, RoutingFacts, TableRoutes, judge_routing
from agent.doctor.tools import Program, ToolFacts, judge_tools, parse_version, proxy_notice
from agent.doctor.udev import RuleFile, UdevFacts, UdevModem, judge_udev
from agent.doctor.units import Unit, UnitFacts, judge_units, parse_units
from agent.doctor.usb import KernelLine, UsbFacts, UsbModem, judge_usb

OK, HINT, WARNING, FAILURE, UNKNOWN = Severity
Expected = dict[str, Severity]


def troubles(findings: Findings) -> Expected:
    """Everything that is not ok, by id; the worst of each id. What is to be mended says how."""
    assert findings
    found: Expected = {}
    for each in findings:
        assert "\n" not in each.finding + each.mend
        assert each.finding
        if each.severity.to_be_mended:
            assert each.mend, each
        if each.severity is not OK and found.get(each.id) not in (FAILURE, WARNING):
            found[each.id] = each.severity
    return found


def cases(*rows: tuple[dict[str, Any], Expected]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("change", "expected"), [pytest.param(*row, id=str(list(row[0]) or "fine")) for row in rows]
    )


KERNEL = KernelFacts(
    release="6.1.0-30-amd64",
    has_usb=True,
    loaded=frozenset({"usbserial"}),
    loadable=frozenset({*DRIVERS, "usbcore"}),
    blocked={"nouveau": "/etc/modprobe.d/x.conf"},
)
CLOUD = "6.1.0-30-cloud-amd64"


@cases(
    ({}, {}),
    ({"has_usb": False}, {"kernel.usb": HINT}),
    ({"has_usb": False, "loadable": frozenset(DRIVERS)}, {"kernel.usb": FAILURE}),
    (
        {"release": CLOUD, "has_usb": False, "loadable": frozenset({"ext4"}), "loaded": frozenset()},
        {"kernel.usb": FAILURE, "kernel.modules": FAILURE},
    ),
    ({"loadable": frozenset({"option"})}, {"kernel.modules": FAILURE}),
    ({"loadable": None}, {"kernel.modules": UNKNOWN}),
    ({"loadable": None, "loaded": frozenset(DRIVERS)}, {}),
    ({"blocked": {"qmi_wwan": "/etc/modprobe.d/no-wwan.conf"}}, {"kernel.blocked": FAILURE}),
)
def test_kernel(change: dict[str, Any], expected: Expected) -> None:
    assert troubles(judge_kernel(replace(KERNEL, **change))) == expected


def test_a_cloud_kernel_is_called_one() -> None:
    said = judge_kernel(replace(KERNEL, release=CLOUD, has_usb=False, loadable=frozenset(), loaded=frozenset()))
    assert "cloud kernel" in said[0].finding
    assert "linux-image-amd64" in said[0].mend


MODEM = UsbModem(
    slot="1-1.1",
    controller="0000:00:14.0",
    controller_driver="xhci_hcd",
    power_control="on",
    persist="0",
    authorised=True,
    serial_ports=4,
    has_qmi=True,
    link="wwan0",
)


def plugged(count: int, **change: Any) -> tuple[UsbModem, ...]:
    return tuple(replace(MODEM, slot=f"1-1.{number + 1}", **change) for number in range(count))


def kernel_log(text: str, seconds_ago: float | None = 60.0) -> tuple[KernelLine, ...]:
    return (
        KernelLine(seconds_ago=5.0, text="usb 1-1: new high-speed USB device"),
        KernelLine(seconds_ago=seconds_ago, text=text),
    )


@cases(
    ({}, {}),
    ({"modems": ()}, {"usb.modems": HINT}),
    ({"modems": plugged(4)}, {"usb.endpoints": HINT}),
    ({"modems": plugged(6)}, {"usb.endpoints": HINT}),
    ({"modems": plugged(7)}, {"usb.endpoints": WARNING}),
    ({"modems": plugged(30, controller_driver="vhci_hcd")}, {}),
    ({"modems": plugged(30, controller_driver="ehci-pci")}, {}),
    ({"modems": plugged(3) + plugged(3, controller="0000:01:00.0")}, {}),
    ({"modems": plugged(1, authorised=False, serial_ports=0, has_qmi=False)}, {"usb.authorised": FAILURE}),
    ({"modems": plugged(1, serial_ports=2)}, {"usb.ports": FAILURE}),
    ({"modems": plugged(1, has_qmi=False)}, {"usb.ports": FAILURE}),
    ({"modems": plugged(1, power_control="auto")}, {"usb.power": WARNING}),
    ({"modems": plugged(1, persist="1")}, {"usb.power": HINT}),
    ({"modems": plugged(1, power_control=None, persist=None, authorised=None)}, {}),
    ({"log": None}, {"usb.log": UNKNOWN}),
    (
        {"log": kernel_log("usb 1-1.4: Not enough host controller resources for new device state.")},
        {"usb.log_endpoints": WARNING},
    ),
    ({"log": kernel_log("usb 1-1.4: can't set config #1, error -12")}, {"usb.log_endpoints": WARNING}),
    ({"log": kernel_log("usb 1-1.4: can't set config #1, error -12", 3 * 86_400)}, {"usb.log_endpoints": HINT}),
    ({"log": kernel_log("usb 1-1.4: can't set config #1, error -12", None)}, {"usb.log_endpoints": WARNING}),
    ({"log": kernel_log("usb 1-1.4: can't set config #1, error -71")}, {}),
    ({"log": kernel_log("usb usb1-port3: over-current condition")}, {"usb.log_over_current": WARNING}),
    ({"log": kernel_log("usb 1-1-port2: unable to enumerate USB device")}, {"usb.log_enumeration": WARNING}),
    ({"log": kernel_log("usb 1-1: Not enough bandwidth for new device state.")}, {"usb.log_bandwidth": WARNING}),
)
def test_usb(change: dict[str, Any], expected: Expected) -> None:
    assert troubles(judge_usb(replace(UsbFacts(modems=plugged(1), log=()), **change))) == expected


def test_a_trouble_in_the_log_is_counted_and_dated() -> None:
    lines = kernel_log("usb 1-1.4: can't set config #1, error -12", 7300.0)
    (found,) = (each for each in judge_usb(UsbFacts(modems=(), log=lines + lines)) if each.id == "usb.log_endpoints")
    assert "2 times, last 2 hours ago" in found.finding


PACKAGED = RuleFile(path="/usr/lib/udev/rules.d/61-lastmile-modem.rules", masked=False, text="rule")
IN_ETC = RuleFile(path="/etc/udev/rules.d/61-lastmile-modem.rules", masked=False, text="rule")
NOTED = UdevModem(slot="1-1", known=True, kept_from_modemmanager=True)


@cases(
    ({}, {}),
    ({"running": False}, {"udev.running": FAILURE}),
    ({"rules": ()}, {"udev.rules": FAILURE}),
    ({"rules": ((IN_ETC, PACKAGED),)}, {}),
    ({"rules": ((replace(IN_ETC, text="older"), PACKAGED),)}, {"udev.rules": WARNING}),
    ({"rules": ((replace(IN_ETC, masked=True, text=""), PACKAGED),)}, {"udev.rules": FAILURE}),
    ({"modems": (NOTED, replace(NOTED, slot="1-2", kept_from_modemmanager=False))}, {"udev.modems": FAILURE}),
    ({"modems": (replace(NOTED, known=False, kept_from_modemmanager=False),)}, {"udev.modems": FAILURE}),
)
def test_udev(change: dict[str, Any], expected: Expected) -> None:
    assert (
        troubles(judge_udev(replace(UdevFacts(running=True, rules=((PACKAGED,),), modems=(NOTED,)), **change)))
        == expected
    )


AGENT = Holder(pid=10, name="lastmile", node="/dev/ttyUSB2", slot="1-1", is_agent=True)
QMI_PROXY = Holder(pid=11, name="qmi-proxy", node="/dev/cdc-wdm0", slot="1-1", is_agent=False)
MINICOM = Holder(pid=12, name="minicom", node="/dev/ttyUSB2", slot="1-1", is_agent=False)
MM = replace(MINICOM, pid=13, name="ModemManager")
HOLDERS = HolderFacts(holders=(AGENT, QMI_PROXY), agents=(10,), complete=True, modemmanager_runs=False)


@cases(
    ({}, {}),
    ({"agents": ()}, {"ports.agents": HINT}),
    ({"agents": (10, 20)}, {"ports.agents": FAILURE}),
    ({"holders": (AGENT, MINICOM)}, {"ports.holders": FAILURE}),
    ({"modemmanager_runs": True}, {"ports.modemmanager": HINT}),
    ({"holders": (MM,), "modemmanager_runs": True}, {"ports.holders": FAILURE, "ports.modemmanager": WARNING}),
    ({"complete": False}, {"ports.holders": UNKNOWN}),
    ({"complete": False, "holders": (MINICOM,)}, {"ports.holders": FAILURE}),
)
def test_holders(change: dict[str, Any], expected: Expected) -> None:
    assert troubles(judge_holders(replace(HOLDERS, **change))) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/usr/lib/lastmile/bin/python /usr/lib/lastmile/bin/lastmile agent", "agent"),
        ("/usr/lib/lastmile/versions/0.2.0.x/bin/python -I -m agent agent", "agent"),
        ("/usr/bin/lastmile agent", "agent"),
        ("/x/python -m agent.cli.main --config /y agent", "agent"),
        ("/x/python -m agent --config=/y web", "web"),
        ("/usr/bin/lastmile --config agent status", "status"),
        ("/usr/bin/lastmile", None),
        ("/usr/sbin/zabbix agent", None),
        ("/usr/sbin/agent agent", None),
        ("vim /etc/lastmile/lastmile.toml agent", None),
        ("", None),
    ],
)
def test_which_subcommand_a_process_is(line: str, expected: str | None) -> None:
    assert lastmile_command(line.split()) == expected


LINK = ModemLink(name="wwan0", networkmanager_manages=False, networkd_state="unmanaged")
MANAGERS = ManagerFacts(
    links=(LINK,),
    networkd_runs=False,
    networkd_keeps_foreign_rules=False,
    networkd_keeps_foreign_routes=False,
    dhcpcd_runs=False,
    dhcpcd_spares_links=False,
)


@cases(
    ({}, {}),
    ({"links": (replace(LINK, networkmanager_manages=None, networkd_state=None),)}, {}),
    ({"links": (replace(LINK, networkmanager_manages=True),)}, {"links.networkmanager": FAILURE}),
    ({"links": (replace(LINK, networkd_state="configured"),)}, {"links.networkd": FAILURE}),
    ({"networkd_runs": True}, {"links.networkd_rules": WARNING}),
    ({"networkd_runs": True, "networkd_keeps_foreign_rules": True}, {"links.networkd_rules": WARNING}),
    ({"networkd_runs": True, "networkd_keeps_foreign_rules": True, "networkd_keeps_foreign_routes": True}, {}),
    ({"dhcpcd_runs": True}, {"links.dhcpcd": WARNING}),
    ({"dhcpcd_runs": True, "dhcpcd_spares_links": True}, {}),
)
def test_managers(change: dict[str, Any], expected: Expected) -> None:
    assert troubles(judge_managers(replace(MANAGERS, **change))) == expected


SWITCH = Switch(file="/usr/lib/sysctl.d/60-lastmile.conf", name="net.ipv4.tcp_rmem", wanted="1 2 3", actual="1\t2\t3")
NETWORK = NetworkFacts(
    filter_of_all=0,
    filter_of_default=2,
    filters=(LinkFilter(link="wwan0", value=0),),
    switches=(SWITCH,),
    switch_files=(SWITCH.file,),
    ephemeral=(32_768, 60_999),
    reserved=(),
    proxy_ports=(3128, 3627),
    agent_runs=True,
)


@cases(
    ({}, {}),
    ({"filters": (LinkFilter(link="wwan0", value=1),)}, {"net.rp_filter": WARNING}),
    ({"filter_of_all": 1}, {"net.rp_filter": WARNING}),
    ({"filter_of_all": 1, "filters": (LinkFilter(link="wwan0", value=2),)}, {}),
    ({"switch_files": (), "switches": ()}, {"net.sysctl": HINT}),
    ({"switches": (replace(SWITCH, actual="1 2 4"),)}, {"net.sysctl": WARNING}),
    ({"switches": (replace(SWITCH, actual=None),)}, {}),
    ({"ephemeral": (1024, 65_535)}, {"net.ephemeral_ports": WARNING}),
    ({"ephemeral": (1024, 65_535), "reserved": ((3128, 3626),)}, {"net.ephemeral_ports": WARNING}),
    ({"ephemeral": (1024, 65_535), "reserved": ((3000, 3300), (3301, 3627))}, {}),
    ({"ephemeral": None}, {}),
)
def test_network(change: dict[str, Any], expected: Expected) -> None:
    assert troubles(judge_network(replace(NETWORK, **change))) == expected


LOCAL = PolicyRule(family=4, priority=0, table=255)
HOST = PolicyRule(family=4, priority=50, table=254, suppresses=True)
OURS = PolicyRule(family=4, priority=2000, table=20_000, first_uid=70_000, last_uid=70_000)
BY_ADDRESS = PolicyRule(family=4, priority=3000, table=20_000, source="10.0.0.2/32")
MAIN = PolicyRule(family=4, priority=32_766, table=254)
RULES = (LOCAL, HOST, OURS, BY_ADDRESS, MAIN)
WG_QUICK = PolicyRule(family=4, priority=49, table=51_820)
ROUTING = RoutingFacts(
    rules=RULES,
    tables=(TableRoutes(table=20_000, links=("wwan0",)),),
    modem_links=frozenset({"wwan0"}),
    uids=range(70_000, 70_500),
    table_range=range(20_000, 20_500),
    priority=2000,
    known_uids=frozenset({70_000}),
    known_tables=frozenset({20_000}),
)


@cases(
    ({}, {}),
    ({"rules": (LOCAL, MAIN)}, {}),
    ({"rules": (*RULES, WG_QUICK)}, {"net.rules": WARNING}),
    ({"rules": (*RULES, replace(WG_QUICK, priority=10_000))}, {}),
    ({"rules": (*RULES, replace(WG_QUICK, narrow=True))}, {}),
    ({"rules": (*RULES, replace(WG_QUICK, source="192.168.1.0/24"))}, {}),
    ({"rules": (*RULES, replace(WG_QUICK, table=254, suppresses=True))}, {}),
    ({"rules": (*RULES, replace(WG_QUICK, first_uid=1000, last_uid=1000))}, {}),
    ({"rules": (*RULES, replace(WG_QUICK, first_uid=0, last_uid=70_000))}, {"net.rules": WARNING}),
    ({"rules": (*RULES, replace(WG_QUICK, table=None))}, {"net.rules": WARNING}),
    ({"rules": (LOCAL, OURS, MAIN)}, {"net.rules_order": WARNING}),
    ({"rules": (*RULES, replace(OURS, table=20_007, first_uid=70_007, last_uid=70_007))}, {"net.stale_rules": WARNING}),
    ({"rules": (*RULES, replace(BY_ADDRESS, table=20_007))}, {"net.stale_rules": WARNING}),
    ({"known_uids": None, "known_tables": None}, {"net.stale_rules": UNKNOWN}),
    ({"known_uids": None, "known_tables": None, "rules": (LOCAL, HOST, MAIN)}, {}),
    ({"tables": (TableRoutes(table=20_003, links=("eth1",)),)}, {"net.tables": WARNING}),
)
def test_routing(change: dict[str, Any], expected: Expected) -> None:
    assert troubles(judge_routing(replace(ROUTING, **change))) == expected


MODERN = Program(path="/usr/bin/3proxy", told="3proxy tiny proxy server\n3proxy-1.0.0 (260801)\n")
TOOLS = ToolFacts(
    threeproxy=MODERN,
    qmicli=Program(name="qmicli", path="/usr/bin/qmicli", told="qmicli 1.32.2\nCopyright (C) 2012-2021 A. Morgado"),
    qmi_proxy="/usr/libexec/qmi-proxy",
    distribution_service=None,
)


@cases(
    ({}, {}),
    ({"threeproxy": Program(path=None)}, {"tools.3proxy": FAILURE}),
    ({"threeproxy": Program(path=None, elsewhere="/opt/3proxy/bin/3proxy")}, {"tools.3proxy": FAILURE}),
    ({"threeproxy": replace(MODERN, told="3proxy-0.9.8")}, {"tools.3proxy": FAILURE}),
    ({"threeproxy": replace(MODERN, told="3proxy-0.9.9")}, {}),
    ({"threeproxy": replace(MODERN, told="")}, {"tools.3proxy": HINT}),
    ({"threeproxy": replace(MODERN, stand_in=True)}, {"tools.3proxy": HINT}),
    ({"threeproxy": replace(MODERN, stand_in=True, path=None)}, {"tools.3proxy": FAILURE}),
    ({"distribution_service": "active"}, {"tools.3proxy_service": WARNING}),
    ({"qmicli": Program(path=None)}, {"tools.qmicli": FAILURE}),
    ({"qmicli": Program(path="/usr/bin/qmicli", told="qmicli 1.26.0")}, {"tools.qmicli": WARNING}),
    ({"qmicli": Program(path="/usr/bin/qmicli", told="usage")}, {"tools.qmicli": HINT}),
    ({"qmi_proxy": None}, {"tools.qmi_proxy": FAILURE}),
)
def test_tools(change: dict[str, Any], expected: Expected) -> None:
    assert troubles(judge_tools(replace(TOOLS, **change))) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("3proxy tiny proxy server\n3proxy-0.9.4 (20210414)\n(c) 2000-2021 3APA3A", (0, 9, 4)),
        ("Usage: 3proxy [conffile]\n\n3proxy tiny proxy server stable 1.0 released 2026", (1, 0)),
        ("listens on 127.0.0.1, version 0.9.10", (0, 9, 10)),
        ("127.0.0.1", None),
        ("Usage: 3proxy [conffile]", None),
        ("qmicli 1.32.2\nCopyright (C) 2012-2021", (1, 32, 2)),
        ("", None),
    ],
)
def test_a_version_is_found_in_what_a_program_says(told: str, expected: tuple[int, ...] | None) -> None:
    assert parse_version(told) == expected


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (MODERN, None),
        (replace(MODERN, told=""), None),
        (replace(MODERN, told="3proxy-0.9.3"), "3proxy 0.9.3 is too old"),
        (Program(path=None), "3proxy is not installed: modems are brought up, but no proxy can start"),
        (Program(path=None, elsewhere="/opt/3proxy"), "at /opt/3proxy"),
        (Program(name="/opt/wrapper", path=None), "/opt/wrapper is not installed"),
        (Program(name="python", path="/usr/bin/python", stand_in=True), None),
    ],
)
def test_people_are_told_when_no_proxy_can_start(program: Program, words: str | None) -> None:
    notice = proxy_notice(program)
    assert notice is None if words is None else notice is not None and words in notice


PORTS = PortFacts(proxy_ports=(3128, 3627), web_port=8080, taken=(), complete=True)
SQUID = Taken(tcp_port=3128, address="0.0.0.0", uid=13, processes=("squid (process 7)",), ours=False)


@cases(
    ({}, {}),
    ({"taken": (replace(SQUID, uid=70_000, ours=True, processes=()),)}, {}),
    ({"taken": (SQUID,)}, {"tcp.proxies": FAILURE}),
    ({"taken": (replace(SQUID, tcp_port=8080),)}, {"tcp.web": FAILURE}),
    ({"taken": (replace(SQUID, processes=()),), "complete": False}, {"tcp.proxies": UNKNOWN}),
    ({"taken": (replace(SQUID, processes=()),)}, {"tcp.proxies": FAILURE}),
    ({"web_port": 3200}, {"tcp.overlap": FAILURE}),
)
def test_ports(change: dict[str, Any], expected: Expected) -> None:
    assert troubles(judge_ports(replace(PORTS, **change))) == expected


UIDS = UidFacts(
    uids=range(70_000, 70_500), accounts=((70_000, "lastmile-proxy-70000"),), subordinate=(("a", 100_000, 65_536),)
)


@cases(
    ({}, {}),
    ({"accounts": ((70_001, "alice"),)}, {"proxy.uids": FAILURE}),
    ({"subordinate": (("bob", 65_536, 65_536),)}, {"proxy.subuids": WARNING}),
    ({"uids": range(61_000, 61_500), "accounts": ()}, {"proxy.uid_range": WARNING}),
    ({"uids": range(600_000, 600_500), "accounts": ()}, {"proxy.uid_range": WARNING}),
    ({"uids": range(65_400, 65_900), "accounts": (), "subordinate": ()}, {"proxy.uid_range": WARNING}),
)
def test_uids(change: dict[str, Any], expected: Expected) -> None:
    assert troubles(judge_uids(replace(UIDS, **change))) == expected


CONFIG_DIR = ConfigDirFacts(
    path="/etc/lastmile/3proxy",
    exists=True,
    closed_at=None,
    writable_by_others=(),
    readable_by_all=(),
    files=1,
    visible=True,
)


@cases(
    ({}, {}),
    ({"exists": False, "files": 0}, {"proxy.config_dir": HINT}),
    ({"closed_at": "/etc/lastmile"}, {"proxy.config_dir": FAILURE}),
    ({"writable_by_others": ("/etc/lastmile/3proxy",)}, {"proxy.config_dir": FAILURE}),
    ({"readable_by_all": ("/etc/lastmile/3proxy/1.cfg",)}, {"proxy.config_dir": WARNING}),
    ({"visible": False}, {"proxy.config_dir": UNKNOWN}),
)
def test_config_dir(change: dict[str, Any], expected: Expected) -> None:
    assert troubles(judge_config_dir(replace(CONFIG_DIR, **change))) == expected


SERVER = ServerFacts(
    version="15.14",
    standby=False,
    missing_migrations=(),
    unknown_migrations=(),
    connections_most=97,
    connections_used=20,
    clock_ahead_seconds=0.1,
    clock_doubt_seconds=0.01,
    known_uids=frozenset(),
    known_tables=frozenset(),
)
DATABASE = DatabaseFacts(server=SERVER, error="", settings_usable=True, connections_needed=12, agent_runs=False)


@cases(
    ({}, {}),
    ({"server": None, "settings_usable": False}, {"database.reach": UNKNOWN}),
    ({"server": None, "error": "connection refused"}, {"database.reach": FAILURE}),
    ({"server": replace(SERVER, standby=True)}, {"database.standby": FAILURE}),
    ({"server": replace(SERVER, missing_migrations=("0004.x",))}, {"database.schema": FAILURE}),
    ({"server": replace(SERVER, unknown_migrations=("0009.x",))}, {"database.schema": FAILURE}),
    ({"server": replace(SERVER, connections_used=90)}, {"database.connections": WARNING}),
    ({"server": replace(SERVER, connections_used=90), "agent_runs": True}, {}),
    ({"server": replace(SERVER, connections_used=95), "agent_runs": True}, {"database.connections": WARNING}),
    ({"server": replace(SERVER, clock_ahead_seconds=-9.0)}, {"database.clock": WARNING}),
    ({"server": replace(SERVER, clock_ahead_seconds=2.5, clock_doubt_seconds=1.0)}, {}),
)
def test_database(change: dict[str, Any], expected: Expected) -> None:
    assert troubles(judge_database(replace(DATABASE, **change))) == expected


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ('FATAL: database "lastmile" does not exist', "dpkg-reconfigure"),
        ("FATAL: Peer authentication failed for user", "sudo lastmile doctor"),
        ("FATAL: sorry, too many clients already", "max_connections"),
        ("connection refused", "systemctl status postgresql"),
    ],
)
def test_the_way_to_mend_the_database_fits_the_error(error: str, words: str) -> None:
    (found,) = judge_database(replace(DATABASE, server=None, error=error))
    assert words in found.mend


@pytest.mark.parametrize(("synchronised", "expected"), [(True, OK), (False, WARNING), (None, UNKNOWN)])
def test_clock(synchronised: bool | None, expected: Severity) -> None:
    (found,) = judge_clock(synchronised)
    assert found.severity is expected


STATE = Place(
    setting="state_dir",
    path="/var/lib/lastmile",
    exists=True,
    owner=0,
    others_may_write=False,
    read_only=False,
    free_bytes=10**10,
    free_inodes=10**6,
)


@cases(
    ({}, {}),
    ({"exists": False, "owner": None}, {"files.state_dir": HINT}),
    ({"owner": 1000}, {"files.state_dir": FAILURE}),
    ({"others_may_write": True}, {"files.state_dir": FAILURE}),
    ({"read_only": True}, {"files.state_dir": FAILURE}),
    ({"free_bytes": None}, {"files.state_dir": UNKNOWN}),
    ({"free_bytes": 10**6}, {"files.room": FAILURE}),
    ({"free_bytes": 10**8}, {"files.room": WARNING}),
    ({"free_inodes": 5}, {"files.room": FAILURE}),
    ({"free_inodes": None}, {}),
)
def test_files(change: dict[str, Any], expected: Expected) -> None:
    assert troubles(judge_files(FileFacts(places=(replace(STATE, **change),), loose_settings=()))) == expected


def test_settings_that_others_may_change() -> None:
    facts = FileFacts(places=(), loose_settings=("/etc/lastmile/lastmile.toml",))
    assert troubles(judge_files(facts)) == {"files.settings": FAILURE}


def unit(name: str, **change: Any) -> Unit:
    plain = Unit(
        name=name, load="loaded", active="active", enabled="static", result="success", restarts=0, needs_reload=False
    )
    return replace(plain, **change)


TARGET = unit("lastmile.target", enabled="enabled")
RUNS, WEB = unit("lastmile-agent.service"), unit("lastmile-web.service")
MISSING = {"load": "not-found", "active": "inactive"}


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ((TARGET, RUNS, WEB), {}),
        ((replace(TARGET, enabled="disabled"), RUNS, WEB), {"units.target": WARNING}),
        ((TARGET, replace(RUNS, active="inactive"), WEB), {"units.services": FAILURE}),
        ((TARGET, replace(RUNS, load="masked", active="inactive"), WEB), {"units.masked": FAILURE}),
        (
            (TARGET, replace(RUNS, active="failed", result="watchdog"), WEB),
            {"units.services": FAILURE, "units.failed": FAILURE},
        ),
        ((TARGET, RUNS, WEB, unit("3proxy@1.service", active="failed")), {"units.failed": FAILURE}),
        ((TARGET, replace(RUNS, restarts=3), WEB), {"units.restarts": HINT}),
        ((TARGET, replace(RUNS, needs_reload=True), WEB), {"units.reload": WARNING}),
        ((replace(TARGET, **MISSING), replace(RUNS, **MISSING)), {"units.installed": FAILURE}),  # type: ignore[arg-type]
        (None, {"units.systemd": UNKNOWN}),
    ],
)
def test_units(units: tuple[Unit, ...] | None, expected: Expected) -> None:
    assert troubles(judge_units(UnitFacts(units=units, error="no bus", needs_systemd=True))) == expected


def test_without_systemd_where_none_is_needed() -> None:
    assert troubles(judge_units(UnitFacts(units=None, error="", needs_systemd=False))) == {}


def test_units_are_read_from_systemctl_show() -> None:
    told = (
        "Result=watchdog\nNRestarts=3\nId=lastmile-agent.service\nLoadState=loaded\nActiveState=failed\n"
        "UnitFileState=enabled\nNeedDaemonReload=yes\n\nId=lastmile.target\nLoadState=not-found\nActiveState=inactive\n"
    )
    agent, target = parse_units(told)
    assert (agent.result, agent.restarts, agent.needs_reload, agent.enabled) == ("watchdog", 3, True, "enabled")
    assert (target.load, target.restarts, target.needs_reload) == ("not-found", 0, False)


CONFIGURATION = ConfigurationFacts(
    problems=(),
    readable=True,
    warnings=(),
    listen="192.168.1.2",
    allow=("192.168.1.0/24",),
    address_error="",
    has_users=False,
    own_addresses=("127.0.0.1", "192.168.1.2", "8.8.4.4"),
    web_listen="127.0.0.1",
)


@cases(
    ({}, {}),
    ({"problems": ("a mistake",)}, {"settings.valid": FAILURE}),
    ({"problems": ("a mistake",), "readable": False}, {"settings.valid": UNKNOWN}),
    ({"warnings": ("/etc/x: everybody can read database.url",)}, {"settings.permissions": WARNING}),
    ({"listen": None, "address_error": "no default route yet"}, {"settings.listen": WARNING}),
    ({"listen": "192.168.9.9"}, {"settings.listen": FAILURE}),
    ({"listen": "0.0.0.0"}, {}),
    ({"allow": ("0.0.0.0/0",)}, {"settings.open": FAILURE}),
    ({"allow": ("::/0",), "has_users": True}, {}),
    ({"listen": "8.8.4.4"}, {"settings.open": HINT}),
    ({"web_listen": "192.168.1.2"}, {"settings.web": HINT}),
    ({"web_listen": "192.168.9.9"}, {"settings.web": FAILURE}),
)
def test_configuration(change: dict[str, Any], expected: Expected) -> None:
    assert troubles(judge_configuration(replace(CONFIGURATION, **change))) == expected


def test_a_line_stays_a_line_however_many_there_are() -> None:
    assert listed(range(3)) == "0, 1, 2"
    assert listed(range(30)) == "0, 1, 2, 3, 4, 5 and 24 more"
