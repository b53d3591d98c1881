"""`lastmile status`"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.context import as_json, load_settings, open_database
from agent.cli.modem_view import modem_mapping, modem_table

if TYPE_CHECKING:
    from agent.store.fleet import Fleet
    from agent.store.rows import ModemRow


@click.command("status")
@click.option("--watch", is_flag=True, help="Keep the table up to date until Ctrl-C.")
@click.option("--json", "as_json_", is_flag=True, help="Print the modems as JSON.")
@click.option("--host", metavar="HOST", help="Only the modems of HOST.")
@click.option(
    "--interval",
    type=click.FloatRange(0.2, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between looks of --watch.",
)
@click.pass_obj
def command(config: Path | None, watch: bool, as_json_: bool, host: str | None, interval: float) -> None:
    """Show every modem: state, operator, signal, WAN address, proxy."""
    from agent.store.fleet import Fleet

    if watch and as_json_:
        raise click.UsageError("--watch is for people, --json is for programs: choose one")
    settings = load_settings(config)
    with open_database(settings, "status") as database:
        fleet = Fleet(database)
        if as_json_:
            click.echo(as_json([modem_mapping(row) for row in fetch(fleet, host)]))
        elif watch:
            show_live(fleet, host, interval)
        else:
            show(fetch(fleet, host))


def fetch(fleet: Fleet, host: str | None) -> tuple[ModemRow, ...]:
    """The modems, of one host or of all."""
    return tuple(row for row in fleet.fetch_modems() if host in (None, row.host))


def show(rows: tuple[ModemRow, ...]) -> None:
    """Print the table once."""
    from rich.console import Console

    if not rows:
        click.echo("No modem has been seen yet. Plug one in, or look at: journalctl -u lastmile-agent")
        return
    # A pipe or a file has no width: nothing is left out there.
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(modem_table(rows, width=console.width))


def show_live(fleet: Fleet, host: str | None, interval: float) -> None:
    """Redraw the table until interrupted."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    with Live(console=console, auto_refresh=False) as live:
        try:
            while True:
                live.update(modem_table(fetch(fleet, host), width=console.width), refresh=True)
                time.sleep(interval)
        except KeyboardInterrupt:
            return
