"""What people do with the list of devices besides reading it: take it away as a file, keep its filters, and see one
device at a glance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from urllib.parse import parse_qsl

from flask import Response
from pydantic import ValidationError

from agent.acs.summary import TOPS, Summary, summarise
from agent.store.device_errors import RefusedError
from agent.store.device_rows import DeviceRow
from agent.store.rows import Principal, Role
from agent.web.csv_rows import render_row
from agent.web.device_list import DeviceListing, fetch_listing, filter_of
from agent.web.device_requests import DeviceQuery, SavedFilterBody
from agent.web.endpoint import Call, NoBody, Query
from agent.web.errors import ApiError
from agent.web.finding import no_such_device, not_found
from agent.web.schemas_device_pages import DeviceSummary, SavedFilter, SavedFilters
from agent.web.services import DeviceServices
from agent.web.waiting import waiting_place

EXPORT_PAGE = 500
EXPORT_MOST = 1_000_000
EXPORTED = (
    "device_id",
    "manufacturer",
    "oui",
    "product_class",
    "serial_number",
    "state",
    "online",
    "ip_address",
    "software_version",
    "hardware_version",
    "first_seen",
    "last_inform",
    "parameter_count",
    "tags",
    "faults",
    "pending_tasks",
)


def export_devices(call: Call[DeviceQuery, NoBody]) -> Response:
    """Every device that matches, as a file, while it is read."""
    query = call.query.model_copy(update={"limit": EXPORT_PAGE, "cursor": None})
    fields = query.fields or EXPORTED
    acs, caller = call.services.acs, call.caller
    # The first page tells what is wrong with the question while it can still be told.
    first = fetch_listing(acs, caller, query)
    call.trail.write(caller, "device.export", "", {"devices": first.total, "columns": list(query.columns)})

    def lines() -> Iterator[str]:
        with waiting_place(call.services):
            yield render_row([*fields, *query.columns])
            for page in _pages(acs, caller, query, first):
                yield "".join(_line(row, fields, page.columns[row.device_id], query.columns) for row in page.rows)

    response = Response(lines(), mimetype="text/csv")
    response.headers["Content-Disposition"] = 'attachment; filename="lastmile-devices.csv"'
    return response


def show_summary(call: Call[Query, NoBody]) -> DeviceSummary:
    """A device at a glance."""
    return DeviceSummary.model_validate(summary_of(call.services.acs, call.path["device_id"]))


def summary_of(acs: DeviceServices, device_id: str) -> Summary:
    """What a device tells of itself; ApiError 404 when there is none of that id."""
    values = acs.parameters.fetch_values(device_id, TOPS)
    if values is None:
        raise no_such_device()
    return summarise(values)


def list_filters(call: Call[Query, NoBody]) -> SavedFilters:
    """The filters that the caller may use."""
    found = call.services.acs.saved_filters.fetch_for(call.caller.name)
    return SavedFilters(filters=tuple(SavedFilter.model_validate(each) for each in found))


def save_filter(call: Call[Query, SavedFilterBody]) -> SavedFilter:
    """Keep a filter; to share one takes an operator."""
    body, caller = call.body, call.caller
    if body.shared and not caller.role.allows(Role.OPERATOR):
        raise ApiError(HTTPStatus.FORBIDDEN, "forbidden", "to share a filter takes the role operator")
    parsed = parse_device_query(body.query)
    filter_of(caller, parsed)
    call.trail.write(caller, "device_filter.save", body.name, {"query": body.query, "shared": body.shared})
    try:
        saved = call.services.acs.saved_filters.save(caller.name, body.name, body.query, shared=body.shared)
    except RefusedError as error:
        raise ApiError(HTTPStatus.CONFLICT, "too_many_filters", str(error)) from error
    return SavedFilter.model_validate(saved)


def delete_filter(call: Call[Query, NoBody]) -> Response:
    """Forget a filter: an own one, or as an admin a shared one."""
    caller, number = call.caller, call.number("filter_id")
    filters = call.services.acs.saved_filters
    known = filters.fetch(number, caller.name)
    if known is None:
        raise _no_such_filter()
    call.trail.write(caller, "device_filter.delete", known.name, before={"query": known.query, "owner": known.owner})
    if not filters.delete(number, caller.name, any_owner=caller.role is Role.ADMIN):
        raise _no_such_filter()
    return Response(status=HTTPStatus.NO_CONTENT)


def parse_device_query(text: str) -> DeviceQuery:
    """What stands behind the `?` of the list of devices; ApiError 400 when it is none."""
    given: dict[str, str | list[str]] = {}
    for name, value in parse_qsl(text.removeprefix("?"), keep_blank_values=True):
        field = DeviceQuery.model_fields.get(name)
        if field is not None and isinstance(field.default, tuple):
            given.setdefault(name, [])
            many = given[name]
            assert isinstance(many, list)
            many.append(value)
        else:
            given[name] = value
    try:
        return DeviceQuery.model_validate(given)
    except ValidationError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "bad_request", "the filter is not one of the list of devices") from error


def _pages(acs: DeviceServices, caller: Principal, query: DeviceQuery, first: DeviceListing) -> Iterator[DeviceListing]:
    page, count = first, 0
    yield page
    while page.next_cursor is not None and count < EXPORT_MOST:
        page = fetch_listing(acs, caller, query.model_copy(update={"cursor": page.next_cursor}))
        count += len(page.rows)
        yield page


def _line(row: DeviceRow, fields: Sequence[str], values: Mapping[str, str], columns: Sequence[str]) -> str:
    return render_row([*_cells(row, fields), *(values.get(path) for path in columns)])


def _cells(row: DeviceRow, fields: Sequence[str]) -> Iterator[object]:
    for name in fields:
        value = getattr(row, name)
        match value:
            case datetime():
                yield value.isoformat()
            case str() | int() | float() | None:
                yield value
            case list() | tuple():
                yield " ".join(str(each) for each in value)
            case _:
                yield str(getattr(value, "status", value))


def _no_such_filter() -> ApiError:
    return not_found("filter_not_found", "you have no filter of this id")
