"""The ACS with 1,000, 10,000 and 100,000 devices in the database: does a session cost more, how large do the tables
get, and what does vacuum have to do."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.bench.acs_ground import Ground, Load, clone_devices, ground, run_load
from tests.bench.figures import Figure

NAME = "acs-scale"
SIZES = (1_000, 10_000, 100_000)
SMALL, LARGE = 130, 2400
LARGE_SHARE = 10
"""One device in so many has LARGE parameters, the others SMALL."""
SECONDS = 20
TABLES = ("devices", "device_informs", "parameter_chunks", "model_parameters", "sessions")
MIB = 1024 * 1024


def run() -> list[Figure]:
    figures: list[Figure] = []
    for devices in SIZES:
        with ground() as floor:
            figures += _measure(floor, devices)
    return figures


def _measure(floor: Ground, devices: int) -> Iterator[Figure]:
    large = devices // LARGE_SHARE
    with floor.acs(workers=1) as (url, _pid):
        run_load(url, devices=1, each_once=True, params=SMALL)
        run_load(url, devices=1, each_once=True, params=LARGE, serial_prefix="BIG")
    clone_devices(floor, "SIM%07d", devices - large)
    clone_devices(floor, "BIG%07d", large)
    before = _sizes(floor)
    with floor.acs(workers=1) as (url, pid):
        load = run_load(
            url,
            devices=devices - large,
            concurrency=12,
            warmup=2,
            duration=SECONDS,
            params=SMALL,
            event="2 PERIODIC",
            watch={"acs": pid, "db": floor.postmaster},
        )
    after = _sizes(floor)
    dead = floor.fetch("SELECT coalesce(sum(n_dead_tup), 0) FROM pg_stat_user_tables")
    vacuum_seconds = _vacuum(floor)
    yield _figure(f"{devices:,} devices: steady sessions, 1 worker", load.per_second, "sessions/s", _note(load))
    yield _figure("  CPU of the worker per 1,000", load.acs_cpu, "s")
    yield _figure("  CPU of PostgreSQL per 1,000", load.database_cpu, "s")
    total = sum(before.values())
    parts = ", ".join(f"{name} {size / MIB:.0f}" for name, size in before.items() if size >= MIB)
    yield _figure("  tables with their indexes, before", total / MIB, "MiB", parts)
    yield _figure("  of that, a device", total / devices / 1024, "KiB")
    grown = sum(after.values()) - total
    yield _figure("  grown by the sessions, history included", grown / MIB, "MiB", f"{dead} dead rows not yet vacuumed")
    yield _figure("  VACUUM ANALYZE of everything afterwards", vacuum_seconds, "s")


def _sizes(floor: Ground) -> dict[str, int]:
    """Bytes of each table with its partitions, indexes and TOAST."""
    size = (
        "SELECT coalesce(sum(pg_total_relation_size(relid)), pg_total_relation_size('{0}'))"
        " FROM pg_partition_tree('{0}')"
    )
    return {name: int(floor.fetch(size.format(name))) for name in TABLES}


def _vacuum(floor: Ground) -> float:
    begun = time.monotonic()
    floor.execute("VACUUM ANALYZE")
    return time.monotonic() - begun


def _figure(name: str, value: float, unit: str, note: str = "") -> Figure:
    return Figure(benchmark=NAME, name=name, value=value, unit=unit, note=note)


def _note(load: Load) -> str:
    text = f"p50/p99 {load.p50_ms:.0f}/{load.p99_ms:.0f} ms"
    return f"{text}, {load.failed} FAILED" if load.failed else text
