"""Run inside the container by `test_in_container.py`, in the sandbox of lastmile-agent.service: `SystemdUnits` and the
shipped units under the real systemd."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agent.core.clock import Deadline
from agent.core.errors import DeadlineExceeded, TransientError
from agent.core.identifiers import Serial
from agent.host.hotplug import UdevHotplug
from agent.host.proxy.instances import ProxyInstances
from agent.host.proxy.processes import ProcessIdentity, find_processes
from agent.host.proxy.render import ThreeProxyRenderer
from agent.host.proxy.systemd_bus import SystemdBus
from agent.host.proxy.systemd_units import SystemdUnits
from agent.host.sysctl import fetch_switch, save_switch
from agent.modem.model import Allocation, Desired, ProxyPolicy, UnitState
from agent.modem.proxying import configuration_digest

CONFIG_DIR = Path("/etc/lastmile/3proxy")
STATE_DIR = Path("/run/lastmile/proxies")
UNIT_DIRECTORY = Path("/run/systemd/system")
LISTEN = ip_address("127.0.0.1")
SERIAL = Serial("867698040000011")


class CountingBus(SystemdBus):
    """Knows how often systemd was asked to read its units."""

    reloads = 0

    def call(self, method: str, signature: str, body: tuple[Any, ...], deadline: Deadline) -> tuple[Any, ...]:
        self.reloads += method == "Reload"
        return super().call(method, signature, body, deadline)


@pytest.fixture
def bus() -> CountingBus:
    return CountingBus()


@pytest.fixture
def units(bus: CountingBus) -> Iterator[SystemdUnits]:
    made = SystemdUnits(bus)
    yield made
    for serial in made.known():
        kill(bus, serial)  # 3proxy takes three seconds to end at SIGTERM
        made.forget(serial, soon())
    made.close()


@pytest.fixture
def instances(units: SystemdUnits, bus: CountingBus) -> Iterator[ProxyInstances]:
    made = ProxyInstances(units, config_dir=CONFIG_DIR, state_dir=STATE_DIR)
    yield made
    for serial in made.known():
        kill(bus, serial)
        made.forget(serial)


def soon() -> Deadline:
    return Deadline.after(15)


def desired(number: int = 0) -> Desired:
    return Desired(
        serial=Serial(f"86769804000{number + 11:04d}"),
        allocation=Allocation(tcp_port=3128 + number, uid=70_000 + number, table=20_000 + number),
        proxy=ProxyPolicy(listen=LISTEN, allow=("127.0.0.0/8",), nameservers=(ip_address("203.0.113.53"),)),
    )


def write(instances: ProxyInstances, wishes: Desired) -> str:
    text = ThreeProxyRenderer().render(wishes, ())
    assert wishes.allocation is not None
    instances.write(wishes.serial, wishes.allocation.uid, text)
    return text


def kill(bus: SystemdBus, serial: Serial) -> None:
    """SIGKILL, by systemd: the agent itself may not."""
    with contextlib.suppress(TransientError):  # it does not run
        bus.call("KillUnit", "ssi", (f"3proxy@{serial}.service", "all", signal.SIGKILL), soon())


def the_process(uid: int) -> ProcessIdentity:
    (process,) = find_processes(uid)
    return process


def status_of(process: ProcessIdentity) -> dict[str, list[str]]:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}


def answer() -> bytes:
    with socket.create_connection((str(LISTEN), 3128), 5) as stream:
        stream.sendall(b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: x\r\n\r\n")
        return stream.recv(100)


def test_an_instance_from_start_to_end(instances: ProxyInstances, units: SystemdUnits) -> None:
    assert units.state(SERIAL) is UnitState.INACTIVE
    text = write(instances, desired())
    instances.start(SERIAL, 70_000)
    state = instances.observe(SERIAL, LISTEN, 3128)
    assert (state.unit, state.listening, state.loaded) == (UnitState.ACTIVE, True, configuration_digest(text))
    assert b" 403 " in answer()
    assert units.known() == [SERIAL]

    first = the_process(70_000)
    changed = write(instances, replace(desired(), proxy=replace(_policy(), maximum_connections=7)))
    instances.reload(SERIAL)
    assert the_process(70_000) == first
    assert instances.observe(SERIAL, LISTEN, 3128).loaded == configuration_digest(changed)

    instances.restart(SERIAL, 70_000)
    assert the_process(70_000) != first
    assert b" 403 " in answer()

    instances.stop(SERIAL)
    assert units.state(SERIAL) is UnitState.INACTIVE
    assert find_processes(70_000) == ()

    instances.forget(SERIAL)
    assert list(UNIT_DIRECTORY.glob("3proxy@*")) == []
    assert instances.known() == []


def test_it_has_its_uid_and_nothing_else(instances: ProxyInstances) -> None:
    write(instances, desired())
    instances.start(SERIAL, 70_000)
    status = status_of(the_process(70_000))
    assert status["Uid"] == status["Gid"] == ["70000"] * 4
    assert status["Groups"] in ([], ["70000"])
    assert [int(status[name][0], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")] == [0] * 4
    assert status["NoNewPrivs"] == ["1"]
    assert status["Seccomp"] == ["2"]


def test_it_may_not_read_another_modems_passwords(instances: ProxyInstances) -> None:
    write(instances, desired())
    file = CONFIG_DIR / f"{SERIAL}.cfg"
    assert (file.stat().st_uid, file.stat().st_gid, file.stat().st_mode & 0o777) == (0, 70_000, 0o640)


def test_without_its_drop_in_it_does_not_start(bus: CountingBus) -> None:
    units = SystemdUnits(bus, unit_directory=Path("/run/lastmile/elsewhere"))
    with pytest.raises(TransientError, match=r"(Start|Restart)Unit .*assert"):
        units.start(SERIAL, 70_000, soon())
    unit = f"3proxy@{SERIAL}.service"
    assert subprocess.run(["systemctl", "is-active", "--quiet", unit], check=False).returncode != 0
    shutil.rmtree("/run/lastmile/elsewhere")
    bus.close()


def test_a_drop_in_that_names_no_user_does_not_start_it_either(bus: CountingBus) -> None:
    drop_in = UNIT_DIRECTORY / f"3proxy@{SERIAL}.service.d" / "50-lastmile.conf"
    drop_in.parent.mkdir()
    drop_in.write_text("[Unit]\nDescription=no user here\n")
    (CONFIG_DIR / f"{SERIAL}.cfg").write_text(ThreeProxyRenderer().render(desired(), ()))
    bus.call("Reload", "", (), soon())
    bus.run_job("StartUnit", f"3proxy@{SERIAL}.service", soon())
    time.sleep(0.3)
    shown = subprocess.run(
        ["systemctl", "show", "-P", "ExecMainStatus", f"3proxy@{SERIAL}.service"], capture_output=True, check=True
    )
    assert shown.stdout.strip() == b"217"
    bus.run_job("StopUnit", f"3proxy@{SERIAL}.service", soon())
    drop_in.unlink()
    drop_in.parent.rmdir()
    (CONFIG_DIR / f"{SERIAL}.cfg").unlink()
    bus.call("Reload", "", (), soon())
    bus.close()


def test_one_that_is_killed_comes_back_by_itself(instances: ProxyInstances, bus: CountingBus) -> None:
    write(instances, desired())
    instances.start(SERIAL, 70_000)
    first = the_process(70_000)
    kill(bus, SERIAL)
    assert first.wait(soon())
    deadline = time.monotonic() + 10
    while not instances.observe(SERIAL, LISTEN, 3128).listening and time.monotonic() < deadline:
        time.sleep(0.05)
    assert the_process(70_000) != first
    assert b" 403 " in answer()


def test_a_later_agent_finds_it_and_changes_nothing(instances: ProxyInstances, bus: CountingBus) -> None:
    write(instances, desired())
    instances.start(SERIAL, 70_000)
    first = the_process(70_000)
    with_another = CountingBus()
    later = SystemdUnits(with_another)
    assert later.state(SERIAL) is UnitState.ACTIVE
    assert later.known() == [SERIAL]
    later.start(SERIAL, 70_000, soon())
    assert the_process(70_000) == first
    later.close()


def test_another_uid_takes_effect(instances: ProxyInstances) -> None:
    write(instances, desired())
    instances.start(SERIAL, 70_000)
    text = ThreeProxyRenderer().render(desired(), ())
    instances.write(SERIAL, 70_500, text)
    instances.start(SERIAL, 70_500)
    assert find_processes(70_000) == ()
    assert the_process(70_500).alive


def test_new_instances_need_no_daemon_reload(instances: ProxyInstances, bus: CountingBus) -> None:
    burst = [desired(number) for number in range(10)]
    for wishes in burst:
        write(instances, wishes)
    ready = threading.Barrier(len(burst))

    def start(wishes: Desired) -> None:
        assert wishes.allocation is not None
        ready.wait(timeout=10)
        instances.start(wishes.serial, wishes.allocation.uid)

    with ThreadPoolExecutor(len(burst)) as pool:
        list(pool.map(start, burst))
    assert bus.reloads == 0
    for wishes in burst:
        assert wishes.allocation is not None
        assert instances.observe(wishes.serial, LISTEN, wishes.allocation.tcp_port).listening


def test_the_sandbox_lets_links_switches_be_set_and_no_others() -> None:
    name = "switched"
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}2"], check=True)
    try:
        save_switch(4, name, "rp_filter", 2)
        save_switch(6, name, "accept_ra", 0)
        assert (fetch_switch(4, name, "rp_filter"), fetch_switch(6, name, "accept_ra")) == (2, 0)
    finally:
        subprocess.run(["ip", "link", "del", name], check=True)
    for other in ("net/ipv4/ip_forward", "kernel/domainname", "vm/overcommit_memory"):
        path = Path("/proc/sys", other)
        with pytest.raises(OSError, match=r"Read-only|Permission"):
            path.write_text(path.read_text())


def test_the_sandbox_lets_udev_and_programs_be_used() -> None:
    hotplug = UdevHotplug(("2c7c:0125",))
    assert hotplug.scan() == ()
    hotplug.close()
    assert subprocess.run(["qmicli", "--version"], check=True, capture_output=True, text=True).stdout
    for closed in ("/etc/lastmile/lastmile.toml", "/etc/passwd", "/usr/bin/lastmile"):
        with pytest.raises(OSError, match=r"Read-only"):
            Path(closed).touch()


def test_a_broken_connection_is_replaced(units: SystemdUnits, bus: CountingBus) -> None:
    assert units.state(SERIAL) is UnitState.INACTIVE
    bus.close()
    assert units.state(SERIAL) is UnitState.INACTIVE


def test_a_deadline_is_kept(bus: CountingBus) -> None:
    bus.call("ListUnits", "", (), soon())
    with pytest.raises(DeadlineExceeded):
        bus.call("ListUnits", "", (), Deadline.after(0))
    bus.close()


def test_no_bus_is_an_error_of_ours() -> None:
    with pytest.raises(TransientError, match="no connection to the system bus"):
        SystemdUnits(SystemdBus("unix:path=/nowhere")).state(SERIAL)


def _policy() -> ProxyPolicy:
    policy = desired().proxy
    assert policy is not None
    return policy
