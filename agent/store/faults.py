"""Faults: what devices have refused, as long as it stops something."""

from __future__ import annotations

from typing import Any

from psycopg.rows import kwargs_row

from agent.store.database import Database
from agent.store.device_rows import FaultRow
from agent.store.documents import clean_text, show_object
from agent.store.scoping import Scoped
from agent.store.statements import statements

LIMIT_MOST = 1000
ID_MOST = 2**63 - 1
DISCOVERY = "discovery"
TASK_PREFIX = "task_"


class Faults(Scoped):
    """The table `faults`. All methods raise TransientError when PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("faults")

    def fetch_page(
        self,
        *,
        device_id: str | None = None,
        code: str | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> tuple[FaultRow, ...]:
        """The newest faults whose id is below `before_id`, newest first; of one device, of one code, or all."""
        parameters = {
            "device_id": None if device_id is None else clean_text(device_id),
            "code": None if code is None else clean_text(code),
            "before_id": None if before_id is None else min(before_id, ID_MOST),
            "limit": min(max(0, limit), LIMIT_MOST + 1),
            **self._scope.parameters,
        }
        return tuple(self._database.fetch(self._sql["fetch_faults"], parameters, _FAULT))

    def fetch(self, fault: int) -> FaultRow | None:
        """One fault; None when there is none of that id."""
        if not 0 < fault <= ID_MOST:
            return None
        parameters = {"fault": fault, **self._scope.parameters}
        return self._database.fetch_one(self._sql["fetch_fault"], parameters, _FAULT)

    def fetch_of_task(self, device_id: str, task: int) -> FaultRow | None:
        """The fault that stops a task, or has ended it; None when there is none."""
        parameters = {"device_id": clean_text(device_id), "channel": f"{TASK_PREFIX}{task}", **self._scope.parameters}
        return self._database.fetch_one(self._sql["fetch_fault_of_task"], parameters, _FAULT)

    def delete(self, fault: int) -> FaultRow | None:
        """Forget a fault, so that what it stopped is tried in the device's next session; return what it was.

        None when there is none of that id."""
        row = self.fetch(fault)
        if row is None:
            return None
        parameters = {"fault": fault, "device_id": row.device_id, "channel": row.channel, "task": _task_of(row.channel)}
        with self._database.transaction() as connection:
            # In the order in which a session locks them: the device, the fault, the task.
            if row.channel == DISCOVERY:
                connection.execute(self._sql["discover_now"], parameters)
            if not connection.execute(self._sql["delete_fault"], parameters).rowcount:
                return None
            connection.execute(self._sql["try_now"], parameters)
            connection.execute(self._sql["emit_event"], parameters)
        return row


def _task_of(channel: str) -> int | None:
    """The id of the task that a fault's channel names."""
    number = channel.removeprefix(TASK_PREFIX)
    known = channel.startswith(TASK_PREFIX) and number.isascii() and number.isdigit() and len(number) < 19
    return int(number) if known else None


def _make_fault(**columns: Any) -> FaultRow:
    return FaultRow(**{**columns, "detail": show_object(columns["detail"])})


_FAULT = kwargs_row(_make_fault)
