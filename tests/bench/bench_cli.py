"""How long `lastmile --help` takes, beside an interpreter that does nothing and one that imports click."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.figures import Figure, median, spread
from tests.bench.processes import run_milliseconds

NAME = "cli"
TURNS = 15
GOAL_MS = 200.0


def run() -> list[Figure]:
    program = Path(sys.executable).parent / "lastmile"
    commands: dict[str, Sequence[str]] = {
        "lastmile --help": [str(program), "--help"],
        "lastmile version": [str(program), "version"],
        "beside: python -c pass": [sys.executable, "-c", "pass"],
        "beside: python -c 'import click'": [sys.executable, "-c", "import click"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(TURNS):
        # In turns, so that a busy moment of the machine hits all of them.
        for name, command in commands.items():
            times[name].append(run_milliseconds(command))
    bare = median(times["beside: python -c pass"])
    return [
        Figure(
            benchmark=NAME,
            name=name,
            value=median(turns),
            unit="ms",
            goal=GOAL_MS if name == "lastmile --help" else None,
            note=f"{median(turns) / bare:.1f} times a bare interpreter; {spread(turns, 'ms')}",
        )
        for name, turns in times.items()
    ]
