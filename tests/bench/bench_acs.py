"""The ACS under load: steady periodic sessions, first contacts, digest, idle connections; beside a server that does
nothing, in the same run."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench import bench_acs_task
from tests.bench.acs_ground import Ground, Load, clone_devices, ground, null_acs, run_load
from tests.bench.figures import Figure

NAME = "acs"
DEVICES = 10_000
SECONDS = 10
IDLE = 5_000
SMALL, LARGE = 130, 2400
PACED = 500


def run() -> list[Figure]:
    figures = list(_ceiling())
    for parameters in (SMALL, LARGE):
        with ground() as floor:
            _fill(floor, parameters)
            for workers in (1, 2):
                figures += _steady(floor, parameters, workers)
            if parameters == SMALL:
                figures += bench_acs_task.measure(floor, NAME)
                figures += _paced(floor)
                figures += _idle(floor)
                figures += _digest(floor)
    for devices, workers in ((1, 1), (8, 2), (50, 2)):
        figures += _first_contacts(devices, workers)
    return figures


def _figure(
    name: str, value: float, unit: str, goal: float | None = None, *, more: bool = False, note: str = ""
) -> Figure:
    return Figure(benchmark=NAME, name=name, value=value, unit=unit, goal=goal, more_is_better=more, note=note)


def _ceiling() -> Iterator[Figure]:
    with null_acs() as url:
        load = run_load(url, devices=400, concurrency=12, warmup=1, duration=5, params=SMALL)
    yield _figure("beside: a server that does nothing", load.per_second, "sessions/s", note=_note(load))


def _fill(floor: Ground, parameters: int) -> None:
    with floor.acs(workers=1) as (url, _pid):
        run_load(url, devices=1, each_once=True, params=parameters)
    clone_devices(floor, "SIM%07d", DEVICES)


def _steady(floor: Ground, parameters: int, workers: int) -> Iterator[Figure]:
    with floor.acs(workers=workers) as (url, pid):
        load = run_load(
            url,
            devices=DEVICES,
            concurrency=12 * workers,
            warmup=2,
            duration=SECONDS,
            params=parameters,
            event="2 PERIODIC",
            watch={"acs": pid, "db": floor.postmaster},
        )
    what = f"{DEVICES} devices of {parameters} parameters, {workers} worker{'s' if workers > 1 else ''}"
    goal = 1800.0 if workers == 1 else None
    yield _figure(f"steady sessions, {what}", load.per_second, "sessions/s", goal, more=True, note=_note(load))
    yield _figure("  CPU of the workers per 1,000", load.acs_cpu, "s", 0.6 if workers == 1 else None)
    yield _figure("  CPU of PostgreSQL per 1,000", load.database_cpu, "s")
    yield _figure("  RSS of all processes of the ACS", load.acs_rss_mib, "MiB", note="the supervisor's included")


def _paced(floor: Ground) -> Iterator[Figure]:
    with floor.acs(workers=1) as (url, pid):
        load = run_load(
            url,
            devices=DEVICES,
            rate=PACED,
            concurrency=64,
            warmup=2,
            duration=SECONDS,
            params=SMALL,
            event="2 PERIODIC",
            watch={"acs": pid, "db": floor.postmaster},
        )
    yield _figure(f"paced at {PACED}/s: CPU of the worker per 1,000", load.acs_cpu, "s", 0.8, note=_note(load))


def _digest(floor: Ground) -> Iterator[Figure]:
    from agent.acs.access.credentials import make_credential

    credential = make_credential("cpe", "lastmile", "secret")
    floor.execute(
        "INSERT INTO cpe_credentials (username, realm, ha1_md5, ha1_sha256) VALUES"
        f" ('cpe', 'lastmile', '{credential.ha1_md5}', '{credential.ha1_sha256}')"
    )
    with floor.acs(workers=1, authentication='["digest"]') as (url, pid):
        load = run_load(
            url,
            devices=DEVICES,
            concurrency=12,
            warmup=2,
            duration=SECONDS,
            params=SMALL,
            event="2 PERIODIC",
            user="cpe",
            **{"pass": "secret"},
            watch={"acs": pid, "db": floor.postmaster},
        )
    yield _figure("with digest, 1 worker", load.per_second, "sessions/s", 1400.0, more=True, note=_note(load))
    yield _figure("  CPU of the worker per 1,000", load.acs_cpu, "s")


def _idle(floor: Ground) -> Iterator[Figure]:
    with floor.acs(workers=1) as (url, pid):
        arguments: dict[str, Any] = {
            "devices": DEVICES,
            "concurrency": 12,
            "warmup": 1,
            "duration": 5,
            "params": SMALL,
            "event": "2 PERIODIC",
            "watch": {"acs": pid, "db": floor.postmaster},
        }
        alone = run_load(url, **arguments)
        with _idle_connections(url):
            beside = run_load(url, **arguments)
    ratio = beside.per_second / alone.per_second if alone.per_second else 0.0
    yield _figure(
        f"with {IDLE} idle connections, in relation to none", ratio, "times", 0.85, more=True, note=_note(beside)
    )


@contextmanager
def _idle_connections(url: str) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, IDLE + 2048), hard))
    port = int(url.rstrip("/").rpartition(":")[2])
    kept = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(IDLE)]
    try:
        yield
    finally:
        for connection in kept:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _first_contacts(devices: int, workers: int) -> Iterator[Figure]:
    with ground() as floor, floor.acs(workers=workers) as (url, pid):
        # The first device of a model teaches its types; that is measured as well, and then the others.
        first = run_load(url, devices=1, each_once=True, params=LARGE, serial_prefix="TEACH")
        before = _rss(pid)
        load = run_load(
            url,
            devices=devices,
            each_once=True,
            concurrency=devices,
            params=LARGE,
            watch={"acs": pid, "db": floor.postmaster},
        )
    if devices == 1:
        yield _figure(f"the first device of its model, {LARGE} parameters", first.elapsed_seconds, "s", 0.12)
        yield _figure(
            f"another one's first contact, {LARGE} parameters", load.elapsed_seconds, "s", 0.12, note=_note(load)
        )
        return
    rate = load.values / load.elapsed_seconds
    yield _figure(
        f"{devices} first contacts of {LARGE} parameters, {workers} workers",
        rate,
        "parameters/s",
        50_000.0 if devices == 50 else None,
        more=True,
        note=f"{load.elapsed_seconds:.2f} s in all; {_note(load)}",
    )
    grown = (load.acs_rss_mib - before) / devices
    yield _figure("  memory of the ACS above its rest, per discovery", grown, "MiB", 2.0)


def _rss(pid: int) -> float:
    from pathlib import Path

    def of(each: int) -> float:
        status = Path(f"/proc/{each}/status").read_text()
        own = int(status.partition("VmRSS:")[2].split()[0]) / 1024
        children = Path(f"/proc/{each}/task/{each}/children").read_text().split()
        return own + sum(of(int(child)) for child in children)

    return of(pid)


def _note(load: Load) -> str:
    text = f"p50/p99 {load.p50_ms:.0f}/{load.p99_ms:.0f} ms"
    if load.failed:
        text += f", {load.failed} FAILED"
    return f"{text}; generator {load.generator_share:.0%}, others {load.other_share:.0%} of a core"
