"""`lastmile config …`"""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.group("config")
def command() -> None:
    """The settings: files, drop-ins, LASTMILE_… variables and systemd credentials, put together."""


@command.command("check")
@click.pass_obj
def check(config: Path | None) -> None:
    """Check every source of the settings; list all mistakes, or say that there are none."""
    from agent.core.settings.load import load

    loaded = load(config, os.environ)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo("The settings are good.")


@command.command("show")
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@click.pass_obj
def show(config: Path | None, origin: bool) -> None:
    """Print every setting in force; secrets are hidden."""
    from agent.core.settings.load import load, render_effective

    rows = render_effective(load(config, os.environ), origin=origin)
    width = max(len(f"{row.key} = {row.value}") for row in rows if len(row.value) < 60)
    for row in rows:
        line = f"{row.key} = {row.value}"
        click.echo(f"{line:<{width}}  # {row.origin}" if origin else line)
