"""Devices: which there are, what they have told, and what an operator decides about them."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from flask import Response
from pydantic import BaseModel

from agent.store.device_errors import DeviceBusyError, RefusedError
from agent.store.device_rows import DeviceRow, DeviceState, ParameterRow
from agent.store.rows import Role
from agent.web.cursors import parse_cursor, render_cursor
from agent.web.device_list import fetch_listing
from agent.web.device_requests import DeviceQuery, ParameterQuery, TagsBody
from agent.web.endpoint import Call, NoBody, Query
from agent.web.errors import ApiError
from agent.web.finding import find_device, no_such_device
from agent.web.schemas_devices import Device, DevicePage, ListedDevice, Parameter, ParameterList, Tags
from agent.web.secrecy import hide, is_secret


def list_devices(call: Call[DeviceQuery, NoBody]) -> DevicePage:
    """Some devices."""
    query = call.query
    listing = fetch_listing(call.services.acs, call.caller, query)
    devices = tuple(list_device(row, listing.columns[row.device_id]) for row in listing.rows)
    wanted = {*query.fields, *(("columns",) if query.columns else ())}
    return DevicePage(
        devices=tuple(device.model_dump(include=wanted) for device in devices) if query.fields else devices,
        total=listing.total,
        next_cursor=listing.next_cursor,
    )


def show_device(call: Call[Query, NoBody]) -> Device:
    """One device."""
    return Device.model_validate(find_device(call))


def delete_device(call: Call[Query, NoBody]) -> Response:
    """Forget a device."""
    row = find_device(call)
    device_id = row.device_id
    call.trail.write(call.caller, "device.delete", device_id, before={"state": row.state.value, "tags": list(row.tags)})
    try:
        deleted = call.services.acs.devices.delete(device_id)
    except DeviceBusyError as error:
        raise ApiError(HTTPStatus.CONFLICT, "device_busy", f"{error}: try again when it is over") from error
    if not deleted:
        raise no_such_device()
    return Response(status=HTTPStatus.NO_CONTENT)


def accept_device(call: Call[Query, NoBody]) -> Device:
    """Let a device in."""
    return _decide(call, DeviceState.ACCEPTED)


def refuse_device(call: Call[Query, NoBody]) -> Device:
    """Keep a device out."""
    return _decide(call, DeviceState.REFUSED)


def list_parameters(call: Call[ParameterQuery, NoBody]) -> ParameterList:
    """Some stored values of one device."""
    query = call.query
    open_to_all = call.caller.role.allows(Role.OPERATOR)
    (after,) = parse_cursor(query.cursor, 1) if query.cursor is not None else (None,)
    page = call.services.acs.parameters.fetch_page(
        call.path["device_id"],
        prefix=query.prefix,
        since=query.since,
        after=after,
        limit=query.limit,
        matching=matching_text(query.q, open_to_all) if query.q else None,
        writable=query.writable,
    )
    if page is None:
        raise no_such_device()
    return ParameterList(
        parameters=tuple(_show_parameter(row, open_to_all) for row in page.parameters),
        total=page.total,
        next_cursor=render_cursor(page.next_after) if page.next_after is not None else None,
    )


def list_tags(call: Call[Query, NoBody]) -> Tags:
    """A device's tags."""
    return Tags(tags=tuple(find_device(call).tags))


def replace_tags(call: Call[Query, TagsBody]) -> Tags:
    """Give a device these tags and no others."""
    return _change_tags(call, "device.tags.replace", call.body.tags)


def clear_tags(call: Call[Query, NoBody]) -> Tags:
    """Take every tag off a device."""
    return _change_tags(call, "device.tags.replace", ())


def add_tag(call: Call[Query, NoBody]) -> Tags:
    """Put one tag on a device."""
    return _change_tags(call, "device.tags.add", (call.path["tag"],))


def remove_tag(call: Call[Query, NoBody]) -> Tags:
    """Take one tag off a device."""
    return _change_tags(call, "device.tags.remove", (call.path["tag"],))


def list_device(row: DeviceRow, columns: dict[str, str]) -> ListedDevice:
    """A device of a list, with its stored values."""
    return ListedDevice(**Device.model_validate(row).model_dump(), columns=columns)


def _decide(call: Call[Query, NoBody], state: DeviceState) -> Device:
    row = find_device(call)
    call.trail.write(call.caller, f"device.{state.value}", row.device_id, before={"state": row.state.value})
    changed = call.services.acs.devices.set_state(row.device_id, state)
    if changed is None:
        raise no_such_device()
    call.trail.after({"state": changed.state.value})
    return Device.model_validate(changed)


def matching_text(text: str, open_to_all: bool) -> Callable[[str, str], bool]:
    """Whether a path or a value has the text in it; the value of a secret only for those who may see it."""
    wanted = text.casefold()
    return lambda path, value: (
        wanted in path.casefold() or ((open_to_all or not is_secret(path)) and wanted in value.casefold())
    )


def _show_parameter(row: ParameterRow, open_to_all: bool) -> Parameter:
    shown = Parameter.model_validate(row)
    return shown if open_to_all else shown.model_copy(update={"value": hide(row.name, row.value)})


def _change_tags(call: Call[Query, BaseModel], action: str, tags: tuple[str, ...]) -> Tags:
    devices, row = call.services.acs.devices, find_device(call)
    change = {
        "device.tags.replace": devices.replace_tags,
        "device.tags.add": devices.add_tags,
        "device.tags.remove": devices.remove_tags,
    }[action]
    call.trail.write(call.caller, action, row.device_id, {"tags": list(tags)}, before={"tags": list(row.tags)})
    try:
        now = change(row.device_id, tags)
    except RefusedError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "tag_refused", str(error)) from error
    if now is None:
        raise no_such_device()
    call.trail.after({"tags": list(now)})
    return Tags(tags=now)
