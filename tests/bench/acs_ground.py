"""What the ACS is measured with: PostgreSQL as it is installed (fsync on), `lastmile acs` as its own process, the load
generator, and many devices in the database without the hours that meeting them would take."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from agent.core.clock import Deadline
from agent.core.errors import ConfigError
from agent.sim.postgres import EmbeddedPostgres
from agent.store.migrate import migrate

SOURCES = Path(__file__).parent / "cwmpload"
START_SECONDS = 30.0


@cache
def build(name: str) -> Path:
    """The program made of `cwmpload/<name>.cc`. Raises ConfigError without a C++ compiler."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise ConfigError("the load generator needs a C++ compiler: apt install g++")
    folder = Path(tempfile.mkdtemp(prefix="cwmpload-"))
    subprocess.run([compiler, "-O2", "-std=c++17", "-o", folder / name, SOURCES / f"{name}.cc"], check=True)
    return folder / name


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the generator measured."""

    per_second: float
    p50_ms: float
    p99_ms: float
    values: int
    elapsed_seconds: float
    failed: int
    """Sessions that were refused or went wrong."""
    acs_cpu: float
    """CPU seconds per 1,000 sessions, of all workers."""
    database_cpu: float
    acs_rss_mib: float
    generator_share: float
    other_share: float
    """Of one core, by anything else on the machine."""


def run_load(url: str, *, watch: Mapping[str, int] | None = None, **options: Any) -> Load:
    """Run the generator with `--name value` for each option (True: the name alone)."""
    words = [str(build("cwmpload")), "--url", url]
    for name, value in options.items():
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words.append(str(value))
    for label, pid in (watch or {}).items():
        words += ["--watch", f"{label}={pid}"]
    with tempfile.NamedTemporaryFile() as out:
        done = subprocess.run([*words, "--json", out.name], capture_output=True, text=True, check=False)
        text = Path(out.name).read_text().strip()
    if not text:
        raise AssertionError(done.stdout + done.stderr)
    found = json.loads(text.splitlines()[-1])
    acs, database = found.get("acs", {}), found.get("db", {})
    return Load(
        per_second=found["per_s"],
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
        values=found["values"],
        elapsed_seconds=found["elapsed"],
        failed=found["rejected503"] + found["errors"],
        acs_cpu=acs.get("cpu_s_per_1000", 0.0),
        database_cpu=database.get("cpu_s_per_1000", 0.0),
        acs_rss_mib=acs.get("rss_mib", 0.0),
        generator_share=found["gen_cpu_share"],
        other_share=found["other_cpu_share"],
    )


@contextmanager
def null_acs() -> Iterator[str]:
    """URL of a server that does nothing but answer: the generator's own ceiling."""
    port = _free_port()
    process = subprocess.Popen([build("nullacs"), str(port)])
    try:
        _await_port(port)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A database that `lastmile acs` processes may serve."""

    url: str
    postmaster: int

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def fetch(self, statement: str) -> Any:
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(statement.encode()).fetchone()
            return row[0] if row else None

    @contextmanager
    def acs(self, **settings: Any) -> Iterator[tuple[str, int]]:
        """A running ACS: its URL, and the process whose children are the workers."""
        port = _free_port()
        given = {
            "LASTMILE_DATABASE_URL": self.url,
            "LASTMILE_ACS_LISTEN": f"127.0.0.1:{port}",
            "LASTMILE_ACS_AUTHENTICATION": json.dumps(["none"]),
            "LASTMILE_ACS_NEW_DEVICES_PER_MINUTE": "1000000",
            "LASTMILE_LOG_LEVEL": "warning",
        }
        given |= {f"LASTMILE_ACS_{name.upper()}": str(value) for name, value in settings.items()}
        process = subprocess.Popen(
            [sys.executable, "-m", "agent.cli.main", "--config", "/dev/null", "acs"], env={**os.environ, **given}
        )
        try:
            _await_port(port)
            yield f"http://127.0.0.1:{port}/", process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


@contextmanager
def ground() -> Iterator[Ground]:
    """A fresh database on a server of its own, with PostgreSQL's own defaults."""
    folder = Path(tempfile.mkdtemp(prefix="bench-acs-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder, durable=True)
    server.start()
    try:
        url = server.create_database("acs")
        migrate(url)
        pid = int((server.data / "postmaster.pid").read_text().splitlines()[0])
        yield Ground(url=url, postmaster=pid)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def clone_devices(ground: Ground, pattern: str, count: int) -> None:
    """Copy the one device whose serial number is `pattern` with 0000000 in it, until there are `count`, as the
    generator numbers them."""
    first = pattern % 0
    ground.execute(
        f"""
        INSERT INTO devices (device_id, model_id, manufacturer, oui, product_class, serial_number, state, ip_address,
            connection_request_url, software_version, hardware_version, inform_interval_seconds, first_seen,
            parameter_count, discovered_at, discovery_wanted)
        SELECT replace(device_id, '{first}', name), model_id, manufacturer, oui, product_class, name, state, ip_address,
            replace(connection_request_url, '{first}', name), software_version, hardware_version,
            inform_interval_seconds, first_seen - interval '1 hour', parameter_count, discovered_at, false
        FROM devices, LATERAL (SELECT '{re.sub("%.*", "", pattern)}' || lpad(n::text, 7, '0') AS name
            FROM generate_series(1, {count - 1}) AS n) AS names
        WHERE serial_number = '{first}'
        """
    )
    for table, columns in (
        ("device_informs", 'at, events, "values"'),
        ("parameter_chunks", 'top, part, parts, at, "values", times'),
    ):
        ground.execute(
            f"""
            INSERT INTO {table} (device_id, {columns})
            SELECT copy.id, {", ".join(f"one.{column.strip()}" for column in columns.split(","))}
            FROM {table} AS one JOIN devices AS original ON original.id = one.device_id
            JOIN devices AS copy ON copy.model_id = original.model_id AND copy.id <> original.id
                AND copy.serial_number LIKE '{re.sub("%.*", "", pattern)}%'
            WHERE original.serial_number = '{first}'
            """
        )
    ground.execute("VACUUM ANALYZE")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_port(port: int) -> None:
    deadline = Deadline.after(START_SECONDS)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if deadline.passed:
                raise
