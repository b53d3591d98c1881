"""Tasks for devices, and connection requests that wake them."""

from __future__ import annotations

from contextlib import nullcontext
from http import HTTPStatus

from pydantic import BaseModel

from agent.core.clock import Deadline
from agent.store.device_errors import DeletedError, TaskFinishedError
from agent.store.device_rows import DeviceTask, RequestState
from agent.web.device_requests import OrderQuery, RefreshBody, TaskBody, TaskListQuery, ValuesBody, WaitQuery
from agent.web.endpoint import Answer, Call, NoBody, Query
from agent.web.errors import ApiError
from agent.web.finding import find_device, no_such_device, not_found
from agent.web.schemas_devices import ConnectionRequest, Task, TaskPage
from agent.web.tasking import check_task, order_task, show_task, wait_seconds
from agent.web.waiting import waiting_place


def list_tasks(call: Call[TaskListQuery, NoBody]) -> TaskPage:
    """Some tasks of one device."""
    device_id, query = find_device(call).device_id, call.query
    found = call.services.acs.tasks.fetch_of_device(
        device_id, statuses=query.status, before_id=query.before_id, limit=query.limit + 1
    )
    tasks = tuple(show_task(row, call.caller.role) for row in found[: query.limit])
    return TaskPage(tasks=tasks, next_before_id=tasks[-1].id if len(found) > query.limit else None)


def create_task(call: Call[OrderQuery, TaskBody]) -> Answer:
    """Queue what the body says."""
    body = call.body
    return order_task(call, find_device(call).device_id, check_task(body.kind, body.arguments), body.expires_at)


def set_parameters(call: Call[OrderQuery, ValuesBody]) -> Answer:
    """Queue a setParameterValues."""
    arguments = check_task("setParameterValues", {"values": call.body.values})
    return order_task(call, find_device(call).device_id, arguments)


def refresh_device(call: Call[OrderQuery, RefreshBody]) -> Answer:
    """Queue a refreshObject."""
    arguments = check_task("refreshObject", {"path": call.body.path})
    return order_task(call, find_device(call).device_id, arguments)


def reboot_device(call: Call[OrderQuery, NoBody]) -> Answer:
    """Queue a reboot."""
    return order_task(call, find_device(call).device_id, check_task("reboot", {}))


def reset_device(call: Call[OrderQuery, NoBody]) -> Answer:
    """Queue a factoryReset."""
    return order_task(call, find_device(call).device_id, check_task("factoryReset", {}))


def show_one_task(call: Call[Query, NoBody]) -> Task:
    """One task."""
    return show_task(_find_task(call), call.caller.role)


def cancel_task(call: Call[Query, NoBody]) -> Task:
    """Cancel a task that is not over."""
    row = _find_task(call)
    what = {"task": row.id, "kind": row.kind}
    call.trail.write(call.caller, "device.task.cancel", row.device_id, what, before={"status": row.status.value})
    try:
        cancelled = call.services.acs.tasks.cancel(row.device_id, row.id)
    except TaskFinishedError as error:
        raise ApiError(HTTPStatus.CONFLICT, "task_finished", str(error)) from error
    if cancelled is None:
        raise _no_such_task()
    call.trail.after({"status": cancelled.status.value})
    return show_task(cancelled, call.caller.role)


def request_connection(call: Call[WaitQuery, NoBody]) -> Answer:
    """Have a device asked to begin a session now."""
    services, wait = call.services, call.query.wait
    device_id = find_device(call).device_id
    with waiting_place(services) if wait else nullcontext():
        services.audit.write(call.caller, "device.connection_request", device_id, {})
        row = services.acs.requests.ask(device_id, call.caller.name)
        if row is None:
            raise no_such_device()
        if wait:
            try:
                row = services.acs.requests.wait(row.id, Deadline.after(wait_seconds(services, wait)))
            except DeletedError as error:
                raise no_such_device() from error
    shown = ConnectionRequest.model_validate(row)
    if row.state is RequestState.FAILED:
        details = {"connection_request": shown.model_dump(mode="json")}
        message = row.reason or "the device could not be asked"
        raise ApiError(HTTPStatus.BAD_GATEWAY, "connection_request_failed", message, details=details)
    status = HTTPStatus.OK if row.state is RequestState.DONE else HTTPStatus.ACCEPTED
    return Answer(content=shown, status=status)


def _find_task(call: Call[Query, BaseModel]) -> DeviceTask:
    row = call.services.acs.tasks.fetch(call.number("task_id"), call.path["device_id"])
    if row is None:
        find_device(call)
        raise _no_such_task()
    return row


def _no_such_task() -> ApiError:
    return not_found("task_not_found", "the device has no task of this id")
