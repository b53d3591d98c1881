"""`lastmile web`"""

from __future__ import annotations

from pathlib import Path

import click

from agent.cli.context import load_settings


@click.command("web")
@click.pass_obj
def command(config: Path | None) -> None:
    """Serve the REST API, live events and metrics until told to stop. systemd runs this as lastmile-web.service."""
    from agent.cli.logs import start_logging
    from agent.web.server import serve

    settings = load_settings(config)
    start_logging(settings.log.level)
    serve(settings)
