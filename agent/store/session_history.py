"""Sessions with CPEs as operators see them: those under way, those that are over, and both in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row, kwargs_row, scalar_row

from agent.core.clock import wall
from agent.store.database import Database, first_line
from agent.store.device_errors import PlaceError
from agent.store.device_rows import EndedCounts, OpenCounts, OpenSession, PastSession
from agent.store.devices import make_session
from agent.store.documents import clean_text
from agent.store.scoping import Scoped
from agent.store.statements import statements

LIMIT_MOST = 1000
COMPLETED = "completed"
RECENT = timedelta(days=30)
_STRETCHES = (timedelta(minutes=2), timedelta(minutes=20), timedelta(hours=4), timedelta(days=2), RECENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    outcome: str
    sessions: int
    seconds: float


class SessionHistory(Scoped):
    """All methods raise TransientError when PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("session_history")

    def fetch_open(
        self, *, serial_number: str | None = None, discovering: bool = False, limit: int = LIMIT_MOST
    ) -> tuple[OpenSession, ...]:
        """Sessions under way, the oldest first; of the devices of one serial number, or only those that discover."""
        parameters = {
            "serial_number": None if serial_number is None else clean_text(serial_number),
            "discovering": discovering,
            "limit": min(max(0, limit), LIMIT_MOST),
            **self._scope.parameters,
        }
        return tuple(self._database.fetch(self._sql["fetch_open"], parameters, _OPEN))

    def fetch_past(
        self, serial_number: str, *, before: tuple[str, int] | None = None, limit: int = 100
    ) -> tuple[PastSession, ...] | None:
        """Past sessions of the devices of one serial number, the newest first; None: there is no such device.

        `before` is (end, id) of the last one of the page before; PlaceError when it is none."""
        at, number = before or (None, None)
        parameters = {
            "serial_number": clean_text(serial_number),
            "before_at": at,
            "before_id": number,
            "limit": min(max(0, limit), LIMIT_MOST + 1),
            **self._scope.parameters,
        }
        try:
            found = self._database.fetch(self._sql["fetch_past"], parameters, class_row(PastSession))
        except psycopg.DataError as exc:
            raise PlaceError(f"not a place in this list: {first_line(exc)}") from exc
        if not found and not self._database.fetch_one(self._sql["knows_serial_number"], parameters, scalar_row):
            return None
        return tuple(found)

    def fetch_recent(
        self, *, outcomes: Sequence[str] = (), before: tuple[datetime, int] | None = None, limit: int = 100
    ) -> tuple[PastSession, ...]:
        """Past sessions of all devices, the newest first; none that ended more than `RECENT` before now or `before`.

        `before` is (end, id) of the last one of the page before."""
        to, before_id = before or (wall() + timedelta(minutes=1), None)
        found: list[PastSession] = []
        for stretch in _STRETCHES:
            parameters = {
                "from": to - stretch,
                "to": to,
                "before_id": before_id,
                "outcomes": list(outcomes) or None,
                "limit": min(max(1, limit), LIMIT_MOST + 1),
                **self._scope.parameters,
            }
            found = self._database.fetch(self._sql["fetch_recent"], parameters, class_row(PastSession))
            if len(found) >= limit:
                break
        return tuple(found)

    def count_open(self) -> OpenCounts:
        """Sessions under way."""
        counted = self._database.fetch_one(self._sql["count_open"], self._scope.parameters, class_row(OpenCounts))
        return counted or OpenCounts(active=0, discovering=0, active_workers=0)

    def count_today(self) -> EndedCounts:
        """Sessions that have ended since midnight, UTC."""
        return self._count_ended(wall().replace(hour=0, minute=0, second=0, microsecond=0))

    def count_last_minute(self) -> EndedCounts:
        """Sessions that have ended in the last minute."""
        return self._count_ended(wall() - timedelta(minutes=1))

    def _count_ended(self, since: datetime) -> EndedCounts:
        parameters = {"since": since, **self._scope.parameters}
        ended = self._database.fetch(self._sql["count_past"], parameters, class_row(_Ended))
        means = [each.seconds / each.sessions for each in ended if each.outcome == COMPLETED]
        return EndedCounts(
            by_outcome={each.outcome: each.sessions for each in ended},
            mean_duration_seconds=means[0] if means else None,
        )


def _make_open(**columns: Any) -> OpenSession:
    session = make_session(columns)
    return OpenSession(**columns, session=session)


_OPEN = kwargs_row(_make_open)
