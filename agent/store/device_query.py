"""What a list of devices asks of the database: pieces of `queries/devices.sql` and `device_search.sql`. Pure.

The pieces are constants and values only ever go in by placeholders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent.store.device_rows import DeviceState
from agent.store.documents import clean_text
from agent.store.value_search import (
    Source,
    ValueCondition,
    ValueOperator,
    ValuePlace,
    compose_condition,
    compose_sorted,
    compose_unsorted,
    like,
)

Statement = tuple[bytes, dict[str, Any]]


class DeviceSort(StrEnum):
    """What devices are sorted by; those that have the same come in the order of their ids."""

    DEVICE_ID = "device_id"
    SERIAL_NUMBER = "serial_number"
    LAST_INFORM = "last_inform"
    FIRST_SEEN = "first_seen"
    SOFTWARE_VERSION = "software_version"
    PRODUCT_CLASS = "product_class"

    @property
    def is_time(self) -> bool:
        return self in (DeviceSort.LAST_INFORM, DeviceSort.FIRST_SEEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFilter:
    """Which devices: those that match everything that is given."""

    serial_number: str | None = None
    oui: str | None = None
    product_class: str | None = None
    manufacturer: str | None = None
    software_version: str | None = None
    states: tuple[DeviceState, ...] = ()
    """Any of them; empty: all."""
    online: bool | None = None
    tags: tuple[str, ...] = ()
    """All of them."""
    parameters: tuple[tuple[str, str], ...] = ()
    """Stored values, as (path, value); all of them."""
    values: tuple[ValueCondition, ...] = ()
    """What stored values must be like; all of them."""
    text: str | None = None
    """What the identity, the version, the address or a tag has somewhere in it."""
    scope_tags: tuple[str, ...] | None = None
    """Of these, one at least; None: all devices."""

    @property
    def conditions(self) -> tuple[ValueCondition, ...]:
        """All that is said of stored values."""
        equal = tuple(
            ValueCondition(path=path, operator=ValueOperator.EQUALS, value=value) for path, value in self.parameters
        )
        return (*equal, *self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOrder:
    """In which order, and from where on."""

    sort: DeviceSort = DeviceSort.DEVICE_ID
    by_value: str | None = None
    """The path of a stored value to sort by instead; devices without it come last, whichever way."""
    descending: bool = False
    after: tuple[str, str] | None = None
    """What the last device of the page before is sorted by, and its id."""
    limit: int = 100


def compose_pages(
    pieces: Mapping[str, bytes], wanted: DeviceFilter, sources: Mapping[str, Source], order: DeviceOrder
) -> tuple[Statement, ...]:
    """The statements whose rows, one after the other, are the page: (device id, what it is sorted by, as text), and
    one more than the page has. `sources` tells where the values of the paths are that are named."""
    if order.by_value is not None:
        return _by_value(pieces, wanted, sources, order, order.by_value)
    conditions, parameters = _conditions(pieces, wanted, sources)
    key = pieces[f"sort_{order.sort.value}"]
    if order.after is not None:
        given = b"%(after_key)s::timestamptz" if order.sort.is_time else b"%(after_key)s::text"
        comparison = b"<" if order.descending else b">"
        conditions.append(b"(%s, devices.device_id) %s (%s, %%(after_device)s::text)" % (key, comparison, given))
        parameters |= {"after_key": clean_text(order.after[0]), "after_device": clean_text(order.after[1])}
    direction = b" DESC" if order.descending else b""
    ordering = b"%s%s, devices.device_id%s" % (key, direction, direction)
    return (_page(b"(%s)::text" % key, pieces["from_devices"], conditions, ordering, parameters, order),)


def compose_count(pieces: Mapping[str, bytes], wanted: DeviceFilter, sources: Mapping[str, Source]) -> Statement:
    """The statement that counts the devices."""
    conditions, parameters = _conditions(pieces, wanted, sources)
    return b"\n".join((b"SELECT count(*)", pieces["from_devices"], _where(conditions))), parameters


def _by_value(
    pieces: Mapping[str, bytes], wanted: DeviceFilter, sources: Mapping[str, Source], order: DeviceOrder, path: str
) -> tuple[Statement, ...]:
    conditions, parameters = _conditions(pieces, wanted, sources)
    place = ValuePlace.parse(order.after[0]) if order.after is not None else None
    number, source = len(wanted.conditions), sources[path]
    pages: list[Statement] = []
    if place is None or place.number is not None:
        key, origin, more, ordering, added = compose_sorted(
            pieces, source, place, descending=order.descending, number=number
        )
        pages.append(_page(key, origin, [*conditions, *more], ordering, {**parameters, **added}, order))
        place = None
    more, added = compose_unsorted(pieces, source, place, number=number)
    key, ordering = pieces["key_unsorted"], b"devices.id"
    pages.append(_page(key, pieces["from_devices"], [*conditions, *more], ordering, {**parameters, **added}, order))
    return tuple(pages)


def _page(
    key: bytes, origin: bytes, conditions: list[bytes], ordering: bytes, parameters: dict[str, Any], order: DeviceOrder
) -> Statement:
    statement = b"\n".join(
        (
            b"SELECT devices.device_id, %s AS key" % key,
            origin,
            _where(conditions),
            b"ORDER BY %s" % ordering,
            b"LIMIT %(rows)s",
        )
    )
    return statement, {**parameters, "rows": order.limit + 1}


def _where(conditions: list[bytes]) -> bytes:
    return b"WHERE " + b"\nAND ".join(conditions) if conditions else b""


def _conditions(
    pieces: Mapping[str, bytes], wanted: DeviceFilter, sources: Mapping[str, Source]
) -> tuple[list[bytes], dict[str, Any]]:
    names: list[str] = []
    parameters: dict[str, Any] = {}
    for name in ("serial_number", "oui", "product_class", "manufacturer", "software_version"):
        value = getattr(wanted, name)
        if value is not None:
            names.append(name)
            parameters[name] = clean_text(value)
    if wanted.states:
        names.append("state")
        parameters["states"] = [state.value for state in wanted.states]
    if wanted.online is not None:
        names.append("online")
        parameters["online"] = wanted.online
    if wanted.tags:
        names.append("tags")
        parameters["tags"] = sorted({clean_text(tag) for tag in wanted.tags})
    if wanted.scope_tags is not None:
        names.append("scope")
        parameters["scope_tags"] = [clean_text(tag) for tag in wanted.scope_tags]
    if wanted.text is not None:
        names.append("text")
        parameters["text"] = like(clean_text(wanted.text))
    conditions = [pieces[f"where_{name}"] for name in names]
    for number, condition in enumerate(wanted.conditions):
        piece, added = compose_condition(pieces, condition, sources[condition.path], number)
        conditions.append(piece)
        parameters |= added
    return conditions, parameters
