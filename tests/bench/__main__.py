"""`python -m tests.bench [NAME ...] [--json]`: run the benchmarks (all quick ones by default), print their figures."""

from __future__ import annotations

import argparse
import compileall
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

import agent
from tests.bench import (
    bench_acs,
    bench_acs_scale,
    bench_cli,
    bench_history,
    bench_modemmanager,
    bench_plug,
    bench_routing,
    bench_soap,
    bench_steady,
    bench_thirty,
    bench_web,
)
from tests.bench.figures import Figure, Noise, measure_noise

BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {
    module.NAME: module.run
    for module in (
        bench_cli,
        bench_soap,
        bench_routing,
        bench_plug,
        bench_thirty,
        bench_steady,
        bench_acs,
        bench_acs_scale,
        bench_history,
        bench_web,
        bench_modemmanager,
    )
}
ONLY_WHEN_NAMED = frozenset({bench_acs.NAME, bench_acs_scale.NAME, bench_modemmanager.NAME, bench_web.NAME})
"""Minutes each; ModemManager's needs the lab's image."""
NEED_ROOT = frozenset(BENCHMARKS) - {"cli"}
MET = {True: "met", False: "MISSED", None: ""}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One benchmark's figures, and how the machine was right before it."""

    noise: Noise
    figures: tuple[Figure, ...]


def main() -> int:
    """Exit status 0 when every goal was met, 1 when one was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    slow = ", ".join(sorted(ONLY_WHEN_NAMED))
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"of {', '.join(BENCHMARKS)}; by default all but {slow}, which take long",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    names = options.names or [name for name in BENCHMARKS if name not in ONLY_WHEN_NAMED]
    if unknown := sorted(set(names) - BENCHMARKS.keys()):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if os.geteuid() != 0 and NEED_ROOT & set(names):
        parser.error("root is needed for network namespaces (only cli runs without)")
    # Nothing may be left behind, not even of a run that was told to stop.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    _compile()
    console = Console(width=None if sys.stdout.isatty() else 150)
    runs = []
    for name in names:
        runs.append(Run(noise=measure_noise(), figures=tuple(BENCHMARKS[name]())))
        if not options.json:
            console.print(_table(name, runs[-1]))
    if options.json:
        print(json.dumps([_plain(run) for run in runs], indent=2))
    return 1 if any(figure.met is False for run in runs for figure in run.figures) else 0


def _compile() -> None:
    """Programs that are installed have their bytecode; so have these, whatever the developer's environment says."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(Path(agent.__file__).parent, quiet=2)


def _plain(run: Run) -> dict[str, object]:
    return {
        "noise": dataclasses.asdict(run.noise),
        "figures": [{**dataclasses.asdict(figure), "met": figure.met} for figure in run.figures],
    }


def _table(name: str, run: Run) -> Table:
    noise = run.noise
    machine = f"load {noise.load:.1f}, fixed loop {noise.loop_ms:.1f} ms (worst turn {noise.loop_spread:.1f} times)"
    table = Table(title=name, caption=f"machine: {machine}", title_justify="left", caption_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("goal", justify="right")
    table.add_column("")
    table.add_column("note")
    for figure in run.figures:
        goal = "" if figure.goal is None else f"{'≥' if figure.more_is_better else '≤'} {figure.goal:.4g} {figure.unit}"
        table.add_row(figure.name, f"{figure.value:.2f} {figure.unit}", goal, MET[figure.met], figure.note)
    return table


if __name__ == "__main__":
    sys.exit(main())
