"""`lastmile doctor`"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli import exits
from agent.cli.context import as_json

if TYPE_CHECKING:
    from agent.doctor.findings import Severity
    from agent.host.doctor.examination import Examined

SYMBOLS = {"ok": "✓", "hint": "·", "warning": "!", "failure": "✗", "unknown": "?"}
ASCII_SYMBOLS = {"ok": "+", "hint": "-", "warning": "!", "failure": "x", "unknown": "?"}
STYLES = {"ok": "green", "hint": "cyan", "warning": "yellow", "failure": "bold red", "unknown": "magenta"}


@click.command("doctor")
@click.option("--json", "as_json_", is_flag=True, help="Print every finding as JSON.")
@click.option("--quiet", is_flag=True, help="Print only what is to be mended.")
@click.pass_obj
def command(config: Path | None, as_json_: bool, quiet: bool) -> None:
    """Look at everything on this host that lastmile needs, and say how to mend what is wrong. Nothing is changed.

    As root it sees everything; as another user, what it may not see is `unknown`. Exit status: 0 when there is
    nothing to mend (hints and unknown count for nothing), 1 when there is a warning or a failure."""
    from agent.cli.doctor_checks import Examination
    from agent.host.doctor.examination import examine

    with Examination(config, os.environ) as examination:
        found = examine(examination.checks())
    wrong = [each for each in found if each.finding.severity.to_be_mended]
    if as_json_:
        click.echo(as_json([mapping(each) for each in found]))
    else:
        show(wrong if quiet else found)
        if not quiet:
            click.echo(f"\n{summary([each.finding.severity for each in found])}")
    if wrong:
        sys.exit(exits.FAILURE)


def mapping(examined: Examined) -> dict[str, str]:
    """A finding for programs; the keys stay."""
    finding = examined.finding
    return {
        "id": finding.id,
        "group": examined.group,
        "severity": finding.severity.value,
        "finding": finding.finding,
        "mend": finding.mend,
    }


def show(found: Sequence[Examined]) -> None:
    """Print findings by group; each is a symbol, a word and a line, so that nothing depends on colours."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    symbols = SYMBOLS if "utf" in (sys.stdout.encoding or "").lower() else ASCII_SYMBOLS
    group = ""
    for each in found:
        if each.group != group:
            console.print(Text(f"\n{each.group}" if group else each.group, style="bold"))
            group = each.group
        finding, severity = each.finding, each.finding.severity.value
        line = Text("  ")
        line.append(f"{symbols[severity]} {severity:<7}", style=STYLES[severity])
        line.append(f"  {printable(finding.finding)}  ")
        line.append(f"[{finding.id}]", style="dim")
        # Not wrapped here: a command that is cut in two cannot be copied.
        console.print(line, soft_wrap=True)
        if finding.mend:
            console.print(Text(f"             mend: {printable(finding.mend)}"), soft_wrap=True)


def summary(severities: Sequence[Severity]) -> str:
    """`1 failure, 2 warnings, 20 ok`"""
    from agent.doctor.findings import Severity

    counts = Counter(severities)
    words = {Severity.FAILURE: "failure", Severity.WARNING: "warning", Severity.HINT: "hint"}
    parts = [f"{counts[each]} {word}{'s' if counts[each] != 1 else ''}" for each, word in words.items() if counts[each]]
    parts += [f"{counts[each]} {each.value}" for each in (Severity.UNKNOWN, Severity.OK) if counts[each]]
    return ", ".join(parts)


def printable(text: str) -> str:
    """Names of processes and lines of the kernel's log are others' words: no control character of them is printed."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
