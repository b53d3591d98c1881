"""What must happen to sessions and tasks although nobody asks for it: silent sessions end, old things go."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.rows import scalar_row

from agent.store.database import Database
from agent.store.statements import statements

BATCH_ROWS = 500
BATCHES_MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidied:
    """What one round did."""

    sessions_ended: int
    tasks_expired: int


class Housekeeping:
    """For any number of workers on any number of hosts: they take turns row by row. All methods raise TransientError
    when PostgreSQL cannot be reached in time; what was done by then stays done."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("housekeeping")

    def tidy(self, *, idle_seconds: float, nonce_seconds: float) -> Tidied:
        """End the sessions whose CPE has been silent, expire tasks whose time is over, forget old nonces."""
        ended = 0
        for _ in range(BATCHES_MOST):
            parameters = {"idle": idle_seconds, "rows": BATCH_ROWS}
            batch = self._database.fetch_one(self._sql["end_silent_sessions"], parameters, scalar_row) or 0
            ended += batch
            if batch < BATCH_ROWS:
                break
        expired = self._in_batches("expire_tasks")
        # A nonce that is too old is refused for its age; one that is not may come a last time at its end.
        self._database.execute(self._sql["delete_nonces"], {"seconds": nonce_seconds * 2})
        return Tidied(sessions_ended=ended, tasks_expired=expired)

    def retire(self, *, days: int) -> int:
        """Drop the history and the recorded messages of sessions, finished tasks and connection requests that are older
        than `days`, recordings that have ended, and make the next days' partitions; returns how many rows and
        partitions went."""
        dropped = self._database.fetch_one(self._sql["maintain_session_partitions"], {"days": days}, scalar_row) or 0
        names = ("delete_tasks", "delete_connection_requests", "delete_session_messages", "delete_recordings")
        return int(dropped) + sum(self._in_batches(name, days=days) for name in names)

    def _in_batches(self, name: str, **parameters: int) -> int:
        total = 0
        for _ in range(BATCHES_MOST):
            batch = self._database.execute(self._sql[name], {"rows": BATCH_ROWS, **parameters})
            total += batch
            if batch < BATCH_ROWS:
                break
        return total
