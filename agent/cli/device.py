"""`lastmile device …`"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.cli.context import as_json
from agent.cli.device_decisions import DECISIONS
from agent.cli.device_orders import ORDERS
from agent.cli.device_queue import QUEUE
from agent.cli.device_store import open_devices
from agent.cli.device_view import device_mapping, device_table, parameter_lines, printable
from agent.cli.device_watch import watch
from agent.cli.exits import NotFoundError

if TYPE_CHECKING:
    from agent.cli.device_store import Opened
    from agent.store.device_query import DeviceFilter, DeviceSort
    from agent.store.device_rows import DeviceRow, ParameterRow

SORTS = ("device_id", "serial_number", "last_inform", "first_seen", "software_version", "product_class")
PAGE = 1000


@click.group("device")
def command() -> None:
    """Show and command devices that talk TR-069, each named by its id or its serial number."""


for each in (*ORDERS, *QUEUE, *DECISIONS, watch):
    command.add_command(each)


@command.command("list")
@click.option("--serial", "serial_number", help="Only of this serial number.")
@click.option("--oui", help="Only of this OUI.")
@click.option("--product-class", help="Only of this ProductClass.")
@click.option("--manufacturer", help="Only of this manufacturer.")
@click.option("--software", "software_version", help="Only with this software version.")
@click.option(
    "--state",
    "states",
    type=click.Choice(["accepted", "held", "refused"]),
    multiple=True,
    help="Only in this state; may be given several times.",
)
@click.option("--online/--offline", default=None, help="Only those that are, or are not, online.")
@click.option("--tag", "tags", multiple=True, help="Only with this tag; several: with all of them.")
@click.option(
    "--parameter", "parameters", metavar="PATH=VALUE", multiple=True, help="Only with this stored value; several: all."
)
@click.option("--sort", type=click.Choice(SORTS), default="device_id", show_default=True, help="Sort by this.")
@click.option("--desc", "descending", is_flag=True, help="The other way round.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="How many at most.")
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_(config: Path | None, /, sort: str, descending: bool, limit: int, as_json_: bool, **wanted: Any) -> None:
    """The devices that match everything that is given."""
    from agent.store.device_query import DeviceSort

    with open_devices(config) as opened:
        rows, total = _fetch(opened, _filter(**wanted), DeviceSort(sort), descending, limit)
    if as_json_:
        click.echo(as_json([device_mapping(row) for row in rows]))
        return
    if not rows:
        click.echo("There is no such device." if any(wanted.values()) else "No device has informed yet.")
        return
    _print_table(rows, f"{len(rows)} of {total} devices" if total > len(rows) else None)


def _filter(*, states: tuple[str, ...], parameters: tuple[str, ...], **wanted: Any) -> DeviceFilter:
    from agent.store.device_query import DeviceFilter
    from agent.store.device_rows import DeviceState

    pairs = []
    for each in parameters:
        path, sign, value = each.partition("=")
        if not sign:
            raise click.UsageError(f"{each!r} is not PATH=VALUE")
        pairs.append((path, value))
    return DeviceFilter(**wanted, states=tuple(DeviceState(state) for state in states), parameters=tuple(pairs))


def _fetch(
    opened: Opened, wanted: DeviceFilter, sort: DeviceSort, descending: bool, limit: int
) -> tuple[list[DeviceRow], int]:
    from agent.store.device_query import DeviceOrder

    rows: list[DeviceRow] = []
    after: tuple[str, str] | None = None
    while True:
        rest = min(PAGE, limit - len(rows))
        page = opened.acs.devices.fetch_page(
            wanted, DeviceOrder(sort=sort, descending=descending, after=after, limit=rest)
        )
        rows += page.devices
        after = page.next_cursor
        if after is None or len(rows) >= limit:
            return rows, page.total


def _print_table(rows: list[DeviceRow], caption: str | None) -> None:
    from rich.console import Console

    # A pipe or a file has no width: nothing is left out there.
    console = Console() if sys.stdout.isatty() else Console(width=240)
    console.print(device_table(rows, width=console.width, caption=caption))


@command.command("show")
@click.argument("device")
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(config: Path | None, device: str, as_json_: bool) -> None:
    """Everything that is known of a device but its parameters."""
    with open_devices(config) as opened:
        fields = device_mapping(opened.find(device))
    if as_json_:
        click.echo(as_json(fields))
        return
    session = fields.pop("session")
    fields |= {f"session_{name}": value for name, value in session.items() if value not in (None, [])}
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        text = " ".join(map(str, value)) if isinstance(value, list) else value
        click.echo(f"{name:<{width}}  {'–' if text is None or text == '' else printable(str(text))}")


@command.command("params")
@click.argument("device")
@click.argument("prefix", default="")
@click.option("--since", type=click.DateTime(), help="Only what has changed after this time (local).")
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
@click.pass_obj
def params(config: Path | None, device: str, prefix: str, since: datetime | None, as_json_: bool) -> None:
    """What a device has told so far, below PREFIX; `get` and `refresh` ask it. What can be written is marked w."""
    with open_devices(config) as opened:
        device_id = opened.find(device).device_id
        rows: list[ParameterRow] = []
        after: str | None = None
        moment = since.astimezone() if since is not None else None
        while True:
            page = opened.acs.parameters.fetch_page(device_id, prefix=prefix, since=moment, after=after)
            if page is None:
                raise NotFoundError(f"there is no device {device_id!r} any more")
            rows += page.parameters
            after = page.next_after
            if after is None:
                break
    if as_json_:
        click.echo(as_json(rows))
        return
    for line in parameter_lines(rows):
        click.echo(line)
