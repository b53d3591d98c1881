"""`lastmile modem …`"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.accounting import accounted
from agent.cli.asking import ask
from agent.cli.context import as_json, load_settings, open_database
from agent.cli.exits import NotFoundError
from agent.cli.modem_view import modem_mapping

if TYPE_CHECKING:
    from agent.store.database import Database
    from agent.store.fleet import Fleet
    from agent.store.rows import LogRow, ModemRow

timeout_option = click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(0.5, 600),
    default=30.0,
    show_default=True,
    help="Seconds to wait for the agent.",
)


@click.group("modem")
def command() -> None:
    """Show and command one modem, named by its serial (see `lastmile status`)."""


@contextmanager
def _fleet(config: Path | None) -> Iterator[tuple[Fleet, Database]]:
    from agent.store.fleet import Fleet

    with open_database(load_settings(config), "modem") as database:
        fleet = Fleet(database)
        try:
            yield fleet, database
        finally:
            fleet.close()


def _fetch(fleet: Fleet, serial: str) -> ModemRow:
    row = fleet.fetch_modem(serial)
    if row is None:
        raise NotFoundError(f"there is no modem {serial!r}; `lastmile status` lists them")
    return row


@command.command("show")
@click.argument("serial")
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(config: Path | None, serial: str, as_json_: bool) -> None:
    """Everything that is known of a modem."""
    with _fleet(config) as (fleet, _):
        fields = modem_mapping(_fetch(fleet, serial))
    if as_json_:
        click.echo(as_json(fields))
        return
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        click.echo(f"{name:<{width}}  {'–' if value is None or value == '' else value}")


@command.command("at")
@click.argument("serial")
@click.argument("line", metavar="COMMAND")
@timeout_option
@click.pass_obj
def at(config: Path | None, serial: str, line: str, timeout_seconds: float) -> None:
    """Send an AT command and print the answer: lastmile modem at 867584012345678 AT+CSQ"""
    what = {"command": _redacted(line)}
    with _fleet(config) as (fleet, database), accounted(database, "modem.at", serial, what):
        result = ask(fleet, serial, "at", {"command": line}, timeout_seconds)
    for text in (*result.get("lines", ()), result.get("final", "")):
        click.echo(text)


def _redacted(line: str) -> str:
    from agent.modem.at.redaction import redact

    return redact(line)


def _simple(name: str, kind: str, done: str, text: str) -> None:
    @command.command(name, help=text)
    @click.argument("serial")
    @timeout_option
    @click.pass_obj
    def run(config: Path | None, serial: str, timeout_seconds: float) -> None:
        with _fleet(config) as (fleet, database), accounted(database, f"modem.{name}", serial):
            ask(fleet, serial, kind, {}, timeout_seconds)
        click.echo(done)


_simple(
    "reset",
    "reset",
    "The modem restarts; it is back in about half a minute.",
    "Restart a modem and lift its quarantine.",
)
_simple(
    "reconnect",
    "reconnect",
    "The data connection was ended; a new one is being started.",
    "End a modem's data connection and start a new one.",
)


def _switch(name: str, *, enabled: bool, done: str, text: str) -> None:
    @command.command(name, help=text)
    @click.argument("serial")
    @click.pass_obj
    def run(config: Path | None, serial: str) -> None:
        with _fleet(config) as (fleet, database), accounted(database, f"modem.{name}", serial):
            if fleet.set_enabled(serial, enabled) is None:
                raise NotFoundError(f"there is no modem {serial!r}; `lastmile status` lists them")
        click.echo(done)


_switch("enable", enabled=True, done="The modem will be brought up.", text="Bring a modem up again.")
_switch(
    "disable",
    enabled=False,
    done="The modem's proxy and connection will be taken down.",
    text="Take a modem's proxy and connection down.",
)


@command.command("logs")
@click.argument("serial")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="How many of the newest entries.",
)
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
@click.pass_obj
def logs(config: Path | None, serial: str, limit: int, as_json_: bool) -> None:
    """Commands, answers and events of a modem, oldest first."""
    with _fleet(config) as (fleet, _):
        _fetch(fleet, serial)
        rows = tuple(reversed(fleet.fetch_logs(serial, limit=limit)))
    if as_json_:
        click.echo(as_json(rows))
        return
    for row in rows:
        click.echo(_log_line(row))


def _log_line(row: LogRow) -> str:
    took = f" ({row.duration_seconds * 1000:.0f} ms)" if row.duration_seconds is not None else ""
    answer = " | ".join(line for line in row.response.splitlines() if line)
    parts = (
        row.at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        f"{row.channel:<5}",
        f"{row.outcome:<7}",
        row.command,
        answer,
    )
    return " ".join(part for part in parts if part) + took
