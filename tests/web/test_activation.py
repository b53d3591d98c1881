"""The server on a socket that somebody else holds, as systemd does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.store.farm import eventually

ROOT = Path(__file__).parents[2]
# As systemd starts it: the descriptor is number 3, and LISTEN_PID the process's own id.
_AS_SYSTEMD = 'exec 3<&"$1"; export LISTEN_FDS=1 LISTEN_PID=$$; shift; exec "$@"'


@pytest.fixture
def held() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        yield listener


@pytest.fixture
def notified(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(20)
        yield receiver


class Web:
    """`lastmile web`, whose settings name an address that it must not listen on."""

    def __init__(
        self,
        url: str,
        held: socket.socket,
        notified: socket.socket | None = None,
        environ: dict[str, str] | None = None,
    ) -> None:
        self.url = f"http://127.0.0.1:{held.getsockname()[1]}"
        command = [sys.executable, "-W", "error", "-m", "agent", "web"]
        self.process = subprocess.Popen(
            ["bash", "-c", _AS_SYSTEMD, "bash", str(held.fileno()), *command],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "LASTMILE_DATABASE_URL": url,
                "LASTMILE_WEB_TCP_PORT": "1",
                **({"NOTIFY_SOCKET": notified.getsockname()} if notified is not None else {}),
                **(environ or {}),
            },
            pass_fds=(held.fileno(),),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def get(self) -> int:
        return httpx.get(f"{self.url}/api/health", timeout=20).status_code

    def answers(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()
        return self.get() in (200, 503)

    def stop(self) -> str:
        self.process.terminate()
        output, _ = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, output
        return output


@pytest.fixture
def web(url: str, held: socket.socket) -> Iterator[Web]:
    running = Web(url, held)
    try:
        yield running
    finally:
        with running.process:
            running.process.kill()


def test_the_socket_counts_and_not_the_settings_which_is_said(web: Web) -> None:
    eventually(web.answers, 20)
    output = web.stop()
    assert "systemctl edit lastmile-web.socket" in output
    assert "SETTING=127.0.0.1:1" in output


def test_nobody_is_refused_while_it_is_restarted(url: str, held: socket.socket, web: Web) -> None:
    eventually(web.answers, 20)
    statuses: list[int] = []
    failures: list[Exception] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                statuses.append(web.get())
            except httpx.HTTPError as error:
                failures.append(error)
            time.sleep(0.01)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    web.stop()
    # Nobody serves, and still nobody is refused.
    with socket.create_connection(held.getsockname(), 5):
        pass
    later = Web(url, held)
    try:
        before = len(statuses)
        eventually(lambda: len(statuses) > before + 40, 20)
    finally:
        over.set()
        for client in clients:
            client.join(30)
        later.stop()
    assert failures == []


def test_ready_and_alive_are_told(url: str, held: socket.socket, notified: socket.socket) -> None:
    web = Web(url, held, notified, {"WATCHDOG_USEC": "600000"})
    try:
        assert f"STATUS=serving on 127.0.0.1:{held.getsockname()[1]}" in notified.recv(200).decode()
        assert [notified.recv(200) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    finally:
        web.stop()


def test_a_worker_that_is_killed_is_a_reason_to_start_again(web: Web) -> None:
    eventually(web.answers, 20)
    (worker,) = psutil.Process(web.process.pid).children()
    worker.kill()
    output, _ = web.process.communicate(timeout=20)
    assert web.process.returncode == 69, output


@pytest.mark.parametrize("what", ["udp", "two"])
def test_another_socket_is_the_operators_to_mend(url: str, what: str) -> None:
    with socket.socket(type=socket.SOCK_DGRAM if what == "udp" else socket.SOCK_STREAM) as wrong:
        wrong.bind(("127.0.0.1", 0))
        command = _AS_SYSTEMD.replace("LISTEN_FDS=1", "LISTEN_FDS=2") if what == "two" else _AS_SYSTEMD
        done = subprocess.run(
            ["bash", "-c", command, "bash", str(wrong.fileno()), sys.executable, "-m", "agent", "web"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "LASTMILE_DATABASE_URL": url},
            pass_fds=(wrong.fileno(),),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 78
    assert "lastmile-web.socket" in done.stderr
