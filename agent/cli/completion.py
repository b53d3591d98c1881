"""`lastmile completion SHELL`"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from agent.core.errors import InvariantError


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL: eval "$(lastmile completion bash)"."""
    kind = get_completion_class(shell)
    if kind is None:
        raise InvariantError(f"click has no completion for {shell}")
    click.echo(kind(ctx.find_root().command, {}, "lastmile", "_LASTMILE_COMPLETE").source())
