"""The question that a list of devices comes down to: pieces of `queries/devices.sql` put together. Pure.

The pieces are constants and values only ever go in by placeholders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent.store.device_rows import DeviceState
from agent.store.documents import clean_text


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
    scope_tags: tuple[str, ...] | None = None
    """Of these, one at least; None: all devices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOrder:
    """In which order, and from where on."""

    sort: DeviceSort = DeviceSort.DEVICE_ID
    descending: bool = False
    after: tuple[str, str] | None = None
    """What the last device of the page before is sorted by, and its id."""
    limit: int = 100


def compose_page(
    pieces: Mapping[str, bytes], wanted: DeviceFilter, ids: list[int] | None, order: DeviceOrder
) -> tuple[bytes, dict[str, object]]:
    """The statement whose rows are (device id, what it is sorted by, as text), one more than the page has.

    `ids` are the rows that have the stored values that are wanted; None: no values are wanted."""
    conditions, parameters = _conditions(pieces, wanted, ids)
    key = pieces[f"sort_{order.sort.value}"]
    if order.after is not None:
        given = b"%(after_key)s::timestamptz" if order.sort.is_time else b"%(after_key)s::text"
        comparison = b"<" if order.descending else b">"
        conditions.append(b"(%s, devices.device_id) %s (%s, %%(after_device)s::text)" % (key, comparison, given))
        parameters |= {"after_key": clean_text(order.after[0]), "after_device": clean_text(order.after[1])}
    direction = b" DESC" if order.descending else b""
    parameters["rows"] = order.limit + 1
    statement = b"\n".join(
        (
            b"SELECT devices.device_id, (%s)::text AS key" % key,
            pieces["from_devices"],
            _where(conditions),
            b"ORDER BY %s%s, devices.device_id%s" % (key, direction, direction),
            b"LIMIT %(rows)s",
        )
    )
    return statement, parameters


def compose_count(
    pieces: Mapping[str, bytes], wanted: DeviceFilter, ids: list[int] | None
) -> tuple[bytes, dict[str, object]]:
    """The statement that counts the devices; `ids` as for the page."""
    conditions, parameters = _conditions(pieces, wanted, ids)
    return b"\n".join((b"SELECT count(*)", pieces["from_devices"], _where(conditions))), parameters


def _where(conditions: list[bytes]) -> bytes:
    return b"WHERE " + b"\nAND ".join(conditions) if conditions else b""


def _conditions(
    pieces: Mapping[str, bytes], wanted: DeviceFilter, ids: list[int] | None
) -> tuple[list[bytes], dict[str, object]]:
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
    if ids is not None:
        names.append("ids")
        parameters["ids"] = ids
    return [pieces[f"where_{name}"] for name in names], parameters
