"""`lastmile device accept`, `tag`, `delete`, …: what an operator decides about a device."""

from __future__ import annotations

from pathlib import Path

import click

from agent.cli.device_store import open_devices
from agent.cli.exits import NotFoundError
from agent.core.errors import DeviceError, ProtocolError


def _decision(name: str, state: str, done: str, text: str) -> click.Command:
    @click.command(name, help=text)
    @click.argument("device")
    @click.pass_obj
    def run(config: Path | None, device: str) -> None:
        from agent.store.device_rows import DeviceState

        with open_devices(config) as opened:
            row = opened.find(device)
            opened.audit(f"device.{state}", row.device_id, {"before": row.state.value})
            if opened.acs.devices.set_state(row.device_id, DeviceState(state)) is None:
                raise NotFoundError(f"there is no device {row.device_id!r} any more")
        click.echo(done)

    return run


accept = _decision("accept", "accepted", "The device is let in.", "Let a device in that is held or refused.")
refuse = _decision("refuse", "refused", "The device is kept out.", "Keep a device out, from its next session on.")


@click.command("tag")
@click.argument("device")
@click.argument("tags", nargs=-1)
@click.option(
    "--remove", "removed", metavar="TAG", multiple=True, help="Take this tag off; may be given several times."
)
@click.pass_obj
def tag(config: Path | None, device: str, tags: tuple[str, ...], removed: tuple[str, ...]) -> None:
    """Put TAGS on a device, take others off, and print all that it has."""
    from agent.store.device_errors import RefusedError

    with open_devices(config) as opened:
        row = opened.find(device)
        now: tuple[str, ...] | None = tuple(row.tags)
        try:
            if removed:
                opened.audit("device.tags.remove", row.device_id, {"tags": list(removed)})
                now = opened.acs.devices.remove_tags(row.device_id, removed)
            if tags:
                opened.audit("device.tags.add", row.device_id, {"tags": list(tags)})
                now = opened.acs.devices.add_tags(row.device_id, tags)
        except RefusedError as error:
            raise ProtocolError(str(error)) from error
    for name in now or ():
        click.echo(name)


@click.command("delete")
@click.argument("device")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(config: Path | None, device: str, yes: bool) -> None:
    """Forget a device and all that is known of it. When it informs again it is a new one."""
    from agent.store.device_errors import DeviceBusyError

    with open_devices(config) as opened:
        device_id = opened.find(device).device_id
        if not yes:
            click.confirm(f"All that is known of {device_id} goes. Go on?", abort=True)
        opened.audit("device.delete", device_id)
        try:
            deleted = opened.acs.devices.delete(device_id)
        except DeviceBusyError as error:
            raise DeviceError(f"{error}: try again when it is over") from error
        if not deleted:
            raise NotFoundError(f"there is no device {device_id!r} any more")
    click.echo("The device is forgotten.")


DECISIONS = (accept, refuse, tag, delete)
