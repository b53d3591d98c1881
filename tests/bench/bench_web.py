"""The pages: how soon a change is seen by fifty of them, the list of a large fleet by any parameter, a device with many
parameters, and what live streams cost."""

from __future__ import annotations

import http.client
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, urlencode

import psutil
import psycopg

from agent.core.clock import Deadline
from agent.store.database import Database
from agent.store.rows import Role
from agent.store.tokens import Tokens
from tests.bench.acs_ground import Ground, ground
from tests.bench.figures import Figure, median, milliseconds, spread
from tests.store.cpes import add_device, device_id_of, write_values
from tests.store.farm import make_wishes, rows, serial_of, slot_of

NAME = "web"
STREAMS = 50
CHANGES = 200
PAUSE_SECONDS = 0.05
DEVICES = 100_000
BATCH = 5_000
PARAMETERS = 6_400
TURNS = 25
START_SECONDS = 30.0
FILL_SECONDS = 900.0
ROOT = "InternetGatewayDevice."
POWER, SSID = f"{ROOT}WANDevice.1.RXPower", f"{ROOT}LANDevice.1.WLANConfiguration.1.SSID"
TREE = {
    **{f"{ROOT}LANDevice.1.Hosts.Host.{number}.HostName": f"host-{number}" for number in range(1, 16)},
    SSID: "@NAME@",
    POWER: "@POWER@",
}
"""Of each of the many devices; what stands in @…@ differs between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Web:
    """A running `lastmile web`."""

    port: int
    token: str
    worker: psutil.Process
    """The process that serves."""

    def get(self, path: str) -> bytes:
        """The body of an answer that must be 200."""
        status, body = self.ask(path)
        if status != http.HTTPStatus.OK:
            raise AssertionError(f"{path}: {status} {body[:300]!r}")
        return body

    def ask(self, path: str) -> tuple[int, bytes]:
        """Status and body of an answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
            answer = connection.getresponse()
            return answer.status, answer.read()


def run() -> list[Figure]:
    with ground() as floor, TemporaryDirectory() as folder:
        _add_modems(floor.url, Path(folder))
        with _web(floor.url) as web:
            figures = list(_streams(floor.url, web))
            figures += _parameters(floor.url, web)
        _add_devices(floor)
        with _web(floor.url) as web, _worker(floor.url):
            figures += _lists(web)
    return figures


def _figure(name: str, value: float, unit: str, goal: float | None = None, note: str = "") -> Figure:
    return Figure(benchmark=NAME, name=name, value=value, unit=unit, goal=goal, note=note)


# -- live -------------------------------------------------------------------------------------------------------------


def _streams(url: str, web: _Web) -> Iterator[Figure]:
    web.get("/api/v1/modems")
    before = _memory(web)
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(STREAMS):
            stream = stack.enter_context(socket.create_connection(("127.0.0.1", web.port), 10))
            stream.sendall(
                f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {web.token}\r\n\r\n".encode()
            )
            selector.register(stream, selectors.EVENT_READ)
        _read(selector, b"event: ready", Deadline.after(START_SECONDS))
        opened = _memory(web)
        delays, slowest = [], []
        with psycopg.connect(url, autocommit=True) as connection:
            for number in range(CHANGES):
                begun = time.perf_counter()
                name = f"operator {number}"
                connection.execute("UPDATE modems SET operator = %s WHERE serial = %s", (name, serial_of(1)))
                seen = _read(selector, b"event: modem_changed", Deadline.after(START_SECONDS))
                delays += [(at - begun) * 1000 for at in seen]
                slowest.append((max(seen) - begun) * 1000)
                time.sleep(PAUSE_SECONDS)
        busy = _memory(web)
    delays.sort()
    note = f"{CHANGES} changes, {STREAMS} streams; p50 {median(delays):.0f} ms, the last of the streams " + spread(
        slowest, "ms"
    )
    yield _figure("a row's change to the browsers' events, p99", delays[int(len(delays) * 0.99) - 1], "ms", 100.0, note)
    yield _figure(
        f"{STREAMS} event streams", opened - before, "MB", 50.0, f"after {CHANGES} events {busy - before:.1f} MB"
    )


def _read(selector: selectors.BaseSelector, wanted: bytes, deadline: Deadline) -> list[float]:
    """When each stream had what is wanted."""
    waiting = {key.fd: b"" for key in selector.get_map().values()}
    seen: list[float] = []
    while waiting:
        for key, _ in selector.select(deadline.remaining_seconds):
            stream = key.fileobj
            assert isinstance(stream, socket.socket)
            data = stream.recv(65536)
            if not data:
                raise AssertionError("the server has ended a stream")
            if key.fd in waiting:
                waiting[key.fd] += data
                if wanted in waiting[key.fd]:
                    seen.append(time.perf_counter())
                    del waiting[key.fd]
        if deadline.passed:
            raise AssertionError(f"{len(waiting)} streams have not told {wanted!r}")
    return seen


def _memory(web: _Web) -> float:
    """What the serving process has for itself, in MB."""
    return float(web.worker.memory_full_info().uss) / 1e6


# -- lists ------------------------------------------------------------------------------------------------------------


def _lists(web: _Web) -> Iterator[Figure]:
    kinds = {
        "filtered by a value": {"parameter": f"{SSID}:net-471"},
        "sorted by a value": {"sort": POWER, "order": "desc"},
        "filtered by one value, sorted by another": {"where": f"{SSID}^=net-47", "sort": POWER},
        "sorted by the last Inform": {"sort": "last_inform", "order": "desc"},
    }
    for query in kinds.values():
        _await_index(web, query)
    for name, query in kinds.items():
        path = "/api/v1/devices?" + urlencode({**query, "limit": "100"})
        found = len(json.loads(web.get(path))["devices"])
        times = _times(partial(web.get, path))
        yield _figure(
            f"{DEVICES:,} devices, {name}", median(times), "ms", 200.0, f"{found} rows; {spread(times, 'ms')}"
        )
    times = _times(partial(web.get, "/devices"))
    yield _figure(f"{DEVICES:,} devices, the page", median(times), "ms", note=spread(times, "ms"))


def _await_index(web: _Web, query: dict[str, str]) -> None:
    """The worker makes an index of what was asked for once."""
    path, deadline = "/api/v1/devices?" + urlencode({**query, "limit": "1"}), Deadline.after(FILL_SECONDS)
    quick = 0
    while quick < 3:
        begun = time.perf_counter()
        status, _ = web.ask(path)
        quick = quick + 1 if status == http.HTTPStatus.OK and time.perf_counter() - begun < 1 else 0
        if deadline.passed:
            raise AssertionError(f"{query} does not become quick")
        time.sleep(1)


def _add_devices(floor: Ground) -> None:
    first = add_device(floor.url, 0)
    write_values(floor.url, first, TREE)
    for begin in range(1, DEVICES, BATCH):
        floor.execute(
            f"""
            WITH original AS (SELECT * FROM devices WHERE device_id = '{first}'),
            copies AS (
                INSERT INTO devices (device_id, model_id, manufacturer, oui, product_class, serial_number, state,
                    software_version, inform_interval_seconds, parameter_count, discovered_at, discovery_wanted)
                SELECT oui || '-' || product_class || '-C' || lpad(n::text, 8, '0'), model_id, manufacturer, oui,
                    product_class, 'C' || lpad(n::text, 8, '0'), 'accepted', 'V5R0' || n % 20, 300, parameter_count,
                    now(), false
                FROM original, generate_series({begin}, {min(begin + BATCH, DEVICES) - 1}) AS n
                RETURNING id, right(serial_number, 8)::integer AS n
            ), informs AS (
                INSERT INTO device_informs (device_id, at, events, "values")
                SELECT copies.id, now() - make_interval(secs => n % 600), one.events, one."values"
                FROM copies, device_informs AS one WHERE one.device_id = (SELECT id FROM original)
            )
            INSERT INTO parameter_chunks (device_id, top, part, parts, at, "values", times)
            SELECT copies.id, top, part, parts, at, replace(replace("values"::text, '@NAME@', 'net-' || n % 20000),
                '@POWER@', (n * 7919 % 30000 - 30000)::text)::jsonb, times
            FROM copies, parameter_chunks AS one WHERE one.device_id = (SELECT id FROM original)
            """
        )
    floor.execute("VACUUM ANALYZE")


# -- parameters -------------------------------------------------------------------------------------------------------


def _parameters(url: str, web: _Web) -> Iterator[Figure]:
    device = add_device(url, 1, product_class="Large")
    values = {
        f"{ROOT}LANDevice.{lan}.Hosts.Host.{number}.{name}": f"{name} {number}"
        for lan in range(1, 17)
        for number in range(1, PARAMETERS // 64 + 1)
        for name in ("HostName", "IPAddress", "MACAddress", "Layer2Interface")
    }
    write_values(url, device, values)
    base = f"/devices/{quote(device_id_of(1, 'Large').replace('%', '%25'), safe='%')}/parameters"
    for name, path, goal in (
        ("the page", base, 300.0),
        ("the page, searched", f"{base}?q=MACAddress", 300.0),
        ("all of them by the API", f"/api/v1{base}?limit=10000", None),
    ):
        times = _times(partial(web.get, path))
        yield _figure(f"{len(values):,} parameters, {name}", median(times), "ms", goal, spread(times, "ms"))


def _times(work: Callable[[], object]) -> list[float]:
    work()
    return [milliseconds(work) for _ in range(TURNS)]


# -- ground -----------------------------------------------------------------------------------------------------------


def _add_modems(url: str, folder: Path) -> None:
    with Database(url) as database:
        wishes = make_wishes(database, folder / "wishes.json")
        for number in range(1, 31):
            wishes.register(serial_of(number), slot_of(number), None)
    rows(url, "UPDATE modems SET status = 'online'")


@contextmanager
def _web(url: str) -> Iterator[_Web]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with Database(url) as database:
        token = Tokens(database).create(f"bench-{port}", Role.ADMIN)
    with _process(url, "web", LASTMILE_WEB_TCP_PORT=str(port)) as pid:
        deadline = Deadline.after(START_SECONDS)
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if deadline.passed:
                    raise
                time.sleep(0.05)
        (worker,) = psutil.Process(pid).children()
        yield _Web(port=port, token=token, worker=worker)


@contextmanager
def _worker(url: str) -> Iterator[None]:
    with _process(url, "worker"):
        yield


@contextmanager
def _process(url: str, command: str, **environment: str) -> Iterator[int]:
    given = {"LASTMILE_DATABASE_URL": url, "LASTMILE_LOG_LEVEL": "error", **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "agent.cli.main", "--config", "/dev/null", command], env={**os.environ, **given}
    )
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
