"""Which parameters devices are searched by: what is kept a second time so that an index reaches it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from psycopg.rows import class_row, scalar_row, tuple_row

from agent.acs.paths import top_of
from agent.store.database import Database
from agent.store.documents import clean_text
from agent.store.statements import statements
from agent.store.value_search import Source, is_searchable, like, pattern_of

PARAMETERS_MOST = 100
FILL_DEVICES = 250
CHANNEL = "search_parameter"


class Filling(StrEnum):
    """How the filling of a parameter goes on."""

    READY = "ready"
    MORE = "more"
    WAIT = "wait"
    """Somebody who is writing must be done first."""
    GONE = "gone"
    """It is filled already, by somebody else at this moment, or not wanted any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    id: int
    path: str
    ready: bool
    stale: bool


class SearchParameters:
    """The table `search_parameters`. All methods raise TransientError when PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("device_search")

    def sources(self, paths: Iterable[str]) -> dict[str, Source]:
        """Where the values of each path are; what is not indexed yet will be, as soon as a worker comes to it."""
        wanted = sorted({clean_text(path) for path in paths})
        if not wanted:
            return {}
        found = self._database.fetch(self._sql["fetch_search_parameters"], {"paths": wanted}, class_row(_Known))
        stale = [each.id for each in found if each.stale]
        if stale:
            self._database.execute(self._sql["note_use"], {"ids": stale})
        known = {each.path: each for each in found}
        for path in wanted:
            if path not in known and is_searchable(path):
                self._want(path)
        ready = {path: each.id for path, each in known.items() if each.ready}
        return {path: Source(path=path, parameter=ready.get(path)) for path in wanted}

    def fetch_unready(self) -> tuple[int, ...]:
        """Rows that must still be filled."""
        return tuple(self._database.fetch(self._sql["fetch_unready"], {}, scalar_row))

    def fill(self, parameter: int, devices: int = FILL_DEVICES) -> Filling:
        """Fill one with the values of the next devices."""
        said = self._database.fetch_one(
            self._sql["fill_search"], {"parameter": parameter, "devices": devices}, scalar_row
        )
        return Filling(said or "gone")

    def progress(self, paths: Sequence[str]) -> float:
        """How much of the slowest of them has been filled, 0 to 1; 1 when nothing is left to do."""
        done = self._database.fetch_one(self._sql["fetch_progress"], {"paths": list(paths)}, scalar_row)
        return 1.0 if done is None else float(done)

    def fetch_columns(self, device_ids: Sequence[str], paths: Sequence[str]) -> dict[str, dict[str, str]]:
        """Stored values of some devices: {device id: {path: value}}, without what they do not have."""
        values: dict[str, dict[str, str]] = {device_id: {} for device_id in device_ids}
        if not device_ids or not paths:
            return values
        parameters = {
            "device_ids": list(device_ids),
            "paths": [clean_text(path) for path in paths],
            "tops": [top_of(clean_text(path)) for path in paths],
        }
        for device_id, path, value in self._database.fetch(self._sql["fetch_columns"], parameters, tuple_row):
            values[device_id][path] = value
        return values

    def suggest(self, text: str, limit: int) -> tuple[str, ...]:
        """Paths of the data models with the text in them, `*` for instance numbers, the short ones first."""
        parameters = {"text": like(clean_text(text.replace("{i}", "*"))), "limit": limit}
        return tuple(self._database.fetch(self._sql["suggest"], parameters, scalar_row))

    def _want(self, path: str) -> None:
        parameters = {"path": path, "top": top_of(path), "pattern": pattern_of(path), "most": PARAMETERS_MOST}
        self._database.execute(self._sql["want_search"], parameters)
