"""Run inside the container by `test_in_container.py`, as root without a sandbox: the shipped units together, with a
stand-in for what they run."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host.proxy.instances import ProxyInstances
from agent.host.proxy.systemd_bus import SystemdBus
from agent.host.proxy.systemd_units import SystemdUnits
from tests.systemd.inside_units import CONFIG_DIR, LISTEN, SERIAL, STATE_DIR, answer, desired, kill, the_process, write
from tests.systemd.lastmile_standin import REFUSES

WEB = ("127.0.0.1", 8080)
URL = "postgresql://lastmile:secret@192.0.2.1/lastmile"
PROXY = f"3proxy@{SERIAL}.service"
NAMESPACE = "lastmile-proxies"
REAL = "/usr/local/bin/lastmile-real"
"""lastmile itself, by the system's Python: unlike this one, everybody can run that."""
PATIENCE_SECONDS = 60.0


def systemctl(*words: str) -> str:
    return subprocess.run(["systemctl", *words], check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def active(unit: str) -> str:
    return systemctl("show", "-P", "ActiveState", unit)


def eventually(unit: str, *states: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while active(unit) not in states:
        assert time.monotonic() < deadline, f"{unit} is {active(unit)}, not {states}: {journal('-u', unit)}"
        time.sleep(0.05)


def ask() -> dict[str, object]:
    with urllib.request.urlopen(f"http://{WEB[0]}:{WEB[1]}/", timeout=10) as response:
        told: dict[str, object] = json.load(response)
        return told


def same_python() -> bool:
    command = ["/usr/bin/python3", "-c", "import sys; print(sys.version_info[:2])"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip() == str(sys.version_info[:2])


@pytest.fixture(scope="module", autouse=True)
def credential() -> None:
    store = Path("/etc/credstore")
    store.mkdir(mode=0o700, exist_ok=True)
    (store / "lastmile.database.url").write_text(URL)


@pytest.fixture
def target() -> Iterator[None]:
    systemctl("start", "lastmile.target")
    yield
    systemctl("stop", "lastmile.target")


@pytest.fixture
def proxy() -> Iterator[ProxyInstances]:
    units, bus = SystemdUnits(), SystemdBus()
    made = ProxyInstances(units, config_dir=CONFIG_DIR, state_dir=STATE_DIR)
    write(made, desired())
    made.start(SERIAL, 70_000)
    yield made
    kill(bus, SERIAL)  # 3proxy takes three seconds to end at SIGTERM
    made.forget(SERIAL)
    units.close()
    bus.close()


def test_the_target_starts_everything_in_its_slice(target: None) -> None:
    for unit in ("lastmile-agent.service", "lastmile-web.service", "lastmile-web.socket", "lastmile-migrate.service"):
        assert active(unit) == "active"
    for unit in ("lastmile-agent.service", "lastmile-web.service"):
        assert systemctl("show", "-P", "ControlGroup", unit) == f"/lastmile.slice/{unit}"
    assert systemctl("show", "-P", "User", "lastmile-web.service") == "lastmile"


def test_services_get_the_credentials_that_there_are(target: None) -> None:
    assert json.loads(Path("/run/lastmile/credentials").read_text()) == {"database.url": URL}
    assert ask()["credentials"] == {"database.url": URL}


def test_the_web_side_is_restarted_without_refusing_anybody(target: None) -> None:
    before = ask()["pid"]
    systemctl("stop", "lastmile-web.service")
    with socket.create_connection(WEB, 5) as early:
        early.sendall(b"GET / HTTP/1.0\r\n\r\n")
        early.settimeout(PATIENCE_SECONDS)
        assert early.recv(100).startswith(b"HTTP/1.0 200")
    assert ask()["pid"] != before


def test_proxies_outlive_the_target_and_go_with_their_slice(target: None, proxy: ProxyInstances) -> None:
    group = systemctl("show", "-P", "ControlGroup", PROXY)
    assert group == f"/lastmile.slice/lastmile-proxies.slice/{PROXY}"
    process = the_process(70_000)
    systemctl("stop", "lastmile.target")
    for unit in ("lastmile-agent.service", "lastmile-web.service", "lastmile-web.socket"):
        eventually(unit, "inactive")
    systemctl("restart", "lastmile.target")
    assert the_process(70_000) == process
    assert b" 403 " in answer()
    systemctl("stop", "lastmile-proxies.slice")
    # "failed" where this machine is so busy that the proxy had to be killed.
    eventually(PROXY, "inactive", "failed")
    proxy.start(SERIAL, 70_000)
    assert proxy.observe(SERIAL, LISTEN, 3128).listening


def test_a_modems_ports_are_allowed_by_number() -> None:
    allowed = systemctl("show", "-P", "DeviceAllow", "lastmile-agent.service")
    for major in (188, 166, 180, 189):  # ttyUSB, ttyACM, usb (cdc-wdm), usb_device
        assert f"char-{major} rw" in allowed


def test_a_proxys_lines_are_in_the_proxies_journal_and_nowhere_else(proxy: ProxyInstances) -> None:
    assert b" 403 " in answer()
    deadline, lines = time.monotonic() + PATIENCE_SECONDS, ""
    while "127.0.0.1" not in lines:
        assert time.monotonic() < deadline, lines
        time.sleep(0.1)
        lines = journal(f"--namespace={NAMESPACE}", "-u", PROXY)
    assert f"_SYSTEMD_UNIT={PROXY}" not in journal("-o", "export", f"SYSLOG_IDENTIFIER=3proxy@{SERIAL}")


def test_the_proxies_journal_goes_by_the_shipped_file() -> None:
    command = ["systemd-analyze", "cat-config", f"systemd/journald@{NAMESPACE}.conf"]
    assert "MaxRetentionSec=30day" in subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Failed to parse" not in journal("-u", f"systemd-journald@{NAMESPACE}")


def test_settings_that_cannot_be_used_do_not_make_waiting_clients_start_it_for_ever(target: None) -> None:
    REFUSES.touch()
    systemctl("stop", "lastmile-web.service")
    with socket.create_connection(WEB, 5) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        eventually("lastmile-web.socket", "failed")
        assert systemctl("show", "-P", "Result", "lastmile-web.socket") == "service-start-limit-hit"
    REFUSES.unlink()
    systemctl("reset-failed", "lastmile-web.service", "lastmile-web.socket")
    systemctl("start", "lastmile.target")
    assert ask()["credentials"] == {"database.url": URL}


@pytest.mark.skipif(not same_python(), reason="the system's Python cannot use these libraries: it is another version")
def test_lastmile_itself_starts_in_the_sandboxes() -> None:
    """Without a database: the agent goes on without one, the web side and the ACS say so."""
    services = ("agent", "web", "acs", "worker")
    for name in services:
        drop_in = Path(f"/run/systemd/system/lastmile-{name}.service.d/real.conf")
        drop_in.parent.mkdir()
        drop_in.write_text(
            f"[Service]\nExecStart=\nExecStart={REAL} {name}\nEnvironment=LASTMILE_PROXY_LISTEN=127.0.0.1\n"
        )
    systemctl("daemon-reload")
    try:
        systemctl("start", "lastmile.target")
        eventually("lastmile-agent.service", "active")
        eventually("lastmile-web.service", "active")
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"http://{WEB[0]}:{WEB[1]}/api/health", timeout=60)
        assert "0 modems" in systemctl("show", "-P", "StatusText", "lastmile-agent.service")
        eventually("lastmile-worker.service", "active")
        assert active("lastmile-acs.service") != "active", "it comes with its first CPE"
        with pytest.raises(urllib.error.HTTPError, match="503") as refused:
            urllib.request.urlopen("http://127.0.0.1:7547/", data=b"", timeout=60)
        assert refused.value.headers["Retry-After"] == "10"
        eventually("lastmile-acs.service", "active")
        for name in services:
            run = systemctl("show", "-P", "InvocationID", f"lastmile-{name}.service")
            assert journal("-p", "err", f"_SYSTEMD_INVOCATION_ID={run}") == ""
    finally:
        systemctl("stop", "lastmile.target")
        for name in services:
            eventually(f"lastmile-{name}.service", "inactive")
            shutil.rmtree(f"/run/systemd/system/lastmile-{name}.service.d")
        systemctl("daemon-reload")


def test_an_agent_that_is_killed_comes_back(target: None) -> None:
    first = systemctl("show", "-P", "MainPID", "lastmile-agent.service")
    systemctl("kill", "--signal=SIGKILL", "lastmile-agent.service")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (now := systemctl("show", "-P", "MainPID", "lastmile-agent.service")) in (first, "0"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    eventually("lastmile-agent.service", "active")
    assert now != first


def journal(*words: str) -> str:
    command = ["journalctl", "--no-pager", "-q", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=30).stdout
