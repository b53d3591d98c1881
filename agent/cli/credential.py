"""`lastmile credential …`"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import click

from agent.cli.context import as_json
from agent.cli.device_store import open_devices
from agent.cli.exits import NotFoundError
from agent.core.errors import ProtocolError

GENERATED_BYTES = 18


@click.group("credential")
def command() -> None:
    """User names and passwords that CPEs log in with."""


@command.command("add")
@click.argument("username")
@click.option("--device", "device_id", metavar="ID", help="Only this device may use it; it need not be known yet.")
@click.option("--generate", is_flag=True, help="Make a password, and print it: this is the only time that it is shown.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of the input.")
@click.pass_obj
def add(config: Path | None, username: str, device_id: str | None, generate: bool, password_stdin: bool) -> None:
    """Let a CPE in by USERNAME and a password, which is asked for unless an option says otherwise."""
    from agent.store.credentials import check
    from agent.store.device_errors import RefusedError

    if generate and password_stdin:
        raise click.UsageError("--generate makes a password, --password-stdin reads one: choose one")
    password = _password(generate, password_stdin)
    try:
        check(username, password, device_id)
        with open_devices(config) as opened:
            opened.audit("credential.add", username, {"device_id": device_id})
            opened.acs.credentials.add(username, password, device_id)
    except RefusedError as error:
        raise ProtocolError(str(error)) from error
    click.echo(password if generate else f"The CPE may log in as {username}.")


def _password(generate: bool, from_input: bool) -> str:
    if generate:
        return secrets.token_urlsafe(GENERATED_BYTES)
    if from_input:
        return sys.stdin.readline().rstrip("\r\n")
    given: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return given


@command.command("list")
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_(config: Path | None, as_json_: bool) -> None:
    """Every user name, never a password."""
    with open_devices(config) as opened:
        rows = opened.acs.credentials.list()
    if as_json_:
        click.echo(as_json(rows))
        return
    if not rows:
        click.echo("There is no credential yet: lastmile credential add USERNAME")
    for row in rows:
        click.echo(f"{row.username:<32}  {row.device_id or 'any device':<40}  {row.created_at:%Y-%m-%d %H:%M}")


@command.command("remove")
@click.argument("username")
@click.pass_obj
def remove(config: Path | None, username: str) -> None:
    """Let nobody in by USERNAME any more."""
    with open_devices(config) as opened:
        known = opened.acs.credentials.fetch(username)
        if known is not None:
            opened.audit("credential.remove", username, {"device_id": known.device_id})
        if known is None or not opened.acs.credentials.remove(username):
            raise NotFoundError(f"there is no credential {username!r}; `lastmile credential list` lists them")
    click.echo(f"Credential {username} is removed.")
