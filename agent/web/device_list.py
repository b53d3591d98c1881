"""The list of devices as a query asks for it: filter, order, place and columns."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from agent.core.errors import ProtocolError
from agent.store.device_errors import PlaceError, SearchPreparingError
from agent.store.device_query import DeviceFilter, DeviceOrder, DeviceSort
from agent.store.device_rows import DeviceRow
from agent.store.rows import Principal, Role
from agent.store.value_search import ValueCondition
from agent.web.cursors import parse_cursor, refuse_cursor, render_cursor
from agent.web.device_requests import DeviceQuery
from agent.web.errors import ApiError
from agent.web.secrecy import is_secret
from agent.web.security import require
from agent.web.services import DeviceServices

PREPARING_RETRY_SECONDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceListing:
    """One page of the list."""

    rows: tuple[DeviceRow, ...]
    columns: dict[str, dict[str, str]]
    """Stored values, for the columns that were asked for: {device id: {path: value}}."""
    total: int
    next_cursor: str | None


def fetch_listing(acs: DeviceServices, caller: Principal, query: DeviceQuery) -> DeviceListing:
    """The page that a query asks for; ApiError for what cannot be answered as asked."""
    wanted, order = filter_of(caller, query), order_of(caller, query)
    try:
        page = acs.devices.fetch_page(wanted, order)
    except PlaceError as error:
        raise refuse_cursor() from error
    except SearchPreparingError as error:
        raise ApiError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "search_preparing",
            f"{error}; it is quick from then on",
            details={"progress": round(error.progress, 3)},
            headers={"Retry-After": str(PREPARING_RETRY_SECONDS)},
        ) from error
    return DeviceListing(
        rows=page.devices,
        columns=acs.search.fetch_columns([row.device_id for row in page.devices], columns_of(caller, query)),
        total=page.total,
        next_cursor=render_cursor(query.sort, query.order, *page.next_cursor) if page.next_cursor else None,
    )


def filter_of(caller: Principal, query: DeviceQuery) -> DeviceFilter:
    """Which devices a query asks for; ApiError 400 for what is no condition, 403 for one on a secret."""
    pairs = tuple(each.partition(":") for each in query.parameter)
    for path, colon, _ in pairs:
        if not path or not colon:
            raise _bad("parameter is PATH:VALUE, such as Device.DeviceInfo.ModelName:EG8145V5")
        _may_see(caller, path)
    try:
        values = tuple(ValueCondition.parse(each) for each in query.where)
    except ProtocolError as error:
        raise _bad(f"{error}, such as Device.DeviceInfo.UpTime>3600") from error
    for each in values:
        _may_see(caller, each.path)
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
        values=values,
        text=query.q or None,
    )


def order_of(caller: Principal, query: DeviceQuery) -> DeviceOrder:
    """In which order, and from where on; ApiError 400 for what is no order or no place in it."""
    known = {each.value: each for each in DeviceSort}
    if query.sort not in known:
        _may_see(caller, query.sort)
    return DeviceOrder(
        sort=known.get(query.sort, DeviceSort.DEVICE_ID),
        by_value=None if query.sort in known else query.sort,
        descending=query.order == "desc",
        after=_place(query),
        limit=query.limit,
    )


def columns_of(caller: Principal, query: DeviceQuery) -> tuple[str, ...]:
    """The paths whose values are to be shown; ApiError 403 for a secret."""
    for path in query.columns:
        _may_see(caller, path)
    return query.columns


def _place(query: DeviceQuery) -> tuple[str, str] | None:
    if query.cursor is None:
        return None
    sort, order, key, device_id = parse_cursor(query.cursor, 4)
    if (sort, order) != (query.sort, query.order):
        raise refuse_cursor()
    return key, device_id


def _may_see(caller: Principal, path: str) -> None:
    """Who may not see a value may not guess it either."""
    if is_secret(path):
        require(caller, Role.OPERATOR)


def _bad(message: str) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, "bad_request", message)
