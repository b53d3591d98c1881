"""Devices: which there are, what they have told, and what an operator decides about them."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response
from pydantic import BaseModel

from agent.store.device_errors import DeviceBusyError, PlaceError, RefusedError
from agent.store.device_query import DeviceFilter, DeviceOrder
from agent.store.device_rows import DeviceState, ParameterRow
from agent.store.rows import Role
from agent.web.cursors import parse_cursor, refuse_cursor, render_cursor
from agent.web.device_requests import DeviceQuery, ParameterQuery, TagsBody
from agent.web.endpoint import Call, NoBody, Query
from agent.web.errors import ApiError
from agent.web.finding import find_device, no_such_device
from agent.web.schemas_devices import Device, DevicePage, Parameter, ParameterList, Tags
from agent.web.secrecy import hide, is_secret
from agent.web.security import require


def list_devices(call: Call[DeviceQuery, NoBody]) -> DevicePage:
    """Some devices."""
    query = call.query
    order = DeviceOrder(sort=query.sort, descending=query.order == "desc", after=_place(query), limit=query.limit)
    try:
        page = call.services.acs.devices.fetch_page(_filter(call), order)
    except PlaceError as error:
        raise refuse_cursor() from error
    devices = tuple(Device.model_validate(row) for row in page.devices)
    wanted = set(query.fields)
    return DevicePage(
        devices=tuple(device.model_dump(include=wanted) for device in devices) if wanted else devices,
        total=page.total,
        next_cursor=render_cursor(query.sort, query.order, *page.next_cursor) if page.next_cursor else None,
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
    (after,) = parse_cursor(query.cursor, 1) if query.cursor is not None else (None,)
    page = call.services.acs.parameters.fetch_page(
        call.path["device_id"], prefix=query.prefix, since=query.since, after=after, limit=query.limit
    )
    if page is None:
        raise no_such_device()
    open_to_all = call.caller.role.allows(Role.OPERATOR)
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


def _filter(call: Call[DeviceQuery, NoBody]) -> DeviceFilter:
    query = call.query
    pairs = tuple(each.partition(":") for each in query.parameter)
    for path, colon, _ in pairs:
        if not path or not colon:
            message = "parameter is PATH:VALUE, such as Device.DeviceInfo.ModelName:EG8145V5"
            raise ApiError(HTTPStatus.BAD_REQUEST, "bad_request", message)
        if is_secret(path):
            # Who may not see a value may not guess it either.
            require(call.caller, Role.OPERATOR)
    return DeviceFilter(
        serial_number=query.serial_number,
        oui=query.oui,
        product_class=query.product_class,
        manufacturer=query.manufacturer,
        software_version=query.software_version,
        states=query.state,
        online=query.online,
        tags=query.tag,
        parameters=tuple((path, value) for path, _, value in pairs),
    )


def _place(query: DeviceQuery) -> tuple[str, str] | None:
    if query.cursor is None:
        return None
    sort, order, key, device_id = parse_cursor(query.cursor, 4)
    if (sort, order) != (query.sort.value, query.order):
        raise refuse_cursor()
    return key, device_id


def _decide(call: Call[Query, NoBody], state: DeviceState) -> Device:
    row = find_device(call)
    call.trail.write(call.caller, f"device.{state.value}", row.device_id, before={"state": row.state.value})
    changed = call.services.acs.devices.set_state(row.device_id, state)
    if changed is None:
        raise no_such_device()
    call.trail.after({"state": changed.state.value})
    return Device.model_validate(changed)


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
