"""Tasks: made, looked at, waited for and cancelled by operators. The session machine carries them out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import kwargs_row, scalar_row

from agent.acs.tasks import PRIORITIES, Arguments, Download, TaskStatus, render_arguments
from agent.core.clock import Deadline, wall
from agent.store.connection_requests import ConnectionRequests, insert_request
from agent.store.database import Database, first_line
from agent.store.device_errors import QueueFullError, RefusedError, TaskFinishedError, UnknownFileError
from agent.store.device_rows import DeviceTask, RequestState
from agent.store.device_waiters import request_key, task_key, wait_for
from agent.store.documents import clean_text, render_object, show_object
from agent.store.scoping import Scoped
from agent.store.statements import statements
from agent.store.waiting import Waiters

LIMIT_MOST = 1000
PENDING_MOST = 1000
"""Tasks that may wait for one device."""
ID_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOrder:
    """What is to be done by a device."""

    arguments: Arguments
    created_by: str
    expires_at: datetime
    wake: bool = False
    """Whether the device is to be asked, by a connection request, to begin its session now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """Ids of a task and of the connection request that goes with it."""

    task: int
    request: int | None


class Tasks(Scoped):
    """The table `tasks`. All methods raise TransientError when PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database, waiters: Waiters) -> None:
        self._database = database
        self._waiters = waiters
        self._requests = ConnectionRequests(database, waiters)
        self._sql = statements("tasks")

    def create(self, device_id: str, order: TaskOrder) -> Created | None:
        """Queue a task, and wake its device when that is asked; None: there is no such device.

        Raises UnknownFileError, QueueFullError, and RefusedError for what cannot be stored."""
        kind = order.arguments.kind
        try:
            with self._database.transaction() as connection, connection.cursor(row_factory=scalar_row) as cursor:
                wanted = {"device_id": clean_text(device_id), **self._scope.parameters}
                device = cursor.execute(self._sql["lock_device"], wanted).fetchone()
                if device is None:
                    return None
                self._check(cursor, device, order.arguments)
                request = insert_request(connection, device, order.created_by) if order.wake else None
                # Last: it announces itself, and holds the lock of the order of events.
                parameters = {
                    "device": device,
                    "kind": kind,
                    "arguments": render_object(render_arguments(order.arguments)),
                    "priority": PRIORITIES[kind],
                    "created_by": clean_text(order.created_by),
                    "expires_at": order.expires_at,
                }
                task = cursor.execute(self._sql["create_task"], parameters).fetchone()
        except (psycopg.DataError, psycopg.IntegrityError) as exc:
            raise RefusedError(f"the task is refused: {first_line(exc)}") from exc
        assert isinstance(task, int)
        return Created(task=task, request=request)

    def fetch(self, task: int, device_id: str | None = None) -> DeviceTask | None:
        """One task, of that device when it is given; None when there is none."""
        if not 0 < task <= ID_MOST:
            return None
        parameters = {
            "task": task,
            "device_id": None if device_id is None else clean_text(device_id),
            **self._scope.parameters,
        }
        return self._database.fetch_one(self._sql["fetch_task"], parameters, _TASK)

    def fetch_of_device(
        self,
        device_id: str,
        *,
        statuses: tuple[TaskStatus, ...] = (),
        before_id: int | None = None,
        limit: int = 100,
    ) -> tuple[DeviceTask, ...]:
        """The newest tasks of a device whose id is below `before_id`, newest first; of these statuses or of all."""
        parameters = {
            "device_id": clean_text(device_id),
            "statuses": [status.value for status in statuses] or None,
            "before_id": None if before_id is None else min(before_id, ID_MOST),
            "limit": min(max(0, limit), LIMIT_MOST + 1),
            **self._scope.parameters,
        }
        return tuple(self._database.fetch(self._sql["fetch_tasks"], parameters, _TASK))

    def cancel(self, device_id: str, task: int) -> DeviceTask | None:
        """Cancel a task that waits or was sent, and return it; None: the device has no such task.

        What the device was already asked it may still do. Raises TaskFinishedError."""
        if not 0 < task <= ID_MOST:
            return None
        parameters = {
            "device_id": clean_text(device_id),
            "task": task,
            "channel": f"task_{task}",
            **self._scope.parameters,
        }
        with self._database.transaction() as connection:
            # In the order in which a session locks them: first the fault, then the task.
            connection.execute(self._sql["delete_fault_of_task"], parameters)
            cancelled = connection.execute(self._sql["cancel_task"], parameters).rowcount
            with connection.cursor(row_factory=_TASK) as cursor:
                row = cursor.execute(self._sql["fetch_task"], parameters).fetchone()
            if row is not None and not cancelled:
                raise TaskFinishedError(f"the task is {row.status.value} already")
        return row

    def wait(self, created: Created, deadline: Deadline) -> DeviceTask:
        """Wait for the end of a task, and return it as it stands then.

        That is also when it waits after a fault for longer than `deadline`, when the connection request that goes with
        it has failed, or when `deadline` passes. Raises DeletedError when the task is no more."""
        keys = (task_key(created.task), *((request_key(created.request),) if created.request is not None else ()))
        return wait_for(
            self._waiters,
            keys,
            lambda: self.fetch(created.task),
            lambda row: row.status.finished or self._in_vain(row, created.request, deadline),
            deadline,
        )

    def _in_vain(self, row: DeviceTask, request: int | None, deadline: Deadline) -> bool:
        if row.status is not TaskStatus.PENDING:
            return False
        latest = wall() + timedelta(seconds=deadline.remaining_seconds)
        if row.not_before is not None and row.not_before > latest:
            return True
        asked = self._requests.fetch(request) if request is not None else None
        return asked is not None and asked.state is RequestState.FAILED

    def _check(self, cursor: psycopg.Cursor[Any], device: int, arguments: Arguments) -> None:
        if isinstance(arguments, Download) and arguments.file:
            name = clean_text(arguments.file)
            if cursor.execute(self._sql["lock_file"], {"name": name}).fetchone() is None:
                raise UnknownFileError(f"there is no file {name!r}: add it first")
        waiting = cursor.execute(self._sql["count_pending"], {"device": device}).fetchone() or 0
        if waiting >= PENDING_MOST:
            raise QueueFullError(f"{waiting} tasks wait for this device already")


def _make_task(**columns: Any) -> DeviceTask:
    return DeviceTask(
        **{
            **columns,
            "arguments": show_object(columns["arguments"]),
            "result": None if columns["result"] is None else show_object(columns["result"]),
            "status": TaskStatus(columns["status"]),
        }
    )


_TASK = kwargs_row(_make_task)
