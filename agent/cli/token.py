"""`lastmile token …`"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.accounting import accounted
from agent.cli.context import as_json, load_settings, local_principal, open_database
from agent.cli.exits import NotFoundError
from agent.cli.scope import describe_scope, make_scope, scope_options
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
@scope_options
@click.pass_obj
def create(
    config: Path | None, name: str, role: str, days: int | None, hosts: tuple[str, ...], tags: tuple[str, ...]
) -> None:
    """Create a token and print it: this is the only time that it is shown."""
    from agent.store.rows import Role
    from agent.store.tokens import Tokens

    scope = make_scope(hosts, tags)
    what = {"role": role, "days": days, "hosts": scope.hosts, "tags": scope.tags}
    expires_at = wall() + timedelta(days=days) if days is not None else None
    with (
        open_database(load_settings(config), "token") as database,
        accounted(database, "token.create", name, what),
    ):
        text = Tokens(database).create(name, Role(role), expires_at, scope=scope, created_by=local_principal())
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
        click.echo(f"{row.name:<24} {row.role.value:<9} {state:<18} {used:<28} {describe_scope(row.scope)}")


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
    from agent.store.tokens import Tokens

    with open_database(load_settings(config), "token") as database, accounted(database, "token.revoke", name):
        if not Tokens(database).revoke(name):
            raise NotFoundError(f"there is no valid token called {name!r}")
    click.echo(f"Token {name} is revoked.")
