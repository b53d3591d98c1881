"""`lastmile operator …`"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.cli.context import as_json, load_settings, local_admin, open_database
from agent.cli.exits import NotFoundError
from agent.cli.scope import describe_scope, make_scope, scope_options

if TYPE_CHECKING:
    from agent.core.settings.schema import Settings
    from agent.store.audit import AuditLog
    from agent.store.operators import OperatorRow
    from agent.web.services import Access

ROLES = ("viewer", "operator", "admin")


class _Opened:
    """What a command about operators works with."""

    def __init__(self, settings: Settings, access: Access, audit: AuditLog) -> None:
        self.settings = settings
        self.access = access
        self._audit = audit

    def account(self, action: str, name: str, details: dict[str, Any], before: dict[str, Any] | None = None) -> None:
        """Write down what was done."""
        from agent.store.audit import Outcome

        self._audit.write(local_admin(), action, name, details, before=before, outcome=Outcome.DONE)

    def find(self, name: str) -> OperatorRow:
        """Raises NotFoundError."""
        row = self.access.operators.fetch(name)
        if row is None:
            raise NotFoundError(f"there is no operator {name!r}; `lastmile operator list` lists them")
        return row


@contextmanager
def _open(config: Path | None) -> Iterator[_Opened]:
    from agent.cli.access_store import access_services
    from agent.store.audit import AuditLog

    settings = load_settings(config)
    with open_database(settings, "operator") as database:
        yield _Opened(settings, access_services(database, settings.web), AuditLog(database))


@click.group("operator")
def command() -> None:
    """People who sign in on the pages: who they are, and what they may."""


@command.command("list")
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_(config: Path | None, as_json_: bool) -> None:
    """Every operator: role, scope, and when they were here last."""
    with _open(config) as opened:
        rows = opened.access.operators.list()
    if as_json_:
        click.echo(as_json(rows))
        return
    if not rows:
        click.echo("There is no operator yet: lastmile operator setup-link")
    for row in rows:
        seen = f"signed in {row.signed_in_at:%Y-%m-%d %H:%M}" if row.signed_in_at else "never signed in"
        state = "disabled" if row.disabled else "" if row.has_password else "no password yet"
        notes = "  ".join(part for part in (state, "authenticator" if row.has_totp else "", seen) if part)
        click.echo(f"{row.name:<24} {row.role.value:<9} {describe_scope(row.scope):<28} {notes}")


@command.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True, help="What they may do.")
@scope_options
@click.option("--password-stdin", is_flag=True, help="Read a password from the input instead of making a setup link.")
@click.pass_obj
def add(
    config: Path | None, name: str, role: str, hosts: tuple[str, ...], tags: tuple[str, ...], password_stdin: bool
) -> None:
    """Add an operator, and print the one-time link by which they set their password."""
    from agent.store.passwords import check_password
    from agent.store.rows import Role

    scope = make_scope(hosts, tags)
    with _open(config) as opened:
        hashed = None
        if password_stdin:
            password = sys.stdin.readline().rstrip("\r\n")
            check_password(password, name)
            hashed = opened.access.passwords.hash(password)
        opened.access.operators.create(name, Role(role), scope, hashed)
        opened.account("operator.add", name, {"role": role, "hosts": scope.hosts, "tags": scope.tags})
        if hashed is None:
            _print_link(opened, name)
    if password_stdin:
        click.echo(f"Operator {name} may sign in.")


@command.command("set")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), help="What they may do.")
@scope_options
@click.option("--everything", is_flag=True, help="They may see all modems and devices.")
@click.option("--disable/--enable", "disabled", default=None, help="Whether they may sign in at all.")
@click.pass_obj
def set_(
    config: Path | None,
    name: str,
    role: str | None,
    hosts: tuple[str, ...],
    tags: tuple[str, ...],
    everything: bool,
    disabled: bool | None,
) -> None:
    """Change an operator's role, scope or state; where they are signed in, they are signed out."""
    from agent.store.rows import EVERYTHING, Role

    if everything and (hosts or tags):
        raise click.UsageError("--everything goes with neither --host nor --tag")
    scope = EVERYTHING if everything else make_scope(hosts, tags) if hosts or tags else None
    if role is None and scope is None and disabled is None:
        raise click.UsageError("say what to change: --role, --host, --tag, --everything, --disable or --enable")
    with _open(config) as opened:
        before = opened.find(name)
        changed = opened.access.operators.change(
            name, role=Role(role) if role is not None else None, scope=scope, disabled=disabled
        )
        if changed is None:
            raise NotFoundError(f"there is no operator {name!r}")
        opened.account("operator.change", name, _state(changed), before=_state(before))
    click.echo(
        f"{name}: {changed.role.value}, {describe_scope(changed.scope)}{', disabled' if changed.disabled else ''}"
    )


@command.command("remove")
@click.argument("name")
@click.pass_obj
def remove(config: Path | None, name: str) -> None:
    """Forget an operator; where they are signed in, they are signed out."""
    with _open(config) as opened:
        before = opened.find(name)
        opened.access.operators.remove(name)
        opened.account("operator.remove", name, {}, before=_state(before))
    click.echo(f"Operator {name} is removed.")


@command.command("setup-link")
@click.argument("name", required=False)
@click.pass_obj
def setup_link(config: Path | None, name: str | None) -> None:
    """Print a link, good once and for 24 hours, by which operator NAME sets their password. Without NAME it makes the
    first admin."""
    with _open(config) as opened:
        _print_link(opened, name)
        opened.account("operator.setup_link", name or "", {})


@command.command("reset-totp")
@click.argument("name")
@click.pass_obj
def reset_totp(config: Path | None, name: str) -> None:
    """Ask an operator for no codes any more: their authenticator is lost."""
    with _open(config) as opened:
        opened.find(name)
        if not opened.access.operators.end_totp(name):
            raise NotFoundError(f"operator {name!r} has no authenticator")
        opened.account("operator.totp.remove", name, {})
    click.echo(f"Operator {name} signs in with the password alone.")


def _print_link(opened: _Opened, name: str | None) -> None:
    from agent.cli.setup_address import setup_address

    token = opened.access.links.create(name, local_admin().name)
    click.echo(setup_address(opened.settings.web, token))
    click.echo("It works once, for 24 hours. An earlier link is void.", err=True)


def _state(row: OperatorRow) -> dict[str, Any]:
    return {"role": row.role.value, "hosts": row.scope.hosts, "tags": row.scope.tags, "disabled": row.disabled}
