"""Devices that talk TR-069: which there are, and what an operator decides about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import psycopg
from psycopg.rows import kwargs_row, scalar_row, tuple_row

from agent.core.errors import DeadlineExceeded
from agent.store.database import Database, first_line
from agent.store.device_errors import DeviceBusyError, PlaceError, RefusedError, SearchPreparingError
from agent.store.device_query import DeviceFilter, DeviceOrder, Statement, compose_count, compose_pages
from agent.store.device_rows import DevicePage, DeviceRow, DeviceState, SessionRow, SessionStatus
from agent.store.documents import clean_text, render_object
from agent.store.scoping import Scoped
from agent.store.search_parameters import SearchParameters
from agent.store.statements import statements

LIMIT_MOST = 1000
TAGS_MOST = 100
SESSION_PREFIX = "session_"


class Devices(Scoped):
    """Every device. All methods raise TransientError when PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("devices")
        self._pieces = {**self._sql, **statements("device_search")}
        self._search = SearchParameters(database)

    def fetch_page(self, wanted: DeviceFilter, order: DeviceOrder) -> DevicePage:
        """Some of the devices that match; PlaceError when `order.after` is no place in that order.

        What is searched or sorted by for the first time is looked for in every device's values, until a worker has
        made an index of it; SearchPreparingError when that takes too long."""
        wanted = replace(wanted, scope_tags=self._scope.tags)
        paths = [each.path for each in wanted.conditions]
        sources = self._search.sources([*paths, order.by_value] if order.by_value else paths)
        pages = compose_pages(self._pieces, wanted, sources, order)
        try:
            total = self._database.fetch_one(*compose_count(self._pieces, wanted, sources), scalar_row) or 0
            found = self._fetch_places(pages, order.limit + 1)
        except psycopg.DataError as exc:
            raise PlaceError(f"not a place in this list: {first_line(exc)}") from exc
        except DeadlineExceeded as exc:
            slow = [path for path, source in sources.items() if source.parameter is None]
            if not slow:
                raise
            raise SearchPreparingError(self._search.progress(slow)) from exc
        page = found[: order.limit]
        more = len(found) > len(page) and bool(page)
        return DevicePage(
            devices=self.fetch_many([device_id for device_id, _ in page]),
            total=total,
            next_cursor=(page[-1][1], page[-1][0]) if more else None,
        )

    def fetch_many(self, device_ids: Sequence[str]) -> tuple[DeviceRow, ...]:
        """The devices of these ids, in this order; those that do not exist are left out."""
        names = [clean_text(device_id) for device_id in device_ids]
        parameters = {"device_ids": names, **self._scope.parameters}
        return tuple(self._database.fetch(self._sql["fetch_devices"], parameters, _DEVICE)) if device_ids else ()

    def fetch(self, device_id: str) -> DeviceRow | None:
        """One device; None when there is none of that id."""
        return next(iter(self.fetch_many((device_id,))), None)

    def set_state(self, device_id: str, state: DeviceState) -> DeviceRow | None:
        """Accept a device or refuse it, and return its row; None when there is none of that id."""
        parameters = {"device_id": clean_text(device_id), "state": state.value, **self._scope.parameters}
        with self._database.transaction() as connection:
            if connection.execute(self._sql["set_state"], parameters).rowcount:
                self._emit(connection, f"device_{state.value}", device_id, {})
        return self.fetch(device_id)

    def delete(self, device_id: str) -> bool:
        """Forget a device and all that is known of it; False when there is none of that id.

        When it informs again it is a new one. Raises DeviceBusyError while it has a session."""
        parameters = {"device_id": clean_text(device_id), **self._scope.parameters}
        row = self.fetch(device_id)
        if row is None:
            return False
        with self._database.transaction() as connection:
            if connection.execute(self._sql["delete_device"], parameters).rowcount:
                # Its tags: those who see it by one of them are to know.
                self._emit(connection, "device_removed", device_id, {"tags": list(row.tags)})
                return True
        if self._database.fetch_one(self._sql["has_session"], parameters, scalar_row):
            raise DeviceBusyError("the device has a session under way")
        return False

    def fetch_tags(self, device_id: str) -> tuple[str, ...] | None:
        """A device's tags, sorted; None when there is no such device."""
        row = self.fetch(device_id)
        return tuple(row.tags) if row is not None else None

    def add_tags(self, device_id: str, tags: Iterable[str]) -> tuple[str, ...] | None:
        """Put tags on a device, and return all it has; None when there is no such device.

        Raises RefusedError when one is no tag, or there would be too many."""
        return self._change_tags(device_id, ("add_tags",), tags)

    def remove_tags(self, device_id: str, tags: Iterable[str]) -> tuple[str, ...] | None:
        """Take tags off a device, and return those that it still has; None when there is no such device."""
        return self._change_tags(device_id, ("remove_tags",), tags)

    def replace_tags(self, device_id: str, tags: Iterable[str]) -> tuple[str, ...] | None:
        """Give a device these tags and no others; as `add_tags`."""
        return self._change_tags(device_id, ("keep_tags", "add_tags"), tags)

    def _fetch_places(self, pages: Sequence[Statement], most: int) -> list[tuple[str, str]]:
        """The first rows of the statements, one behind the other."""
        found: list[tuple[str, str]] = []
        for statement, parameters in pages:
            if len(found) < most:
                found += self._database.fetch(statement, {**parameters, "rows": most - len(found)}, tuple_row)
        return found

    def _change_tags(self, device_id: str, names: tuple[str, ...], tags: Iterable[str]) -> tuple[str, ...] | None:
        given = sorted({clean_text(tag) for tag in tags})
        wanted = {"device_id": clean_text(device_id), **self._scope.parameters}
        try:
            with self._database.transaction() as connection, connection.cursor(row_factory=scalar_row) as cursor:
                device = cursor.execute(self._sql["lock_device"], wanted).fetchone()
                if device is None:
                    return None
                parameters = {"device": device, "tags": given}
                changed = sum(cursor.execute(self._sql[name], parameters).rowcount for name in names)
                now = tuple(cursor.execute(self._sql["fetch_tags"], parameters).fetchall())
                if len(now) > TAGS_MOST:
                    raise RefusedError(f"a device can have {TAGS_MOST} tags")
                if changed:
                    self._emit(connection, "device_tagged", device_id, {"tags": list(now)})
                return now
        except psycopg.IntegrityError as exc:
            what = "a tag has 1 to 64 letters, digits and _.:- and starts with a letter, a digit or _"
            raise RefusedError(what) from exc

    def _emit(self, connection: psycopg.Connection[Any], kind: str, device_id: str, payload: dict[str, Any]) -> None:
        """Announce a change; last in its transaction, since it holds the lock of the order of events."""
        parameters = {"kind": kind, "device_id": clean_text(device_id), "payload": render_object(payload)}
        connection.execute(self._sql["emit_event"], parameters)


def make_session(columns: dict[str, Any]) -> SessionRow:
    """The session of a row, from its columns `session_…`, which are taken out."""
    names = [name for name in columns if name.startswith(SESSION_PREFIX)]
    found = {name.removeprefix(SESSION_PREFIX): columns.pop(name) for name in names}
    return SessionRow(**{**found, "status": SessionStatus(found["status"])})


def _make_device(**columns: Any) -> DeviceRow:
    session = make_session(columns)
    return DeviceRow(**{**columns, "state": DeviceState(columns["state"]), "session": session})


_DEVICE = kwargs_row(_make_device)
