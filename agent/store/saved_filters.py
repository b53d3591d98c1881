"""Filters of the list of devices that operators have kept: for themselves, or for everybody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from agent.store.database import Database
from agent.store.device_errors import RefusedError
from agent.store.documents import clean_text
from agent.store.statements import statements

FILTERS_MOST = 100
"""Of one owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedFilter:
    """A row of `saved_filters`."""

    id: int
    owner: str
    name: str
    shared: bool
    query: str
    """As it stands behind the `?` of the list."""
    created_at: datetime


class SavedFilters:
    """All methods raise TransientError when PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("saved_filters")

    def fetch_for(self, owner: str) -> tuple[SavedFilter, ...]:
        """Those that somebody may use: the own ones, and what others share; by name."""
        return tuple(self._database.fetch(self._sql["fetch_for"], {"owner": clean_text(owner)}, class_row(SavedFilter)))

    def fetch(self, number: int, owner: str) -> SavedFilter | None:
        """One that somebody may use."""
        parameters = {"id": number, "owner": clean_text(owner)}
        return self._database.fetch_one(self._sql["fetch"], parameters, class_row(SavedFilter))

    def save(self, owner: str, name: str, query: str, *, shared: bool) -> SavedFilter:
        """Keep a filter under a name, in the place of the owner's own of that name.

        RefusedError: there are too many."""
        parameters = {
            "owner": clean_text(owner),
            "name": clean_text(name),
            "query": clean_text(query),
            "shared": shared,
            "most": FILTERS_MOST,
        }
        saved = self._database.fetch_one(self._sql["save"], parameters, class_row(SavedFilter))
        if saved is None:
            raise RefusedError(f"somebody can have {FILTERS_MOST} filters: delete some")
        return saved

    def delete(self, number: int, owner: str, *, any_owner: bool = False) -> bool:
        """Forget one of the owner's filters, or (`any_owner`) a shared one of anybody's; False: there is none."""
        parameters = {"id": number, "owner": clean_text(owner), "any_owner": any_owner}
        return self._database.execute(self._sql["delete"], parameters) > 0
