"""`lastmile version`"""

from __future__ import annotations

import platform

import click

from agent.version import __version__


@click.command("version")
def command() -> None:
    """Print the version of lastmile and of what it runs on."""
    click.echo(f"lastmile {__version__} (Python {platform.python_version()}, {platform.system()} {platform.release()})")
