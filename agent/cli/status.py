"""`lastmile status`"""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.context import as_json, load_settings, open_database
from agent.cli.modem_view import modem_mapping, modem_table
from agent.core.clock import wall

if TYPE_CHECKING:
    from agent.store.fleet import Fleet
    from agent.store.rows import ModemRow

HEARD_WITHIN = timedelta(seconds=90)
"""What an agent said that has been silent for longer may not be so any more."""


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
            show(fetch(fleet, host), notices(fleet, host))


def fetch(fleet: Fleet, host: str | None) -> tuple[ModemRow, ...]:
    """The modems, of one host or of all."""
    return tuple(row for row in fleet.fetch_modems() if host in (None, row.host))


def notices(fleet: Fleet, host: str | None) -> tuple[str, ...]:
    """What the agents that live want people to know: `HOST: sentence`."""
    oldest = wall() - HEARD_WITHIN
    hosts = (each for each in fleet.fetch_hosts() if host in (None, each.name) and each.last_seen >= oldest)
    return tuple(f"{each.name}: {notice}" for each in hosts for notice in each.notices)


def show(rows: tuple[ModemRow, ...], beneath: tuple[str, ...]) -> None:
    """Print the table once, and the lines beneath it."""
    from rich.console import Console

    if rows:
        # A pipe or a file has no width: nothing is left out there.
        console = Console() if sys.stdout.isatty() else Console(width=200)
        console.print(modem_table(rows, width=console.width))
    else:
        click.echo("No modem has been seen yet. Plug one in, or look at: lastmile doctor")
    for line in beneath:
        click.echo(f"! {line}")


def show_live(fleet: Fleet, host: str | None, interval: float) -> None:
    """Redraw the table until interrupted."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    console = Console()
    with Live(console=console, auto_refresh=False) as live:
        try:
            while True:
                table = modem_table(fetch(fleet, host), width=console.width)
                beneath = [Text(f"! {line}") for line in notices(fleet, host)]
                live.update(Group(table, *beneath), refresh=True)
                time.sleep(interval)
        except KeyboardInterrupt:
            return
