"""Asking for connection requests: a row that a worker carries out, so that a device begins a session now."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import kwargs_row, scalar_row

from agent.core.clock import Deadline
from agent.store.database import Database
from agent.store.device_rows import RequestRow, RequestState
from agent.store.device_waiters import request_key, wait_for
from agent.store.documents import clean_text
from agent.store.scoping import Scoped
from agent.store.statements import statements
from agent.store.waiting import Waiters


class ConnectionRequests(Scoped):
    """All methods raise TransientError when PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database, waiters: Waiters) -> None:
        self._database = database
        self._waiters = waiters
        self._sql = statements("connection_requests")

    def ask(self, device_id: str, requested_by: str) -> RequestRow | None:
        """Have a device asked to begin a session, or join the request that is open; None: there is no such device."""
        wanted = {"device_id": clean_text(device_id), **self._scope.parameters}
        with self._database.transaction() as connection:
            with connection.cursor(row_factory=scalar_row) as cursor:
                device = cursor.execute(self._sql["find_device"], wanted).fetchone()
            if device is None:
                return None
            request = insert_request(connection, device, requested_by)
        return self.fetch(request)

    def fetch(self, request: int) -> RequestRow | None:
        """One row of `connection_requests`."""
        return self._database.fetch_one(self._sql["fetch_request"], {"request": request}, _REQUEST)

    def wait(self, request: int, deadline: Deadline) -> RequestRow:
        """Wait until the device has begun its session or could not be asked, or `deadline` passes.

        Raises DeletedError when there is no such request."""
        return wait_for(
            self._waiters,
            (request_key(request),),
            lambda: self.fetch(request),
            lambda row: row.state.finished,
            deadline,
        )


def insert_request(connection: psycopg.Connection[Any], device: int, requested_by: str) -> int:
    """Open a connection request for the device's row, or join the open one, in the caller's transaction; its id."""
    parameters = {"device": device, "requested_by": clean_text(requested_by)}
    with connection.cursor(row_factory=scalar_row) as cursor:
        request = cursor.execute(statements("connection_requests")["ask_device"], parameters).fetchone()
    assert isinstance(request, int)
    return request


def _make_request(**columns: Any) -> RequestRow:
    return RequestRow(**{**columns, "state": RequestState(columns["state"])})


_REQUEST = kwargs_row(_make_request)
