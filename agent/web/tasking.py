"""Tasks: checked, accounted for, queued, waited for, and their outcome in words of HTTP."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from agent.acs.tasks import (
    Arguments,
    GetParameterValues,
    SetParameterValues,
    TaskStatus,
    parse_arguments,
    redact_arguments,
    render_arguments,
)
from agent.core.clock import Deadline, wall
from agent.core.errors import ProtocolError
from agent.store.device_errors import DeletedError, QueueFullError, RefusedError, UnknownFileError
from agent.store.device_rows import DeviceTask, RequestRow
from agent.store.rows import Role
from agent.store.tasks import Created, TaskOrder
from agent.web.device_requests import OrderQuery
from agent.web.endpoint import Answer, Call
from agent.web.errors import ApiError
from agent.web.finding import no_such_device
from agent.web.schemas_devices import ConnectionRequest, OrderedTask, Task
from agent.web.secrecy import hide_arguments, hide_result
from agent.web.services import Services
from agent.web.waiting import waiting_place

logger = logging.getLogger(__name__)

EXPIRY_DAYS_MOST = 365
AUDITED_NAMES_MOST = 50


def check_task(kind: str, arguments: dict[str, Any]) -> Arguments:
    """The arguments, parsed; ApiError 400 that says what is wrong with them."""
    try:
        return parse_arguments(kind, arguments)
    except ProtocolError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "task_refused", str(error)) from error


def order_task(
    call: Call[OrderQuery, BaseModel], device_id: str, arguments: Arguments, expires_at: datetime | None = None
) -> Answer:
    """Queue a checked task for a device, and wait for it as the query says."""
    services, query = call.services, call.query
    order = TaskOrder(
        arguments=arguments,
        created_by=call.caller.name,
        expires_at=_expiry(services, expires_at),
        wake=query.connection_request,
    )
    with waiting_place(services) if query.wait else nullcontext():
        # Written first: a task that nobody can account for is worse than an entry for one that was never queued.
        services.audit.write(call.caller, f"device.task.{arguments.kind}", device_id, _accountable(arguments))
        created = _create(services, device_id, order)
        call.trail.after({"task": created.task, "connection_request": created.request})
        extra = {"DEVICE_ID": device_id, "TASK": created.task, "KIND": arguments.kind}
        logger.info("task queued", extra=extra)
        row = _await(services, created, query.wait)
    request = services.acs.requests.fetch(created.request) if created.request is not None else None
    if row.status is TaskStatus.FAILED:
        raise _refusal(services, row, call.caller.role)
    return _answer(row, request, call.caller.role)


def wait_seconds(services: Services, wanted: float) -> float:
    """How long a request may wait."""
    return min(wanted, services.settings.command_timeout_seconds)


def show_task(row: DeviceTask, role: Role) -> Task:
    """A task as somebody of this role may see it."""
    return Task.model_validate(_visible(row, role))


def _visible(row: DeviceTask, role: Role) -> dict[str, Any]:
    fields = {name: getattr(row, name) for name in Task.model_fields}
    fields["arguments"] = hide_arguments(row.kind, row.arguments)
    if not role.allows(Role.OPERATOR):
        fields["result"] = hide_result(row.result)
    return fields


def _expiry(services: Services, wanted: datetime | None) -> datetime:
    now = wall()
    if wanted is None:
        return now + timedelta(hours=services.acs.settings.task_hours)
    if not now < wanted <= now + timedelta(days=EXPIRY_DAYS_MOST):
        message = f"expires_at must lie ahead, and within {EXPIRY_DAYS_MOST} days"
        raise ApiError(HTTPStatus.BAD_REQUEST, "bad_request", message)
    return wanted


def _accountable(arguments: Arguments) -> dict[str, Any]:
    """What the audit log keeps: which parameters, not which values."""
    match arguments:
        case SetParameterValues(values=values):
            names = [each.name for each in values]
        case GetParameterValues(names=given):
            names = list(given)
        case _:
            return redact_arguments(arguments.kind, render_arguments(arguments))
    return {"names": names[:AUDITED_NAMES_MOST], "count": len(names)}


def _create(services: Services, device_id: str, order: TaskOrder) -> Created:
    try:
        created = services.acs.tasks.create(device_id, order)
    except UnknownFileError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "no_such_file", str(error)) from error
    except QueueFullError as error:
        raise ApiError(HTTPStatus.CONFLICT, "too_many_tasks", str(error)) from error
    except RefusedError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "task_refused", str(error)) from error
    if created is None:
        raise no_such_device()
    return created


def _await(services: Services, created: Created, seconds: float) -> DeviceTask:
    try:
        return services.acs.tasks.wait(created, Deadline.after(wait_seconds(services, seconds)))
    except DeletedError as error:
        raise no_such_device() from error


def _answer(row: DeviceTask, request: RequestRow | None, role: Role) -> Answer:
    asked = ConnectionRequest.model_validate(request) if request is not None else None
    shown = OrderedTask(**_visible(row, role), connection_request=asked)
    details = {"task": shown.model_dump(mode="json")}
    match row.status:
        case TaskStatus.COMPLETED:
            return Answer(content=shown, status=HTTPStatus.OK)
        case TaskStatus.PENDING | TaskStatus.SENT:
            return Answer(content=shown, status=HTTPStatus.ACCEPTED)
        case TaskStatus.EXPIRED:
            raise ApiError(HTTPStatus.GATEWAY_TIMEOUT, "task_expired", "the task has expired", details=details)
        case _:
            raise ApiError(HTTPStatus.CONFLICT, "task_cancelled", "somebody has cancelled the task", details=details)


def _refusal(services: Services, row: DeviceTask, role: Role) -> ApiError:
    """The fault by which a device has refused a task, with what it says of single parameters."""
    fault = services.acs.faults.fetch_of_task(row.device_id, row.id)
    details = {
        "task": show_task(row, role).model_dump(mode="json"),
        "fault": fault.detail if fault is not None else {},
    }
    message = f"{row.fault_code}: {row.fault_message}"
    return ApiError(HTTPStatus.BAD_GATEWAY, "device_refused", message, details=details)
