"""The application under the real server, over real sockets."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from agent.store.database import Database
from agent.store.rows import Role
from agent.store.tokens import Tokens
from tests.store.farm import eventually, rows
from tests.web.conftest import MODEM, Headers

ROOT = Path(__file__).parents[2]


def free_tcp_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A server process that was started with every warning an error."""

    def __init__(self, url: str, port: int, *more: str) -> None:
        self.port = port
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.web.serving", url, str(port), *more],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def get(self, path: str, headers: Headers | None = None) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=10)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()
        try:
            return self.get("/api/health").status_code in (200, 503)
        except httpx.TransportError:
            return False

    def end(self) -> None:
        with self.process:
            self.process.kill()

    def stop(self) -> tuple[str, str]:
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=20)


@pytest.fixture
def server(url: str) -> Iterator[Server]:
    running = Server(url, free_tcp_port())
    try:
        eventually(running.answers, 20)
        yield running
    finally:
        running.end()


@pytest.fixture
def viewer(url: str) -> Headers:
    with Database(url) as database:
        return {"Authorization": f"Bearer {Tokens(database).create('viewer', Role.VIEWER)}"}


class Reader:
    """Reads one event stream in a thread."""

    def __init__(self, server: Server, headers: Headers) -> None:
        self.text = ""
        self.ended = threading.Event()
        self.status = 0
        self._url = f"http://127.0.0.1:{server.port}/api/events"
        self._headers = headers
        threading.Thread(target=self._read, daemon=True).start()

    def ids(self, kind: str) -> list[int]:
        return [int(found) for found in re.findall(rf"id: (\d+)\nevent: {kind}\n", self.text)]

    def _read(self) -> None:
        with httpx.stream("GET", self._url, headers=self._headers, timeout=30) as response:
            self.status = response.status_code
            for text in response.iter_text():
                self.text += text
        self.ended.set()


def test_events_arrive_live_resume_and_end_with_the_server(server: Server, viewer: Headers, url: str) -> None:
    reader = Reader(server, viewer)
    eventually(lambda: reader.ids("ready"))
    begun = time.monotonic()
    rows(url, "UPDATE modems SET status = 'online' WHERE serial = %s", MODEM)
    eventually(lambda: reader.ids("modem_changed"))
    assert time.monotonic() - begun < 2
    late = Reader(server, {**viewer, "Last-Event-ID": str(reader.ids("ready")[0])})
    eventually(lambda: late.ids("modem_changed"))
    assert late.ids("modem_changed") == reader.ids("modem_changed")
    assert server.get("/api/events", viewer).status_code == 503
    begun = time.monotonic()
    out, err = server.stop()
    assert time.monotonic() - begun < 5
    assert server.process.returncode == 0, err
    assert out.split() == ["ready", "stopped"]
    assert "Traceback" not in err
    assert reader.ended.wait(5)
    assert late.ended.wait(5)


def test_a_reader_that_goes_away_gives_its_place_back(server: Server, viewer: Headers, url: str) -> None:
    for _ in range(2):
        with httpx.stream("GET", f"http://127.0.0.1:{server.port}/api/events", headers=viewer, timeout=10) as response:
            assert b"ready" in next(response.iter_bytes())
    number = 0

    def there_is_room() -> bool:
        nonlocal number
        number += 1
        rows(url, "UPDATE modems SET operator = %s WHERE serial = %s", f"operator {number}", MODEM)
        with httpx.stream("GET", f"http://127.0.0.1:{server.port}/api/events", headers=viewer, timeout=10) as response:
            return response.status_code == 200

    eventually(there_is_room, 10)


def test_forty_at_once(server: Server, viewer: Headers) -> None:
    def ask(_number: int) -> tuple[int, str]:
        response = server.get(f"/api/v1/modems/{MODEM}", viewer)
        return response.status_code, response.json()["serial"]

    with ThreadPoolExecutor(40) as pool:
        assert list(pool.map(ask, range(40))) == [(200, MODEM)] * 40


def test_a_large_body_is_refused(server: Server, url: str) -> None:
    with Database(url) as database:
        token = Tokens(database).create("operator", Role.OPERATOR)

    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b"x" * 4096

    response = httpx.post(
        f"http://127.0.0.1:{server.port}/api/modems/{MODEM}/command",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        content=endless(),
        timeout=10,
    )
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "content_too_large"


def test_a_taken_tcp_port_is_the_operators_to_free(url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = Server(url, taken.getsockname()[1])
        try:
            _, err = server.process.communicate(timeout=20)
        finally:
            server.end()
    assert server.process.returncode != 0
    assert "ConfigError" in err


def test_no_worker_outlives_its_supervisor(server: Server) -> None:
    (worker,) = psutil.Process(server.process.pid).children()
    server.process.kill()
    server.process.wait(10)
    _, alive = psutil.wait_procs([worker], timeout=10)
    # In a container whose first process collects nobody, an orphan that has ended stays a zombie.
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []
