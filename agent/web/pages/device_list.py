"""The list of devices as its page shows it: filters as people set them, columns, kept filters. Pure but for `look`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode

from agent.core.errors import ProtocolError
from agent.store.device_rows import DeviceRow
from agent.store.rows import Principal
from agent.store.saved_filters import SavedFilter
from agent.store.value_search import ValueCondition, ValueOperator, is_searchable
from agent.web.device_list import DeviceListing, fetch_listing
from agent.web.device_requests import DeviceQuery
from agent.web.errors import ApiError
from agent.web.pages.device_formats import is_number
from agent.web.pages.listing import Listing
from agent.web.services import DeviceServices
from agent.web.views_device_pages import parse_device_query

PATH = "/devices"
ROWS = 50
LIVE_MOST = 200
"""A longer list is not asked for again at every event, only every few seconds."""
OPERATORS = (
    (ValueOperator.EQUALS, "is"),
    (ValueOperator.DIFFERS, "is not"),
    (ValueOperator.CONTAINS, "contains"),
    (ValueOperator.BEGINS, "begins with"),
    (ValueOperator.ABOVE, "is above"),
    (ValueOperator.AT_LEAST, "is at least"),
    (ValueOperator.BELOW, "is below"),
    (ValueOperator.AT_MOST, "is at most"),
    (ValueOperator.PRESENT, "is there"),
    (ValueOperator.ABSENT, "is not there"),
)
_WORDS = dict(OPERATORS)
_OF_FORMS = ("path", "op", "value", "column", "drop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A filter that is set, and the address of the list without it."""

    text: str
    title: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A stored value that is shown of each device."""

    path: str
    label: str
    url: str
    """The list without it."""
    number: bool
    """Whether all that is shown of it are numbers, which stand at the right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLines:
    """Everything that the page of the list shows."""

    listing: Listing
    query: DeviceQuery
    rows: Sequence[DeviceRow]
    values: dict[str, dict[str, str]]
    total: int
    next_url: str | None
    first_url: str | None
    chips: Sequence[Chip]
    columns: Sequence[Column]
    export_url: str
    saved: Sequence[SavedFilter]
    preparing: float | None
    """How far the index of a value that is searched by has been made, when it must be waited for."""

    @property
    def words(self) -> str:
        """The filter as it is kept under a name."""
        return urlencode({name: value for name, value in self.listing.filters.items() if value}, doseq=True)

    @property
    def is_filtered(self) -> bool:
        return bool(self.chips or self.query.q or self.query.state or self.query.online is not None)


def adopt_forms(text: str) -> str | None:
    """The address that a form of the page leads to, which adds or drops a condition or a column; None: it is none."""
    pairs = [(name, value) for name, value in parse_qsl(text, keep_blank_values=True) if value]
    given = {name: value for name, value in pairs if name in _OF_FORMS}
    if not given:
        return None
    kept = [(name, value) for name, value in pairs if name not in (*_OF_FORMS, "cursor")]
    path = given.get("path", "").strip()
    if path:
        kept.append(("where", str(condition_of(path, given.get("op", "="), given.get("value", "")))))
    column = given.get("column", "").strip()
    if column:
        known = [each for name, value in kept if name == "columns" for each in value.split(",")]
        kept = [(name, value) for name, value in kept if name != "columns"]
        kept.append(("columns", ",".join(dict.fromkeys([*known, column]))))
    return f"{PATH}?{urlencode(kept)}"


def condition_of(path: str, operator: str, value: str) -> ValueCondition:
    """A condition as a form gives it; ApiError 400 when it is none."""
    if not is_searchable(path) or operator not in tuple(ValueOperator):
        message = f"{path[:80]} is not the path of a parameter, such as Device.WiFi.SSID.*.SSID"
        raise ApiError(HTTPStatus.BAD_REQUEST, "bad_request", message)
    wanted = ValueOperator(operator)
    try:
        return ValueCondition.parse(f"{path}{wanted.value}{value.strip() if wanted.takes_value else ''}")
    except ProtocolError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "bad_request", str(error)) from error


def look(acs: DeviceServices, caller: Principal, text: str) -> DeviceLines:
    """The list that the address asks for; `text` is what stands behind its `?`."""
    pairs = [(name, value) for name, value in parse_qsl(text, keep_blank_values=True) if value]
    query = parse_device_query(urlencode(pairs)).model_copy(update={"limit": ROWS})
    filters: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        if name not in ("sort", "order", "cursor", "limit", "fields"):
            filters[name] = (*filters.get(name, ()), value)
    listing = Listing(
        path=PATH,
        sort=query.sort,
        descending=query.order == "desc",
        filters=filters,
        first=frozenset({"last_inform", "first_seen"}),
    )
    found, preparing = _fetch(acs, caller, query)
    return DeviceLines(
        listing=listing,
        query=query,
        rows=found.rows,
        values=found.columns,
        total=found.total,
        next_url=listing.url(cursor=found.next_cursor) if found.next_cursor else None,
        first_url=listing.url() if query.cursor else None,
        chips=_chips(query, listing),
        columns=_columns(query, listing, found.columns),
        export_url=listing.url("/api/v1/devices/export"),
        saved=acs.saved_filters.fetch_for(caller.name),
        preparing=preparing,
    )


def short_of(path: str) -> str:
    """The end of a path, enough to know it by: `SSID.1.SSID`."""
    words = path.split(".")
    end = words[-2:] if not words[-2].isdigit() and words[-2] != "*" else words[-3:]
    return ".".join(end if len(words) > 3 else words[-1:])


def _columns(query: DeviceQuery, listing: Listing, values: dict[str, dict[str, str]]) -> tuple[Column, ...]:
    last = [path.rpartition(".")[2] for path in query.columns]
    columns: list[Column] = []
    for path, word in zip(query.columns, last, strict=True):
        shown = [row[path] for row in values.values() if path in row]
        columns.append(
            Column(
                path=path,
                label=word if last.count(word) == 1 else short_of(path),
                url=_without(listing, "columns", path, query.columns),
                number=bool(shown) and all(is_number(each) for each in shown),
            )
        )
    return tuple(columns)


def _fetch(acs: DeviceServices, caller: Principal, query: DeviceQuery) -> tuple[DeviceListing, float | None]:
    try:
        return fetch_listing(acs, caller, query), None
    except ApiError as error:
        if error.code != "search_preparing":
            raise
        progress = float(error.details["progress"])
        return DeviceListing(rows=(), columns={}, total=0, next_cursor=None), progress


def _chips(query: DeviceQuery, listing: Listing) -> tuple[Chip, ...]:
    chips = [
        Chip(text=f"{name.replace('_', ' ')}: {value}", title=f"{name} is {value}", url=listing.url(**{name: None}))
        for name in ("serial_number", "oui", "product_class", "manufacturer", "software_version")
        if (value := getattr(query, name))
    ]
    chips += [
        Chip(text=f"tag: {tag}", title=f"has the tag {tag}", url=_less(listing, "tag", tag, query.tag))
        for tag in query.tag
    ]
    for pair in query.parameter:
        path, _, value = pair.partition(":")
        chips.append(
            Chip(
                text=f"{short_of(path)} is {value}",
                title=f"{path} is {value}",
                url=_less(listing, "parameter", pair, query.parameter),
            )
        )
    for text in query.where:
        condition = ValueCondition.parse(text)
        words = f"{_WORDS[condition.operator]} {condition.value}".strip()
        chips.append(
            Chip(
                text=f"{short_of(condition.path)} {words}",
                title=f"{condition.path} {words}",
                url=_less(listing, "where", text, query.where),
            )
        )
    return tuple(chips)


def _less(listing: Listing, name: str, value: str, all_: Sequence[str]) -> str:
    left: dict[str, Any] = {name: tuple(each for each in all_ if each != value)}
    return listing.url(**left)


def _without(listing: Listing, name: str, value: str, all_: Sequence[str]) -> str:
    return listing.url(**{name: ",".join(each for each in all_ if each != value) or None})
