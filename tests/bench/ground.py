"""Where the benchmarks of the whole agent run: a playground of their own, and a client that is in a hurry."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agent.cli.playground import Overrides, Playground, proxy_command, wait_until
from agent.core.clock import Deadline
from agent.sim import kernel
from agent.sim.postgres import EmbeddedPostgres

UDEV_GROUP = 2
NETLINK_KOBJECT_UEVENT = 15
SO_RCVBUFFORCE = 33
PROXY: Overrides = {
    "proxy": {"uid_first": 73_000, "table_first": 23_000, "tcp_port_first": 3128, "tcp_port_last": 3227}
}
REQUEST = b"GET http://whoami.test/plain HTTP/1.0\r\nHost: whoami.test\r\n\r\n"
ANSWER_SECONDS = 6.0


def proxy_in_use() -> str:
    """Which proxy the playground runs, for the notes."""
    return "the stand-in" if "agent.sim.threeproxy" in proxy_command() else proxy_command()


@contextmanager
def bench_ground(*, modems: int, profile: str, overrides: Overrides) -> Iterator[Playground]:
    """A playground with a PostgreSQL of its own, under a temporary directory; nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="lastmile-bench-") as folder:
        Path(folder).chmod(0o755)  # the proxies read their configurations under uids of their own
        server = EmbeddedPostgres(Path(folder) / "postgres", durable=False)
        server.start()
        try:
            with Playground.create(
                f"b{os.getpid() % 10**8}",
                Path(folder) / "yard",
                modems=modems,
                profile=profile,
                overrides={**PROXY, **overrides},
                postgres=server,
            ) as playground:
                yield playground
        finally:
            server.stop()


def start_agent(playground: Playground) -> int:
    """Start the agent and wait until it watches the bus; return its pid."""
    log = playground.directory / "agent.log"
    process = playground.start_agent()
    wait_until(lambda: "agent started" in log.read_text(errors="replace"), 30, "the agent started")
    # nsenter and env become the agent's interpreter: the pid stays.
    return process.pid


def ask(host: str, tcp_port: int, timeout_seconds: float = ANSWER_SECONDS) -> str | None:
    """What a client gets through the proxy at this address: its address as the far side sees it; None for nothing."""
    try:
        with socket.create_connection((host, tcp_port), timeout=timeout_seconds) as client:
            client.sendall(REQUEST)
            answer = b""
            while data := client.recv(4096):
                answer += data
    except OSError:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    return body.decode().strip() if re.match(rb"HTTP/1\.[01] 200 ", head) else None


def await_answer(host: str, tcp_port: int, deadline: Deadline, every_seconds: float = 0.002) -> tuple[float, str]:
    """Ask again and again; when (on the monotonic clock) the first answer was complete, and the answer."""
    while not deadline.passed:
        answer = ask(host, tcp_port, min(ANSWER_SECONDS, max(0.01, deadline.remaining_seconds)))
        if answer is not None:
            return time.monotonic(), answer
        time.sleep(every_seconds)
    raise AssertionError(f"nothing was answered through {host}:{tcp_port}")


@dataclass(slots=True)
class UdevEar:
    """Hears the farm's udev events as the agent does, and remembers when each slot's first one came."""

    playground: Playground
    first_at: dict[str, float] = field(default_factory=dict)
    """Monotonic, by slot; `forget` begins anew."""
    _socket: socket.socket = field(init=False)
    _thread: threading.Thread = field(init=False)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        with ThreadPoolExecutor(1) as opener:
            opener.submit(self._open).result()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _open(self) -> None:
        """In a thread that ends: it enters the farm's network namespace and does not come back."""
        namespace = os.open(self.playground.farm.info.network_namespace, os.O_RDONLY)
        try:
            kernel.setns(namespace, kernel.CLONE_NEWNET)
        finally:
            os.close(namespace)
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_KOBJECT_UEVENT)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
        self._socket.settimeout(0.2)
        self._socket.bind((0, UDEV_GROUP))

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                continue
            came = time.monotonic()
            offset = struct.unpack_from("=I", data, 16)[0]
            properties = dict(part.split(b"=", 1) for part in data[offset:].split(b"\0") if b"=" in part)
            slots = re.findall(r"/(\d+-\d+(?:\.\d+)*)(?=/|$)", properties[b"DEVPATH"].decode())
            if slots and properties[b"ACTION"] == b"add":
                self.first_at.setdefault(slots[-1], came)


def modem_logs(playground: Playground) -> list[tuple[str | None, str, str, str, float]]:
    """(serial, channel, command, outcome, seconds) of every command and action, oldest first."""
    import psycopg

    with psycopg.connect(playground.url) as connection:
        return connection.execute(
            "SELECT serial, channel, command, outcome, coalesce(duration_seconds, 0) FROM modem_logs ORDER BY at, id"
        ).fetchall()


def online(playground: Playground) -> int:
    """How many modems the database calls online."""
    import psycopg

    with psycopg.connect(playground.url) as connection:
        row = connection.execute("SELECT count(*) FROM modems WHERE status = 'online'").fetchone()
    return row[0] if row is not None else 0


def proxy_pids(playground: Playground) -> list[int]:
    """The proxies' processes, as the agent has recorded them."""
    folder = playground.directory / "run" / "proxies"
    return [json.loads(path.read_text())["pid"] for path in sorted(folder.glob("*.process"))]


def settings(**sections: dict[str, Any]) -> Overrides:
    return sections
