"""`lastmile migrate`"""

from __future__ import annotations

from pathlib import Path

import click

from agent.cli.context import load_settings


@click.command("migrate")
@click.pass_obj
def command(config: Path | None) -> None:
    """Bring the database's schema up to date; safe to run at any time and by several hosts at once."""
    from agent.store.migrate import migrate

    applied = migrate(load_settings(config).database.url.get_secret_value())
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("The schema is up to date.")
