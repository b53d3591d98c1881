"""Connection requests as the worker carries them out: claimed by one worker at a time, and given back when it dies."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.rows import class_row, scalar_row

from agent.store.database import Database
from agent.store.documents import clean_text
from agent.store.statements import statements

CLAIM_SECONDS = 60.0
"""A worker that has not said anything for so long has died; another one takes its calls over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A connection request that is due, and is this worker's to carry out."""

    id: int
    device_id: str
    url: str | None
    attempts: int
    """This one included."""


class Calls:
    """All methods raise TransientError when PostgreSQL cannot be reached in time. What is said of a call that another
    worker has taken over is not heard."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("calls")

    def claim(self, most: int) -> tuple[Call, ...]:
        """Calls that are due now, at most so many."""
        parameters = {"rows": most, "claim": CLAIM_SECONDS}
        return tuple(self._database.fetch(self._sql["claim_calls"], parameters, class_row(Call)))

    def accepted(self, call: Call, wait_seconds: float) -> None:
        """The device has taken it: its session must come within the time."""
        self._run("call_accepted", call, "", wait=wait_seconds)

    def again(self, call: Call, reason: str, wait_seconds: float) -> None:
        """Try once more after the time."""
        self._run("call_again", call, reason, wait=wait_seconds)

    def failed(self, call: Call, reason: str) -> None:
        """It cannot be done."""
        self._run("call_failed", call, reason)

    def give_up_unanswered(self, attempts: int) -> int:
        """Ask again, or fail after so many attempts, where the session did not come in time, and fail where the worker
        of the last attempt has died; how many there were."""
        return self._database.execute(self._sql["claim_unanswered"], {"attempts": attempts})

    def seconds_to_next(self) -> float | None:
        """When something is due, from now on, perhaps negative; None while nothing is open."""
        return self._database.fetch_one(self._sql["seconds_to_next_call"], {}, scalar_row)

    def _run(self, name: str, call: Call, reason: str, **parameters: float) -> None:
        of_call = {"id": call.id, "attempts": call.attempts, "reason": clean_text(reason)[:500]}
        self._database.execute(self._sql[name], {**of_call, **parameters})
