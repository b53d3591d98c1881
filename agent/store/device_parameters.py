"""The stored values of a device, as people ask for them: below a path, since a time, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import scalar_row, tuple_row

from agent.acs.paths import template_of, top_of
from agent.store.database import Database
from agent.store.device_rows import ParameterPage, ParameterRow
from agent.store.documents import clean_text
from agent.store.scoping import Scoped
from agent.store.statements import statements

LIMIT_MOST = 10_000
Traits = tuple[str | None, bool | None]
"""Type and writability."""


class DeviceParameters(Scoped):
    """Reads the chunks that matter, once for a page. All methods raise TransientError when PostgreSQL cannot be reached
    in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("device_parameters")

    def fetch_page(
        self,
        device_id: str,
        *,
        prefix: str = "",
        since: datetime | None = None,
        after: str | None = None,
        limit: int = LIMIT_MOST,
        matching: Callable[[str, str], bool] | None = None,
        writable: bool | None = None,
    ) -> ParameterPage | None:
        """Values whose path begins with `prefix` and that have changed after `since`; None: there is no such device.

        `matching` is told path and value; `writable` leaves those that can be written, or those that cannot (or of
        which it is not known).

        They come in the order of their paths, instance numbers by their value, from behind path `after` on."""
        wanted = clean_text(prefix)
        of_device = {"device_id": clean_text(device_id), **self._scope.parameters}
        with self._database.transaction() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            device = cursor.execute(self._sql["fetch_device"], of_device).fetchone()
            if device is None:
                return None
            parameters = {"device": device[0], "prefix": wanted, "since": since}
            chunks = cursor.execute(self._sql["fetch_values"], parameters).fetchall()
            found = _matching(chunks, wanted, since)
            if matching is not None:
                found = {path: each for path, each in found.items() if matching(path, each[0])}
            traits: dict[str, Traits] = {}
            if writable is not None:
                traits = self._fetch_traits(connection, device[0], device[1], list(found))
                found = {path: each for path, each in found.items() if bool(traits[path][1]) is writable}
            page, total, more = _cut(found, after, limit)
            if writable is None:
                traits = self._fetch_traits(connection, device[0], device[1], page)
        rows = tuple(
            ParameterRow(
                name=path,
                value=found[path][0],
                type=traits[path][0],
                writable=traits[path][1],
                last_updated=datetime.fromtimestamp(found[path][1], UTC),
            )
            for path in page
        )
        return ParameterPage(parameters=rows, total=total, next_after=page[-1] if more else None)

    def fetch_values(self, device_id: str, words: Iterable[str]) -> dict[str, str] | None:
        """Values whose path's second word is one of `words` (such as `WiFi.`); None: there is no such device."""
        parameters = {"device_id": clean_text(device_id), "words": list(words), **self._scope.parameters}
        found = self._database.fetch(self._sql["fetch_by_words"], parameters, scalar_row)
        if not found:
            return None
        return {path: value for values in found for path, value in values.items()}

    def _fetch_traits(
        self, connection: psycopg.Connection[Any], device: int, model: int, paths: list[str]
    ) -> dict[str, Traits]:
        """Type and writability of paths: as the model has them, unless the device differs."""
        parameters = {"device": device, "model": model, "tops": sorted({top_of(template_of(path)) for path in paths})}
        of_model: dict[str, list[Any]] = {}
        own: dict[str, list[Any]] = {}
        with connection.cursor(row_factory=tuple_row) as cursor:
            for entries, is_own in cursor.execute(self._sql["fetch_traits"], parameters):
                (own if is_own else of_model).update(entries)
        traits: dict[str, Traits] = {}
        for path in paths:
            odd, usual = own.get(path, (None, None)), of_model.get(template_of(path), (None, None))
            traits[path] = (
                usual[0] if odd[0] is None else odd[0],
                usual[1] if odd[1] is None else odd[1],
            )
        return traits


def _matching(
    chunks: Iterable[tuple[dict[str, str], float, dict[str, float] | None]], prefix: str, since: datetime | None
) -> dict[str, tuple[str, float]]:
    """(value, time) by path."""
    oldest = since.timestamp() if since is not None else float("-inf")
    found: dict[str, tuple[str, float]] = {}
    for values, at, times in chunks:
        newer = times or {}
        for path, value in values.items():
            time = newer.get(path, at)
            if time > oldest and path.startswith(prefix):
                found[path] = (value, time)
    return found


def _cut(found: Iterable[str], after: str | None, limit: int) -> tuple[list[str], int, bool]:
    """The paths of the page, how many match in all, and whether there are more behind them."""
    ordered = sorted(found, key=place_of)
    begin = 0
    if after is not None:
        place = place_of(after)
        begin = next((index for index, path in enumerate(ordered) if place_of(path) > place), len(ordered))
    page = ordered[begin : begin + min(max(1, limit), LIMIT_MOST)]
    return page, len(ordered), begin + len(page) < len(ordered)


def place_of(path: str) -> tuple[tuple[int, str], ...]:
    """What paths are sorted by: `Host.2.` comes before `Host.10.`"""
    return tuple((int(word) if word.isascii() and word.isdigit() else -1, word) for word in path.split("."))
