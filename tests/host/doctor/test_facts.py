"""Facts from trees that look like a host's, and from this very machine."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.settings.schema import AgentSettings, ProxySettings
from agent.doctor.tools import Program
from agent.doctor.usb import KernelLine, UsbModem
from agent.host.doctor import kernel, machine, managers, modems, network, proxies, tools
from agent.host.doctor.notices import ProxyProgram
from agent.host.doctor.places import Places
from agent.host.doctor.processes import Process, Processes, fetch_processes
from agent.host.netlink import NetlinkChannel
from tests.host.netns import fresh_namespace, ip, needs_root
from tests.host.sysfs_tree import CONTROLLER, DirectoryBed, Plug

HERE = Places()


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def write(places: Places, path: str, text: str) -> Path:
    file = places.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def process(**change: object) -> Process:
    plain = Process(
        pid=7,
        name="x",
        command=(),
        sockets=frozenset(),
        devices=frozenset(),
        shares_network=True,
        visible=True,
    )
    return replace(plain, **change)  # type: ignore[arg-type]


# -- files of several directories ------------------------------------------------------------------------------------


def test_the_file_of_the_first_directory_counts(places: Places) -> None:
    for directory in ("usr/lib", "etc", "run"):
        write(places, f"{directory}/udev/rules.d/61-lastmile-modem.rules", directory)
    write(places, "usr/lib/udev/rules.d/77-other.rules", "")
    (places.root / "lib").symlink_to("usr/lib")
    ((first, second, third),) = places.named("udev/rules.d", "*lastmile*.rules")
    assert [path.read_text() for path in (first, second, third)] == ["etc", "run", "usr/lib"]


def test_masked_and_hidden_rules(places: Places) -> None:
    write(places, "usr/lib/udev/rules.d/61-lastmile-modem.rules", "rule")
    (places.root / "etc/udev/rules.d").mkdir(parents=True)
    (places.root / "etc/udev/rules.d/61-lastmile-modem.rules").symlink_to("/dev/null")
    facts = modems.fetch_udev(places, ())
    ((active, hidden),) = facts.rules
    assert (active.masked, hidden.masked, hidden.text) == (True, False, "rule")
    assert not facts.running


# -- kernel ----------------------------------------------------------------------------------------------------------


def test_modules_on_disk_built_in_loaded_and_blocked(places: Places) -> None:
    write(places, "lib/modules/6.1.0/modules.dep", "kernel/drivers/usb/serial/option.ko.xz: kernel/usb-wwan.ko\n")
    write(places, "lib/modules/6.1.0/modules.builtin", "kernel/drivers/usb/class/cdc-wdm.ko\n")
    (places.root / "sys/module/usbserial").mkdir(parents=True)
    write(places, "usr/lib/modprobe.d/a.conf", "# blacklist option\nblacklist qmi-wwan # no\noptions option x=1\n")
    write(places, "etc/modprobe.d/b.conf", "install option /bin/false\ninstall usbserial /sbin/modprobe -i usbserial\n")
    facts = kernel.fetch_kernel(places, "6.1.0")
    assert facts.loadable == frozenset({"option", "cdc_wdm"})
    assert facts.loaded == frozenset({"usbserial"})
    assert dict(facts.blocked) == {
        "qmi_wwan": str(places.root / "usr/lib/modprobe.d/a.conf"),
        "option": str(places.root / "etc/modprobe.d/b.conf"),
    }
    assert not facts.has_usb
    assert kernel.fetch_kernel(places, "6.9.9").loadable is None


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (
            b"3,1,5000000,-;usb 1-1: can't set config #1, error -12\n SUBSYSTEM=usb\n",
            (95.0, "usb 1-1: can't set config #1, error -12"),
        ),
        (b"6,1,5000000,-;EXT4-fs (sda1): mounted\n", None),
        (b"30,1,5000000,-;usb: a program wrote this\n", None),
        (b"nonsense", None),
        (b"", None),
    ],
)
def test_records_of_the_kernels_log(record: bytes, expected: tuple[float, str] | None) -> None:
    line = kernel.parse_record(record, now=100.0)
    assert line == (KernelLine(seconds_ago=expected[0], text=expected[1]) if expected else None)


def test_lines_of_the_journal() -> None:
    line = kernel.parse_journal_line("90.5 host kernel: hub 1-1:1.0: over-current", now=100.0)
    assert line == KernelLine(seconds_ago=9.5, text="hub 1-1:1.0: over-current")
    for other in ("90.5 host sshd[1]: usb", "x host kernel: usb 1-1", "", "90.5 host kernel: ext4"):
        assert kernel.parse_journal_line(other, now=100.0) is None


def test_the_log_of_this_machine_is_read_to_its_end() -> None:
    started = time.monotonic()
    lines = kernel.fetch_kernel_log(HERE)
    assert lines is None or all(line.text for line in lines)
    assert time.monotonic() - started < 5


# -- modems ----------------------------------------------------------------------------------------------------------


def plug(places: Places, plugs: tuple[Plug, ...]) -> None:
    bed = DirectoryBed(places.root / "sys")
    for each in plugs:
        for entry in each.entries():
            bed.show(entry)


def test_a_modem_with_its_ports_its_controller_and_its_power(places: Places) -> None:
    first, second = (
        Plug(slot="1-1.2"),
        Plug(slot="1-3", first_tty=4, wdm=1, ifindex=9, tty_interfaces=(0,), qmi_interface=None),
    )
    plug(places, (first, second, Plug(slot="1-4", usb_id="0403:6001", first_tty=8, wdm=2)))
    (places.root / f"sys{CONTROLLER}/../driver").symlink_to("../../bus/pci/drivers/xhci_hcd")
    write(places, f"sys{first.device_path}/power/control", "auto\n")
    write(places, f"sys{first.device_path}/authorized", "0\n")
    one, two = modems.fetch_modems(places, ["2c7c:0125"])
    assert one.usb.slot == "1-1.2"
    assert (one.usb.controller, one.usb.controller_driver) == ("0000:00:14.0", "xhci_hcd")
    assert (one.usb.power_control, one.usb.persist, one.usb.authorised) == ("auto", None, False)
    assert (one.usb.serial_ports, one.usb.has_qmi, one.usb.link, one.link_index) == (4, True, "wwan0", 7)
    assert one.nodes == ("/dev/ttyUSB0", "/dev/ttyUSB1", "/dev/ttyUSB2", "/dev/ttyUSB3", "/dev/cdc-wdm0")
    assert (two.usb.serial_ports, two.usb.has_qmi, two.usb.link, two.usb.authorised) == (1, False, None, None)
    assert [each.usb.slot for each in modems.fetch_modems(places, ["2c7c:0125"], left=["1-3"])] == ["1-1.2"]
    noted = {one.syspath: {"ID_MM_DEVICE_IGNORE": "1"}, two.syspath: None}
    facts = modems.fetch_udev(places, (one, two), noted.__getitem__)
    assert [(each.known, each.kept_from_modemmanager) for each in facts.modems] == [(True, True), (False, False)]


def test_a_machine_without_usb_has_no_modems(places: Places) -> None:
    assert modems.fetch_modems(places, ["2c7c:0125"]) == ()


def test_udev_knows_nothing_of_what_is_not_there() -> None:
    assert modems.udev_properties(Path("/sys/devices/nothing")) is None


# -- processes -------------------------------------------------------------------------------------------------------


@contextmanager
def child(script: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has said a line."""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdin is not None
        running.stdout.readline()
        try:
            yield running
        finally:
            running.stdin.close()
            running.wait(10)


def test_who_has_a_device_open_is_found() -> None:
    controller, terminal = os.openpty()
    node = os.ttyname(terminal)
    usb = UsbModem(
        slot="1-1",
        controller="c",
        controller_driver=None,
        power_control=None,
        persist=None,
        authorised=None,
        serial_ports=1,
        has_qmi=False,
        link=None,
    )
    modem = modems.PluggedModem(usb=usb, syspath=Path("/"), nodes=(node, "/dev/not-there"), link_index=None)
    os.close(terminal)
    with child(f"held = open({node!r}); print('open', flush=True); input()") as holder:
        facts = managers.fetch_holders([modem], fetch_processes(HERE.proc))
    (found,) = [each for each in facts.holders if each.pid == holder.pid]
    assert (found.node, found.slot, found.is_agent) == (node, "1-1", False)
    facts = managers.fetch_holders([modem], fetch_processes(HERE.proc))
    assert holder.pid not in [each.pid for each in facts.holders]
    os.close(controller)


@needs_root
@pytest.mark.root
def test_what_an_ordinary_user_cannot_see_is_not_taken_for_nothing() -> None:
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from agent.host.doctor.processes import fetch_processes\n"
        "os.setgid(65534); os.setuid(65534); from pathlib import Path; print(fetch_processes(Path('/proc')).complete)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parents[3])],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert said.stdout.strip() == "False"


# -- managers --------------------------------------------------------------------------------------------------------


def test_what_network_managers_say_of_a_link(places: Places) -> None:
    plug(places, (Plug(slot="1-1", ifindex=7),))
    (modem,) = modems.fetch_modems(places, ["2c7c:0125"])
    none = managers.fetch_managers(places, (modem,), Processes(all=()))
    assert (none.links[0].networkmanager_manages, none.links[0].networkd_state) == (None, None)
    assert not none.networkd_runs
    write(places, "run/NetworkManager/devices/7", "[device]\nmanaged=true\n")
    write(places, "run/systemd/netif/links/7", "# private\nADMIN_STATE=configured\nOPER_STATE=routable\n")
    write(
        places, "etc/systemd/networkd.conf", "[Network]\n#ManageForeignRoutes=no\nManageForeignRoutingPolicyRules=yes\n"
    )
    write(places, "etc/systemd/networkd.conf.d/x.conf", "[Network]\nManageForeignRoutingPolicyRules = no\n")
    write(places, "etc/dhcpcd.conf", "hostname\ndenyinterfaces wwan* veth*\n")
    both = Processes(all=(process(name="systemd-network"), process(name="dhcpcd")))
    facts = managers.fetch_managers(places, (modem,), both)
    assert (facts.links[0].networkmanager_manages, facts.links[0].networkd_state) == (True, "configured")
    assert (facts.networkd_runs, facts.dhcpcd_runs, facts.dhcpcd_spares_links) == (True, True, True)
    assert (facts.networkd_keeps_foreign_rules, facts.networkd_keeps_foreign_routes) == (True, False)


# -- network ---------------------------------------------------------------------------------------------------------


def test_switches_are_compared_with_the_shipped_file(places: Places) -> None:
    write(places, "usr/lib/sysctl.d/60-lastmile.conf", "# why\nnet.core.rmem_max = 8\n-net.a/b.c=1\nnet.*.x=1\nother\n")
    write(places, "proc/sys/net/core/rmem_max", "4\n")
    write(places, "proc/sys/net/ipv4/conf/all/rp_filter", "2\n")
    write(places, "proc/sys/net/ipv4/conf/wwan0/rp_filter", "1\n")
    write(places, "proc/sys/net/ipv4/ip_local_port_range", "1024\t65000\n")
    write(places, "proc/sys/net/ipv4/ip_local_reserved_ports", "3128-3627,8080\n")
    facts = network.fetch_network(places, ProxySettings(), ["wwan0", "wwan1"], agent_runs=True)
    assert [(each.name, each.wanted, each.actual) for each in facts.switches] == [
        ("net.core.rmem_max", "8", "4"),
        ("net.a.b.c", "1", None),
    ]
    assert (facts.filter_of_all, facts.filter_of_default) == (2, 0)
    assert [(each.link, each.value) for each in facts.filters] == [("wwan0", 1)]
    assert facts.ephemeral == (1024, 65_000)
    assert facts.reserved == ((3128, 3627), (8080, 8080))


@needs_root
@pytest.mark.root
def test_rules_and_tables_as_the_kernel_shows_them() -> None:
    with fresh_namespace():
        ip("link", "add", "wwan0", "type", "veth", "peer", "name", "far")
        ip("link", "set", "wwan0", "up")
        ip("rule", "add", "pref", "50", "lookup", "main", "suppress_prefixlength", "0")
        ip("rule", "add", "pref", "2000", "uidrange", "70000-70000", "lookup", "20000")
        ip("rule", "add", "pref", "49", "not", "fwmark", "51820", "lookup", "51820")
        ip("rule", "add", "pref", "48", "fwmark", "1", "lookup", "100")
        ip("rule", "add", "pref", "47", "dev", "wwan0", "lookup", "100")
        ip("rule", "add", "pref", "46", "from", "10.0.0.0/8", "lookup", "100")
        ip("rule", "add", "pref", "45", "dev", "lo", "lookup", "100")
        ip("rule", "add", "pref", "44", "blackhole")
        ip("route", "add", "default", "dev", "wwan0", "table", "20000")
        for family in ("-4", "-6"):
            ip(family, "route", "add", "unreachable", "default", "metric", "9999", "table", "20001")
        ip("route", "add", "default", "dev", "wwan0", "table", "30000")
        channel = NetlinkChannel()
        try:
            rules = {rule.priority: rule for rule in network.fetch_rules(channel) if rule.family == 4}
            tables = network.fetch_tables(channel, range(20_000, 20_500))
        finally:
            channel.close()
    assert {priority: rule.narrow for priority, rule in rules.items() if priority < 2000} == {
        0: False,
        44: False,
        45: False,
        46: False,
        47: True,
        48: True,
        49: False,
        50: False,
    }
    assert (rules[50].suppresses, rules[50].table) == (True, 254)
    assert (rules[2000].first_uid, rules[2000].last_uid, rules[2000].table) == (70_000, 70_000, 20_000)
    assert rules[46].source == "10.0.0.0/8"
    assert rules[44].table is None
    assert [(each.table, each.links) for each in tables] == [(20_000, ("wwan0",)), (20_001, ())]


# -- proxies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_who_listens_is_named(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listening:
        port = listening.getsockname()[1]
        settings = ProxySettings(tcp_port_first=port, tcp_port_last=port)
        facts = proxies.fetch_ports(
            HERE, settings, 1, range(70_000, 70_500), fetch_processes(HERE.proc), socket_activated=False
        )
        (taken,) = facts.taken
    assert (taken.tcp_port, taken.address, taken.uid, taken.ours) == (port, address, os.getuid(), False)
    assert f"(process {os.getpid()})" in " ".join(taken.processes)


def test_the_sockets_of_proxies_and_of_the_web_process_are_ours(places: Places) -> None:
    row = "{}: 0100007F:{:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000 {} 0 {} 1 0 100 0 0 10 0\n"
    rows = row.format(0, 3128, 70_000, 11) + row.format(1, 8080, 0, 12)
    write(places, "proc/thread-self/net/tcp", f"  sl  local_address …\n{rows}")
    web = process(command=("/usr/bin/lastmile", "web"), sockets=frozenset({12}))
    init = process(pid=1, name="systemd", sockets=frozenset({12}))
    expectations = [
        ((web,), False, True),
        ((init,), True, True),
        ((init,), False, False),
        ((process(sockets=frozenset({12})),), True, False),
    ]
    for running, activated, ours in expectations:
        facts = proxies.fetch_ports(
            places, ProxySettings(), 8080, range(70_000, 70_500), Processes(all=running), socket_activated=activated
        )
        assert [each.ours for each in facts.taken] == [True, ours]


def test_accounts_and_subordinate_ranges(places: Places) -> None:
    write(places, "etc/subuid", "alice:100000:65536\nbroken\n\nbob:x:1\n")
    write(places, "etc/subgid", "alice:200000:10\n")
    facts = proxies.fetch_uids(places, range(100))
    assert (0, "root") in facts.accounts
    assert facts.subordinate == (("alice", 100_000, 65_536), ("alice", 200_000, 10))


@needs_root
@pytest.mark.root
def test_modes_of_the_configurations(tmp_path: Path) -> None:
    for each in (tmp_path, *tmp_path.parents[:-2]):
        each.chmod(0o755)
    folder = tmp_path / "3proxy"
    assert not proxies.fetch_config_dir(folder, has_users=True).exists
    folder.mkdir(mode=0o755)
    config = folder / "1.cfg"
    config.write_text("")
    config.chmod(0o644)
    facts = proxies.fetch_config_dir(folder, has_users=True)
    assert (facts.closed_at, facts.writable_by_others, facts.readable_by_all) == (None, (), (str(config),))
    assert facts.files == 1
    assert proxies.fetch_config_dir(folder, has_users=False).readable_by_all == ()
    config.chmod(0o666)
    tmp_path.chmod(0o750)
    facts = proxies.fetch_config_dir(folder, has_users=False)
    assert (facts.closed_at, facts.writable_by_others) == (str(tmp_path), (str(config),))


# -- programs --------------------------------------------------------------------------------------------------------


@pytest.fixture
def make_program(tmp_path: Path) -> Callable[[str], str]:
    def make(script: str) -> str:
        path = tmp_path / "3proxy"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return make


def by_command(command: str) -> Program:
    settings = ProxySettings(runner="process", command=shlex.quote(command))
    return tools.ask_threeproxy(tools.find_threeproxy(settings))


def test_a_program_is_asked_for_its_version(make_program: Callable[[str], str]) -> None:
    path = make_program("echo '3proxy-1.0.0' >&2; exit 1")
    assert by_command(path).told.strip() == "3proxy-1.0.0"


def test_an_old_program_that_waits_is_not_waited_for(
    make_program: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "TELL_SECONDS", 0.2)
    path = make_program("# 3proxy-0.8.13 is written within\nexec sleep 30")
    started = time.monotonic()
    assert by_command(path).told == "3proxy-0.8.13"
    assert time.monotonic() - started < 5


def test_the_stand_in_and_wrappers_are_not_asked() -> None:
    command = f"{shlex.quote(sys.executable)} -m agent.sim.threeproxy --user {{uid}} {{config}}"
    program = tools.ask_threeproxy(tools.find_threeproxy(ProxySettings(runner="process", command=command)))
    assert (program.stand_in, program.told, program.path) == (True, "", sys.executable)
    assert by_command("/bin/false") == Program(name="/bin/false", path="/bin/false")
    assert by_command("/not/there").path is None


def test_a_unit_does_not_look_elsewhere(make_program: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_program("exit 0")
    monkeypatch.setattr(tools, "SYSTEMD_PATH", "/nowhere")
    monkeypatch.setenv("PATH", str(Path(path).parent))
    assert tools.find_threeproxy(ProxySettings()) == Program(path=None, elsewhere=path)


def test_the_notice_goes_when_the_program_comes(make_program: Callable[[str], str], tmp_path: Path) -> None:
    count = tmp_path / "asked"
    settings = ProxySettings(runner="process", command=str(tmp_path / "3proxy"))
    program = ProxyProgram(settings)
    assert "not installed" in (program.notice() or "")
    make_program(f"echo x >> {count}; echo 3proxy-0.9.1")
    assert "0.9.1 is too old" in (program.notice() or "")
    assert program.notice() is not None
    assert count.read_text() == "x\n"
    time.sleep(0.01)
    make_program("echo 3proxy-0.9.9")
    assert program.notice() is None


# -- the machine -----------------------------------------------------------------------------------------------------


def test_the_clock_can_be_asked_and_is_not_touched() -> None:
    before = time.time()
    assert machine.clock_is_synchronised() in (True, False, None)
    assert abs(time.time() - before) < 1


def test_places_on_disk(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o777)
    state.chmod(0o777)
    config = tmp_path / "lastmile.toml"
    config.touch()
    config.chmod(0o660)
    (tmp_path / "lastmile.d").mkdir()
    (tmp_path / "lastmile.d/a.toml").touch(mode=0o600)
    found = machine.settings_files(config)
    assert found == (config, tmp_path / "lastmile.d/a.toml")
    facts = machine.fetch_files(AgentSettings(state_dir=state, run_dir=tmp_path / "no/such"), found)
    one, two = facts.places
    assert (one.exists, one.owner, one.others_may_write, one.read_only) == (True, os.getuid(), True, False)
    assert (two.exists, two.owner) == (False, None)
    assert one.free_bytes
    assert two.free_bytes
    assert str(config) in facts.loose_settings


def test_no_systemd_is_said(places: Places) -> None:
    facts = machine.fetch_units(places, needs_systemd=True)
    assert facts.units is None
    assert machine.distribution_service(facts) is None


def test_units_are_asked_of_systemctl(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (places.root / "run/systemd/system").mkdir(parents=True)
    systemctl = write(places, "bin/systemctl", "#!/bin/sh\nprintf 'Id=3proxy.service\\nActiveState=active\\n'\n")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{systemctl.parent}:/usr/bin:/bin")
    assert machine.distribution_service(machine.fetch_units(places, needs_systemd=True)) == "active"
    systemctl.write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2; exit 1\n")
    assert machine.fetch_units(places, needs_systemd=True).error == "Failed to connect to bus"
