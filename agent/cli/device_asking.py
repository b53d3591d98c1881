"""Asking a device for something through `tasks`, waking it, and what to make of the outcome."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agent.cli.context import local_principal
from agent.cli.device_view import printable
from agent.cli.exits import NotFoundError
from agent.core.clock import Deadline, wall
from agent.core.errors import DeadlineExceeded, DeviceError, ProtocolError, TransientError

if TYPE_CHECKING:
    from agent.cli.device_store import Opened
    from agent.store.device_rows import DeviceTask, FaultRow, RequestRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked of a device: a kind of task, and its arguments."""

    kind: str
    arguments: dict[str, Any]


def ask(opened: Opened, name: str, wish: Wish, timeout_seconds: float) -> DeviceTask:
    """Queue the task for the device of that name, wake the device, and wait: the task when it is done.

    With a timeout of 0 the device is not woken; then, and for a transfer that has begun: the task as it stands. Raises
    NotFoundError (no such device), ProtocolError (what is asked makes no sense), DeviceError (the device refused),
    TransientError (it cannot be reached), DeadlineExceeded (no outcome in time; the task stays in the queue)."""
    from agent.acs.tasks import parse_arguments
    from agent.store.device_errors import QueueFullError, RefusedError, UnknownFileError
    from agent.store.tasks import TaskOrder

    arguments = parse_arguments(wish.kind, wish.arguments)
    device_id = opened.find(name).device_id
    order = TaskOrder(
        arguments=arguments,
        created_by=local_principal(),
        expires_at=wall() + timedelta(hours=opened.acs.settings.task_hours),
        wake=timeout_seconds > 0,
    )
    opened.audit(f"device.task.{wish.kind}", device_id, {"names": names_in(wish)})
    try:
        created = opened.acs.tasks.create(device_id, order)
        if created is None:
            raise NotFoundError(f"there is no device {device_id!r} any more")
        row = opened.acs.tasks.wait(created, Deadline.after(timeout_seconds))
    except UnknownFileError as error:
        raise NotFoundError(f"{error}; `lastmile file list` lists them") from error
    except QueueFullError as error:
        raise TransientError(str(error)) from error
    except RefusedError as error:
        raise ProtocolError(str(error)) from error
    begun = row.status.value == "sent" and row.awaits_transfer
    if row.status.value == "completed" or begun or not timeout_seconds:
        return row
    fault = opened.acs.faults.fetch_of_task(row.device_id, row.id) if row.fault_code is not None else None
    request = opened.acs.requests.fetch(created.request) if created.request is not None else None
    raise error_of(row, request, fault)


def names_in(wish: Wish) -> list[str]:
    """The paths or the file that a wish names; never a value, which may be a secret."""
    arguments = wish.arguments
    if wish.kind == "setParameterValues":
        return [str(each["name"]) for each in arguments["values"]][:50]
    named = [*arguments.get("names", ())[:50], arguments.get("path", ""), arguments.get("file", "")]
    return [str(each) for each in named if each]


def error_of(row: DeviceTask, request: RequestRow | None, told: FaultRow | None = None) -> Exception:
    """What a task that was not done comes to; `told` is the fault with what it says of single parameters."""
    fault = printable("; ".join((f"{row.fault_code}: {row.fault_message}", *_parameters_in(told))))
    stays = f"task {row.id} stays in the queue (lastmile device tasks {row.device_id})"
    match row.status.value:
        case "failed":
            return DeviceError(f"the device refused: {fault}")
        case "cancelled" | "expired":
            return TransientError(f"task {row.id} is {row.status.value}")
    if row.fault_code is not None and row.not_before is not None:
        again = f"{row.not_before.astimezone():%Y-%m-%d %H:%M:%S}"
        return DeviceError(f"the device refused: {fault}; task {row.id} is tried again at {again}")
    if request is not None and request.state.value == "failed":
        return TransientError(f"the device could not be woken: {request.reason}; {stays}")
    if request is not None and request.attempts == 0 and request.state.value == "pending":
        return DeadlineExceeded(f"nobody has woken the device (is lastmile-worker running?); {stays}")
    reason = f" ({request.reason})" if request is not None and request.reason else ""
    return DeadlineExceeded(f"the device has not done it in time{reason}; {stays}")


def _parameters_in(fault: FaultRow | None) -> list[str]:
    """`PATH: CODE MESSAGE` for each parameter that a fault names (SetParameterValuesFault)."""
    named = fault.detail.get("parameters") if fault is not None else None
    if not isinstance(named, list):
        return []
    return [
        f"{each.get('name')}: {each.get('code')} {each.get('message')}" for each in named[:20] if isinstance(each, dict)
    ]
