"""`lastmile agent`"""

from __future__ import annotations

from pathlib import Path

import click


@click.command("agent")
@click.pass_obj
def command(config: Path | None) -> None:
    """Look after this host's modems until told to stop. systemd runs this as lastmile-agent.service.

    SIGTERM ends it and leaves proxies, links and rules as they are; SIGHUP reads the settings again."""
    from agent.cli.daemon import run

    run(config)
