"""The `lastmile` command. Subcommands are imported only when they run, so that help and completion answer at once."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from agent.cli import exits
from agent.core.errors import AgentError
from agent.version import __version__

COMMANDS = {
    "acs": ("agent.cli.acs", "Serve TR-069 to CPEs (run by systemd)."),
    "agent": ("agent.cli.agent", "Look after this host's modems (run by systemd)."),
    "alert": ("agent.cli.alert", "Show and silence alerts; try who is told."),
    "completion": ("agent.cli.completion", "Print the shell's completion script."),
    "config": ("agent.cli.config", "Check and show the settings."),
    "credential": ("agent.cli.credential", "Say what CPEs may log in with."),
    "demo": ("agent.cli.demo", "Run everything on emulated modems."),
    "device": ("agent.cli.device", "Show and command devices that talk TR-069."),
    "doctor": ("agent.cli.doctor", "Check this host, and say how to mend what is wrong."),
    "file": ("agent.cli.file", "Add, list and remove files for devices."),
    "host": ("agent.cli.host", "Take lastmile's network set-up off this machine."),
    "migrate": ("agent.cli.migrate", "Bring the database's schema up to date."),
    "modem": ("agent.cli.modem", "Show and command one modem."),
    "operator": ("agent.cli.operator", "Add, list and change people who sign in."),
    "plan": ("agent.cli.plan", "Say what a pass would do; do nothing."),
    "status": ("agent.cli.status", "Show the modems."),
    "token": ("agent.cli.token", "Create, list and revoke API tokens."),
    "version": ("agent.cli.version", "Print the version."),
    "web": ("agent.cli.web", "Serve the pages and the REST API (run by systemd)."),
    "worker": ("agent.cli.worker", "Background jobs: waking CPEs, alerts, history (run by systemd)."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and one-line helps without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


EPILOG = (
    "Exit status: 0 done, 1 failed, 2 wrong usage, 4 no such thing, 5 the modem or device refused, 69 database or "
    "agent unavailable, 70 a bug, 75 no answer in time, 78 the settings must be corrected."
)


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Settings file instead of /etc/lastmile/lastmile.toml; drop-ins lie in lastmile.d beside it.",
)
@click.version_option(__version__, prog_name="lastmile")
@click.pass_context
def lastmile(ctx: click.Context, config: Path | None) -> None:
    """Look after the last mile: LTE modems that serve as proxies, and devices that talk TR-069."""
    # A command says what went wrong once, in its error; `agent` and `web` start a log of their own.
    logging.getLogger().addHandler(logging.NullHandler())
    ctx.obj = config


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every expected error becomes one line on stderr and a documented exit status."""
    options: dict[str, Any] = {"prog_name": "lastmile"}
    try:
        lastmile.main(args=list(arguments) if arguments is not None else None, standalone_mode=True, **options)
    except AgentError as error:
        click.echo(f"lastmile: {error}", err=True)
        sys.exit(exits.status_of(error))


if __name__ == "__main__":
    main()
