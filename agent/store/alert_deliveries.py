"""Messages as the worker delivers them: claimed by one worker at a time, and given back when it dies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import kwargs_row, scalar_row

from agent.store.alert_rows import DeliveryState, TargetKind
from agent.store.database import Database
from agent.store.documents import clean_text
from agent.store.statements import statements

CLAIM_SECONDS = 180.0
"""A worker that has not said anything for so long has died; another one delivers again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a message goes."""

    target_id: int
    kind: TargetKind
    settings: Mapping[str, Any]
    secret: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message that is due, and is this worker's to deliver."""

    id: int
    destination: Destination
    payload: dict[str, Any]
    attempts: int
    """This one included."""
    created_at: datetime
    enabled: bool
    """Whether its target still wants it."""


class AlertDeliveries:
    """All methods raise TransientError when PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("alert_deliveries")

    def claim(self, most: int) -> tuple[Delivery, ...]:
        """Deliveries that are due now, at most so many, oldest first."""
        parameters = {"limit": most, "seconds": CLAIM_SECONDS}
        return tuple(self._database.fetch(self._sql["claim"], parameters, kwargs_row(_make)))

    def finish(self, ids: Sequence[int], state: DeliveryState, reason: str = "") -> None:
        """They are over."""
        row = {"ids": list(ids), "state": state.value, "reason": clean_text(reason)[:500]}
        self._database.execute(self._sql["finish"], row)

    def again(self, target_id: int, ids: Sequence[int], reason: str, wait_seconds: float) -> None:
        """Try them, and what else waits for this target, once more after the time."""
        row = {"ids": list(ids), "reason": clean_text(reason)[:500], "wait": wait_seconds}
        self._database.execute(self._sql["again"], row)
        self._database.execute(self._sql["postpone_others"], {"target_id": target_id, "wait": wait_seconds})

    def seconds_to_next(self) -> float | None:
        """When something is due, from now on, perhaps negative; None while nothing waits."""
        return self._database.fetch_one(self._sql["seconds_to_next"], {}, scalar_row)


def make_destination(columns: dict[str, Any]) -> Destination:
    """Out of a row of `alert_targets`."""
    return Destination(
        target_id=columns["target_id"],
        kind=TargetKind(columns["kind"]),
        settings=columns["settings"],
        secret=columns["secret"],
    )


def _make(**columns: Any) -> Delivery:
    return Delivery(
        id=columns["id"],
        destination=make_destination(columns),
        payload=columns["payload"],
        attempts=columns["attempts"],
        created_at=columns["created_at"],
        enabled=columns["enabled"],
    )
