"""`lastmile device tasks`, `faults`, `wake`, …: what waits for a device, and what stops it."""

from __future__ import annotations

from pathlib import Path

import click

from agent.cli.context import as_json, local_principal
from agent.cli.device_store import open_devices
from agent.cli.device_view import printable, task_line, task_mapping
from agent.cli.exits import NotFoundError
from agent.core.clock import Deadline
from agent.core.errors import DeadlineExceeded, TransientError


@click.command("tasks")
@click.argument("device")
@click.option(
    "--status",
    "statuses",
    type=click.Choice(["pending", "sent", "completed", "failed", "cancelled", "expired"]),
    multiple=True,
    help="Only these; may be given several times.",
)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many of the newest.")
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
@click.pass_obj
def tasks(config: Path | None, device: str, statuses: tuple[str, ...], limit: int, as_json_: bool) -> None:
    """The tasks of a device, newest first."""
    from agent.acs.tasks import TaskStatus

    with open_devices(config) as opened:
        found = opened.acs.tasks.fetch_of_device(
            opened.find(device).device_id, statuses=tuple(TaskStatus(each) for each in statuses), limit=limit
        )
    if as_json_:
        click.echo(as_json([task_mapping(row) for row in found]))
        return
    for row in found:
        click.echo(task_line(row))


@click.command("cancel")
@click.argument("device")
@click.argument("task", type=click.IntRange(1, 2**63 - 1))
@click.pass_obj
def cancel(config: Path | None, device: str, task: int) -> None:
    """Cancel a task that waits or was sent."""
    from agent.store.device_errors import TaskFinishedError

    with open_devices(config) as opened:
        device_id = opened.find(device).device_id
        opened.audit("device.task.cancel", device_id, {"task": task})
        try:
            row = opened.acs.tasks.cancel(device_id, task)
        except TaskFinishedError as error:
            raise click.ClickException(str(error)) from error
        if row is None:
            raise NotFoundError(f"{device_id} has no task {task}; `lastmile device tasks` lists them")
    click.echo("The task is cancelled.")


@click.command("faults")
@click.argument("device", default="")
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
@click.pass_obj
def faults(config: Path | None, device: str, as_json_: bool) -> None:
    """What devices have refused, or one of them, as long as it stops something; newest first."""
    with open_devices(config) as opened:
        device_id = opened.find(device).device_id if device else None
        found = opened.acs.faults.fetch_page(device_id=device_id, limit=1000)
    if as_json_:
        click.echo(as_json(found))
        return
    for row in found:
        again = f"again at {row.retry_at.astimezone():%Y-%m-%d %H:%M:%S}" if row.retry_at else "not tried again"
        text = f"{row.code}: {printable(row.message)} ({again})"
        click.echo(f"{row.id:<8}  {row.at.astimezone():%Y-%m-%d %H:%M:%S}  {row.device_id}  {row.channel}  {text}")


@click.command("retry")
@click.argument("fault", type=click.IntRange(1, 2**63 - 1))
@click.pass_obj
def retry(config: Path | None, fault: int) -> None:
    """Forget a fault (see `faults`): what it stopped is tried in the device's next session."""
    with open_devices(config) as opened:
        row = opened.acs.faults.fetch(fault)
        if row is not None:
            opened.audit("device.fault.delete", row.device_id, {"channel": row.channel, "code": row.code})
            row = opened.acs.faults.delete(fault)
        if row is None:
            raise NotFoundError(f"there is no fault {fault}; `lastmile device faults` lists them")
    click.echo("The fault is forgotten.")


@click.command("wake")
@click.argument("device")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(0.5, 3600),
    default=60.0,
    show_default=True,
    help="Seconds to wait for its session.",
)
@click.pass_obj
def wake(config: Path | None, device: str, timeout_seconds: float) -> None:
    """Have a device begin a session now, by a connection request."""
    with open_devices(config) as opened:
        device_id = opened.find(device).device_id
        opened.audit("device.connection_request", device_id)
        row = opened.acs.requests.ask(device_id, local_principal())
        if row is None:
            raise NotFoundError(f"there is no device {device_id!r} any more")
        row = opened.acs.requests.wait(row.id, Deadline.after(timeout_seconds))
    match row.state.value:
        case "done":
            click.echo("The device has begun a session.")
        case "failed":
            raise TransientError(f"the device could not be woken: {row.reason}")
        case _:
            nobody = " (is lastmile-worker running?)" if row.attempts == 0 else f" ({row.reason})" if row.reason else ""
            raise DeadlineExceeded(f"the device has not begun a session in time{nobody}")


QUEUE = (tasks, cancel, faults, retry, wake)
