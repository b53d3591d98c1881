"""What people look at rather than ask for: traffic today, the latest events, the processes at work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row, kwargs_row

from agent.store.database import Database
from agent.store.documents import clean_text, show_object
from agent.store.rows import EventRow, LogRow
from agent.store.scoping import Scoped
from agent.store.statements import statements

LIMIT_MOST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficRow:
    """What has passed a modem's link."""

    serial: str
    rx_bytes: int
    tx_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRow:
    """The connections of one kind of process to the database."""

    name: str
    """Such as `lastmile web`."""
    address: str
    """Where they come from; empty: this machine."""
    connections: int
    since: datetime
    """When the oldest of them was made."""


class Glances(Scoped):
    """All methods raise TransientError when PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("glances")

    def fetch_traffic(self, since: datetime) -> dict[str, TrafficRow]:
        """What has passed each modem's link since then, by serial; modems without samples are left out."""
        parameters = {"since": since, **self._scope.parameters}
        rows = self._database.fetch(self._sql["fetch_traffic"], parameters, class_row(TrafficRow))
        return {row.serial: row for row in rows}

    def fetch_latest_events(self, limit: int = 30) -> tuple[EventRow, ...]:
        """The latest events, newest first."""
        parameters = {"limit": min(limit, LIMIT_MOST), **self._scope.parameters}
        return tuple(self._database.fetch(self._sql["fetch_latest_events"], parameters, _EVENT))

    def fetch_log(
        self, serial: str, channels: Sequence[str], before_id: int | None = None, limit: int = 100
    ) -> tuple[LogRow, ...]:
        """The newest log rows of a modem on these channels whose id is below `before_id`, newest first."""
        parameters = {
            "serial": clean_text(serial),
            "channels": list(channels),
            "before_id": before_id,
            "limit": min(limit, LIMIT_MOST),
            **self._scope.parameters,
        }
        return tuple(self._database.fetch(self._sql["fetch_log_of_channels"], parameters, class_row(LogRow)))

    def fetch_processes(self) -> tuple[ProcessRow, ...]:
        """The processes of lastmile that are connected to the database, as far as its role may see them."""
        return tuple(self._database.fetch(self._sql["fetch_processes"], {}, class_row(ProcessRow)))


def _make_event(**columns: Any) -> EventRow:
    return EventRow(**{**columns, "payload": show_object(columns["payload"])})


_EVENT = kwargs_row(_make_event)
