"""CPU time and memory of running processes, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Of one process, since its start."""

    own_seconds: float
    children_seconds: float
    """Of children that have ended and were waited for."""
    rss_mb: float
    own_memory_mb: float
    """Pages that no other process shares."""
    threads: int


def usage(pid: int) -> Usage:
    """What the process `pid` uses. CPU time comes in clock ticks of 10 ms, or exact from its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    rollup = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:] if ":" in line
    )
    return Usage(
        own_seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
        children_seconds=(int(fields[13]) + int(fields[14])) / _TICKS,
        rss_mb=_mb(rollup["Rss"]),
        own_memory_mb=_mb(rollup["Private_Clean"]) + _mb(rollup["Private_Dirty"]),
        threads=int(fields[17]),
    )


def thread_seconds(pid: int) -> dict[str, float]:
    """CPU seconds of every thread, added up by name."""
    found: dict[str, float] = {}
    for folder in Path(f"/proc/{pid}/task").iterdir():
        name = (folder / "comm").read_text().strip()
        found[name] = found.get(name, 0.0) + int((folder / "schedstat").read_text().split()[0]) / 1e9
    return found


def processes_named(name: str, network_namespace: str) -> list[int]:
    """Processes of that name in a network namespace."""
    home = Path(network_namespace).stat().st_ino
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip() == name and (folder / "ns/net").stat().st_ino == home:
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def total_seconds(pids: Iterable[int]) -> float:
    """Own CPU seconds of all of them."""
    return sum(usage(pid).own_seconds for pid in pids)


def _mb(text: str) -> float:
    return int(text.split()[0]) / 1024
