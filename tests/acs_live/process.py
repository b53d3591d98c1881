"""`lastmile acs` and `lastmile worker` as processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.acs_live.waiting import PATIENCE_SECONDS, until

HOST = "127.0.0.1"
START_SECONDS = 90.0


class Lastmile:
    """A running `lastmile` command. Its log is kept; `stop` (or `kill`) ends it."""

    def __init__(self, command: str, folder: Path, environment: Mapping[str, str]) -> None:
        self._log = folder / f"{command}.log"
        nothing = folder / "lastmile.conf"
        nothing.touch(mode=0o600)
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "agent.cli.main", "--config", nothing, command],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it has logged so far."""
        return self._log.read_text(errors="replace")

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def tell_to_stop(self) -> None:
        """SIGTERM; does not wait."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Its exit status."""
        return self._process.wait(seconds)

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        self.tell_to_stop()
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL for it and all its children."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.pid).children(recursive=True):
                child.kill()
        self._process.kill()
        self._process.wait()


class Acs(Lastmile):
    """An ACS on a TCP port of its own."""

    def __init__(self, database_url: str, folder: Path, settings: Mapping[str, Any]) -> None:
        self.port = int(settings.get("port", 0)) or free_port()
        self.folder = folder
        self.files = folder / "files"
        self.files.mkdir(parents=True, exist_ok=True)
        given: dict[str, Any] = {
            "listen": f"{HOST}:{self.port}",
            "authentication": ("none",),
            "new_devices_per_minute": 1_000_000,
            "retry_after_seconds": 2,
            "file_dir": self.files,
            **{name: value for name, value in settings.items() if name != "port"},
        }
        environment = {f"LASTMILE_ACS_{name.upper()}": _written(value) for name, value in given.items()}
        super().__init__("acs", folder, {"LASTMILE_DATABASE_URL": database_url, **environment})
        self._workers_wanted = int(given.get("workers", 1))

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/"

    def workers(self) -> list[int]:
        """The processes that serve, by number."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return sorted(child.pid for child in psutil.Process(self.pid).children())
        return []

    def wait_ready(self) -> None:
        """Return when all workers have begun."""

        def answers() -> bool:
            if self.ended:
                raise AssertionError(f"the ACS has ended:\n{self.log}")
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 5) as connection:
                connection.sendall(b"GET /alive HTTP/1.1\r\nHost: acs\r\nConnection: close\r\n\r\n")
                return connection.recv(64).startswith(b"HTTP/1.1 204")
            return False

        until(answers, "the ACS answers", START_SECONDS)
        until(lambda: len(self.workers()) == self._workers_wanted, "all workers run")

    def worker_with(self, tcp_port: int) -> int | None:
        """The worker that a CPE is connected to from this TCP port of its own."""
        for pid in self.workers():
            with contextlib.suppress(psutil.Error):
                for connection in psutil.Process(pid).net_connections("tcp"):
                    if connection.raddr[1:] == (tcp_port,) and connection.laddr.port == self.port:
                        return pid
        return None


def kill_worker(pid: int) -> None:
    """SIGKILL, and wait until it is no more."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        process.kill()
        until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, "the worker is dead")


@contextmanager
def running_acs(database_url: str, folder: Path, **settings: Any) -> Iterator[Acs]:
    """An ACS that answers, at TCP port `port` when that is among the settings.

    Stopped at the end, with its log on the standard output, for a test that has failed."""
    folder.mkdir(parents=True, exist_ok=True)
    acs = Acs(database_url, folder, settings)
    try:
        acs.wait_ready()
        yield acs
    finally:
        if not acs.ended:
            acs.stop()
        print(acs.log)


@contextmanager
def running_worker(database_url: str, folder: Path, **settings: Any) -> Iterator[Lastmile]:
    """A `lastmile worker`; stopped at the end."""
    environment = {f"LASTMILE_ACS_{name.upper()}": _written(value) for name, value in settings.items()}
    worker = Lastmile("worker", folder, {"LASTMILE_DATABASE_URL": database_url, **environment})
    try:
        until(lambda: "worker started" in worker.log, "the worker runs", START_SECONDS)
        yield worker
    finally:
        if not worker.ended:
            worker.stop()
        print(worker.log)


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _written(value: Any) -> str:
    return json.dumps(list(value)) if isinstance(value, tuple | list) else str(value)
