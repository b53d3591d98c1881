"""CPU time and memory of running processes, from /proc."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

RUN_SECONDS = 30.0
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
    """What the process `pid` uses; CPU time comes in clock ticks of 10 ms."""
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


def run_milliseconds(command: Sequence[str], text: str = "") -> float:
    """How long a program takes that must succeed, given `text` on its standard input.

    `subprocess`'s own timeout is not used: it looks for the end ever less often, and would round up the figure."""
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        descriptor = os.pidfd_open(process.pid)
        try:
            process.stdin.write(text)
            process.stdin.close()
            ended = select.poll()
            ended.register(descriptor, select.POLLIN)
            if not ended.poll(RUN_SECONDS * 1000):
                process.kill()
                raise AssertionError(f"{command[0]} does not end")
        finally:
            os.close(descriptor)
        taken = (time.perf_counter() - started) * 1000
        if process.wait() != 0:
            raise AssertionError(f"{command[0]} ended with status {process.returncode}")
    return taken


def _mb(text: str) -> float:
    return int(text.split(maxsplit=1)[0]) / 1024
