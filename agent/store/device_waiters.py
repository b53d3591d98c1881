"""Who waits for tasks and connection requests, and how long such a wait lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from agent.core.clock import Deadline
from agent.core.errors import ProtocolError, TransientError
from agent.store.database import Database
from agent.store.device_errors import DeletedError
from agent.store.documents import read_object
from agent.store.listen import CONNECTION_REQUEST, TASK_CHANGE
from agent.store.waiting import RESYNC_SECONDS, Key, Waiters

Row = TypeVar("Row")


def make_waiters(database: Database) -> Waiters:
    """Those for tasks and connection requests; to be closed by who makes them."""
    return Waiters(database, {TASK_CHANGE: _field("task"), CONNECTION_REQUEST: _field("id")}, name="devices")


def task_key(task: int) -> Key:
    return TASK_CHANGE, str(task)


def request_key(request: int) -> Key:
    return CONNECTION_REQUEST, str(request)


def wait_for(
    waiters: Waiters,
    keys: tuple[Key, ...],
    fetch: Callable[[], Row | None],
    settled: Callable[[Row], bool],
    deadline: Deadline,
) -> Row:
    """Look until the row is settled or `deadline` passes, and return it as it stands then; wake up by `keys`.

    Raises DeletedError when there is no such row, TransientError when it could not be read at the deadline."""
    with waiters.waiting_for(*keys) as changed:
        while True:
            row = _fetch_patiently(fetch, deadline)
            if deadline.passed or settled(row):
                return row
            changed.wait(deadline.earlier(RESYNC_SECONDS).remaining_seconds)
            changed.clear()


def _fetch_patiently(fetch: Callable[[], Row | None], deadline: Deadline) -> Row:
    while True:
        try:
            row = fetch()
        except TransientError:
            if deadline.passed:
                raise
            threading.Event().wait(deadline.earlier(0.5).remaining_seconds)
            continue
        if row is None:
            raise DeletedError("what is waited for has been deleted")
        return row


def _field(name: str) -> Callable[[str], str]:
    def read(payload: str) -> str:
        try:
            return str(read_object(payload).get(name, ""))
        except ProtocolError:
            # Anybody may NOTIFY; it is nobody's row.
            return ""

    return read
