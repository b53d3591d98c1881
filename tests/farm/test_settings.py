"""Settings that change under way, and what systemd is told meanwhile."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.store.rows import ModemRow
from tests.farm.conftest import MakeFarmyard
from tests.farm.harness import Farmyard
from tests.farm.witness import Download, Standing, logged_actions, wait_seen_online

pytestmark = pytest.mark.farm
USER, PASSWORD = "ann", "wa11flower"


def http_status(row: ModemRow, login: str = "") -> int:
    """What a client is answered by a modem's proxy, with a login or without."""
    words = ["curl", "-s", "-o", "/dev/null", "--max-time", "6", "-w", "%{http_code}"]
    words += ["-x", f"http://{row.proxy_address}", *(["--proxy-user", login] if login else [])]
    done = subprocess.run([*words, "http://whoami.test/plain"], capture_output=True, text=True, check=False)
    return int(done.stdout or 0)


def settled(yard: Farmyard, row: ModemRow) -> bool:
    """Whether the listener from before a reload is closed: until then the kernel hands it some of the clients."""
    assert row.proxy_address is not None
    port = row.proxy_address.rpartition(":")[2]
    command = yard.farm.command(["ss", "-Hltn", f"sport = :{port}"])
    return len(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()) == 1


def set_users(yard: Farmyard, users: dict[str, str]) -> None:
    """Write the settings with these users, and say so to the agent."""
    yard.playground.overrides["proxy"]["users"] = users
    yard.playground.write_settings()
    hang_up(yard)


def hang_up(yard: Farmyard) -> None:
    agent = yard.playground.agent
    assert agent is not None
    agent.send_signal(signal.SIGHUP)


def test_a_changed_setting_takes_effect_and_a_broken_file_does_not(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2)
    rows = yard.wait_online(1, 2)
    wait_seen_online(yard, *(row.serial for row in rows))
    before = [Standing.of(yard, number) for number in (1, 2)]
    done = [len(logged_actions(yard, row.serial)) for row in rows]
    assert [http_status(row) for row in rows] == [200, 200]
    with Download(rows[0]) as download:
        download.read(100_000)
        set_users(yard, {USER: PASSWORD})
        yard.wait_for(lambda: [http_status(row) for row in rows] == [407, 407], "a login is wanted")
        yard.wait_for(lambda: all(settled(yard, row) for row in rows), "the listeners of before are closed")
        assert [http_status(row, f"{USER}:{PASSWORD}") for row in rows] == [200, 200]
        assert [http_status(row, f"{USER}:wrong") for row in rows] == [407, 407]
        download.finish()
    for row, count in zip(rows, done, strict=True):
        yard.wait_for(
            lambda row=row, count=count: (  # type: ignore[misc]
                logged_actions(yard, row.serial)[count:] == ["WriteProxyConfiguration", "ReloadProxy"]
            ),
            "the proxies were reloaded, and nothing else was done",
        )

    good = yard.playground.config.read_text()
    for number, broken in enumerate((good + '\n[proxy]\nlisten = "once more"\n', good.replace("users", "uzers")), 1):
        yard.playground.config.write_text(broken)
        hang_up(yard)
        yard.wait_for(
            lambda number=number: yard.agent_log().count("settings were not reloaded") == number,  # type: ignore[misc]
            "the broken file is refused",
        )
    wait_seen_online(yard, *(row.serial for row in rows))
    assert [len(logged_actions(yard, row.serial)) - count for row, count in zip(rows, done, strict=True)] == [2, 2]
    assert [http_status(row) for row in rows] == [407, 407]
    assert [http_status(row, f"{USER}:{PASSWORD}") for row in rows] == [200, 200]

    set_users(yard, {})
    yard.wait_for(lambda: [http_status(row) for row in rows] == [200, 200], "no login is wanted any more")
    assert [Standing.of(yard, number) for number in (1, 2)] == before
    assert PASSWORD not in yard.agent_log()
    assert yard.farm.leaks() == ()
    assert yard.farm.failures() == ()


@pytest.fixture
def notify_socket() -> Iterator[tuple[str, socket.socket]]:
    """Where systemd would listen: (its path, the socket). In a short folder, for the limit on socket addresses."""
    folder = Path(tempfile.mkdtemp(prefix="lm"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        path = folder / "notify"
        listener.bind(str(path))
        listener.settimeout(30)
        try:
            yield str(path), listener
        finally:
            shutil.rmtree(folder)


def receive_until(listener: socket.socket, wanted: str) -> list[list[str]]:
    """Messages, each as its lines, up to the first that has a line which starts with `wanted`."""
    messages = []
    while True:
        lines = listener.recv(4096).decode().splitlines()
        messages.append(lines)
        if any(line.startswith(wanted) for line in lines):
            return messages


def test_systemd_is_told_of_readiness_life_and_reloads(
    make_farmyard: MakeFarmyard, notify_socket: tuple[str, socket.socket]
) -> None:
    path, listener = notify_socket
    yard = make_farmyard(agent=False)
    yard.playground.start_agent(environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1500000"})
    (ready,) = receive_until(listener, "READY=1")
    assert ready[1].startswith("STATUS=")
    assert receive_until(listener, "STATUS=1 of 1 modems identified")[-1][0] == "WATCHDOG=1"
    (row,) = yard.wait_online(1)
    hang_up(yard)
    assert receive_until(listener, "RELOADING=1")[-1][1].removeprefix("MONOTONIC_USEC=").isdigit()
    assert receive_until(listener, "READY=1")[0][0] == "READY=1", "ready comes right after"
    assert receive_until(listener, "WATCHDOG=1")
    assert yard.playground.stop_agent() == 0
    assert receive_until(listener, "STOPPING=1")
    assert yard.browse(row) == row.wan_address
    assert yard.farm.leaks() == ()
    assert yard.farm.failures() == ()
