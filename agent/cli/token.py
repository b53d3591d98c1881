"""`lastmile token …`"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.context import as_json, load_settings, local_principal, open_database
from agent.cli.exits import NotFoundError
from agent.core.clock import wall

if TYPE_CHECKING:
    from agent.store.rows import TokenRow


@click.group("token")
def command() -> None:
    """API tokens: who may read (viewer), command (operator) and administer (admin)."""


@command.command("create")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["viewer", "operator", "admin"]),
    default="viewer",
    show_default=True,
    help="What its holder may do.",
)
@click.option("--days", type=click.IntRange(1, 3650), help="Valid for so many days; default: until revoked.")
@click.pass_obj
def create(config: Path | None, name: str, role: str, days: int | None) -> None:
    """Create a token and print it: this is the only time that it is shown."""
    from agent.store.audit import AuditLog
    from agent.store.rows import Principal, Role
    from agent.store.tokens import Tokens

    with open_database(load_settings(config), "token") as database:
        expires_at = wall() + timedelta(days=days) if days is not None else None
        text = Tokens(database).create(name, Role(role), expires_at)
        AuditLog(database).write(
            Principal(name=local_principal(), role=Role.ADMIN), "token.create", name, {"role": role}
        )
    click.echo(text)


@command.command("list")
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_(config: Path | None, as_json_: bool) -> None:
    """Every token: its name, role and use, never the token itself."""
    from agent.store.tokens import Tokens

    with open_database(load_settings(config), "token") as database:
        rows = Tokens(database).list()
    if as_json_:
        click.echo(as_json(rows))
        return
    if not rows:
        click.echo("There is no token yet: lastmile token create NAME")
    for row in rows:
        state = _state(row)
        used = f"last used {row.last_used_at:%Y-%m-%d %H:%M}" if row.last_used_at else "never used"
        click.echo(f"{row.name:<24} {row.role.value:<9} {state:<18} {used}")


def _state(row: TokenRow) -> str:
    if row.revoked_at is not None:
        return "revoked"
    if row.expires_at is None:
        return "valid"
    return f"{'until' if row.expires_at > wall() else 'expired'} {row.expires_at:%Y-%m-%d}"


@command.command("revoke")
@click.argument("name")
@click.pass_obj
def revoke(config: Path | None, name: str) -> None:
    """Make a token useless, at once and for ever."""
    from agent.store.audit import AuditLog
    from agent.store.rows import Principal, Role
    from agent.store.tokens import Tokens

    with open_database(load_settings(config), "token") as database:
        if not Tokens(database).revoke(name):
            raise NotFoundError(f"there is no valid token called {name!r}")
        AuditLog(database).write(Principal(name=local_principal(), role=Role.ADMIN), "token.revoke", name, {})
    click.echo(f"Token {name} is revoked.")
