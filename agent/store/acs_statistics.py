"""Devices, tasks and faults in numbers."""

from __future__ import annotations

from typing import Self

from psycopg.rows import scalar_row, tuple_row

from agent.acs.tasks import TaskStatus
from agent.store.acs_counters import AcsCounters, Count
from agent.store.database import Database
from agent.store.device_rows import DeviceCounts, DeviceState, EndedCounts, OpenCounts
from agent.store.rows import Scope
from agent.store.scoping import Scoped
from agent.store.session_history import SessionHistory
from agent.store.statements import statements


class AcsStatistics(Scoped):
    """All methods raise TransientError when PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sessions = SessionHistory(database)
        self._counters = AcsCounters(database)
        self._sql = statements("acs_statistics")

    def within(self, scope: Scope) -> Self:
        other = super().within(scope)
        other._sessions = self._sessions.within(scope)  # noqa: SLF001  # our own copy
        return other

    def count_devices(self) -> DeviceCounts:
        """Every device, by state and whether it is online."""
        rows = self._database.fetch(self._sql["count_devices"], self._scope.parameters, tuple_row)
        return DeviceCounts(
            total=sum(count for _, _, count, _ in rows),
            online=sum(count for _, online, count, _ in rows if online),
            discovered=sum(discovered for *_, discovered in rows),
            by_state={(DeviceState(state), online): count for state, online, count, _ in rows},
        )

    def count_tasks(self) -> dict[TaskStatus, int]:
        """Tasks by status, also of those that there are none of."""
        rows = self._database.fetch(self._sql["count_tasks"], self._scope.parameters, tuple_row)
        counted = {TaskStatus(status): count for status, count in rows}
        return {status: counted.get(status, 0) for status in TaskStatus}

    def count_faults(self) -> int:
        """Open faults."""
        return self._database.fetch_one(self._sql["count_faults"], self._scope.parameters, scalar_row) or 0

    def count_open_sessions(self) -> OpenCounts:
        """Sessions under way."""
        return self._sessions.count_open()

    def count_sessions_today(self) -> EndedCounts:
        """Sessions that have ended since midnight, UTC."""
        return self._sessions.count_today()

    def count_sessions_last_minute(self) -> EndedCounts:
        """Sessions that have ended in the last minute."""
        return self._sessions.count_last_minute()

    def fetch_counters(self) -> tuple[Count, ...]:
        """What the workers of the ACS have counted since PostgreSQL last had to recover."""
        return self._counters.fetch()
