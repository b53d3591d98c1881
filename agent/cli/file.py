"""`lastmile file …`"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from agent.cli.context import as_json, local_principal
from agent.cli.device_store import open_devices
from agent.cli.exits import NotFoundError
from agent.cli.modem_view import human_bytes
from agent.core.errors import DeviceError, ProtocolError

CHUNK_BYTES = 1024 * 1024
PAGE = 1000


@click.group("file")
def command() -> None:
    """Firmware and configurations that devices download, and what they have uploaded. The bytes lie in acs.file_dir of
    the host that serves the ACS: run this there."""


@command.command("add")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="Its name here; default: that of PATH.")
@click.option(
    "--kind",
    type=click.Choice(["1", "2", "3", "4", "5", "6"]),
    default="1",
    show_default=True,
    help="First digit of TR-069's FileType: 1 firmware, 2 web content, 3 configuration.",
)
@click.option("--oui", default="", help="Only for devices of this OUI.")
@click.option("--product-class", default="", help="Only for devices of this ProductClass.")
@click.option("--version", default="", help="What it brings, for people.")
@click.pass_obj
def add(
    config: Path | None, path: Path, name: str | None, kind: str, oui: str, product_class: str, version: str
) -> None:
    """Take the file PATH in, so that `lastmile device download` can name it."""
    from agent.store.device_errors import RefusedError
    from agent.store.file_shelf import FileTooLargeError
    from agent.store.files import FileFacts, clean_name

    try:
        facts = FileFacts(
            name=clean_name(name or path.name), kind=kind, oui=oui, product_class=product_class, version=version
        )
        with open_devices(config) as opened, path.open("rb") as content:
            opened.audit("file.add", facts.name, {"kind": kind, "version": version})
            row = opened.acs.files.add(facts, _chunks(content), local_principal())
    except (FileTooLargeError, RefusedError) as error:
        raise ProtocolError(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from error
    click.echo(f"{row.name}: {human_bytes(row.size)}, sha256 {row.sha256}")


def _chunks(content: BinaryIO) -> Iterator[bytes]:
    while chunk := content.read(CHUNK_BYTES):
        yield chunk


@command.command("list")
@click.option("--kind", type=click.Choice(["1", "2", "3", "4", "5", "6", "upload"]), help="Only of this kind.")
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_(config: Path | None, kind: str | None, as_json_: bool) -> None:
    """Every file, by name."""
    with open_devices(config) as opened:
        rows = list(opened.acs.files.fetch_page(kind=kind, limit=PAGE))
        while rows and (more := opened.acs.files.fetch_page(kind=kind, after=rows[-1].name, limit=PAGE)):
            rows += more
    if as_json_:
        click.echo(as_json(rows))
        return
    if not rows:
        click.echo("There is no file yet: lastmile file add PATH")
    for row in rows:
        model = "-".join(part for part in (row.oui, row.product_class) if part) or "any device"
        click.echo(
            f"{row.name:<40}  {row.kind:<6}  {human_bytes(row.size):>10}  {model:<24}  {row.version:<16}"
            f"  {row.created_at:%Y-%m-%d %H:%M}  {row.created_by}"
        )


@command.command("remove")
@click.argument("name")
@click.pass_obj
def remove(config: Path | None, name: str) -> None:
    """Delete a file."""
    from agent.store.device_errors import FileInUseError

    with open_devices(config) as opened:
        row = opened.acs.files.fetch(name)
        if row is not None:
            opened.audit("file.delete", name, {"sha256": row.sha256})
        try:
            deleted = row is not None and opened.acs.files.delete(name)
        except FileInUseError as error:
            raise DeviceError(f"{error}: cancel it first") from error
        if not deleted:
            raise NotFoundError(f"there is no file {name!r}; `lastmile file list` lists them")
    click.echo(f"File {name} is deleted.")
