"""Who changed what, and when."""

from __future__ import annotations

from typing import Any

from psycopg.rows import kwargs_row

from agent.store.database import Database
from agent.store.documents import clean_text, render_object, show_object
from agent.store.rows import AuditRow, Principal
from agent.store.statements import statements


class AuditLog:
    """The table `audit_log`, which is only ever added to."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("audit")

    def write(self, principal: Principal, action: str, target: str, details: dict[str, Any] | None = None) -> None:
        """Add a row: `principal` did `action` (such as `modem.disable`) to `target` (such as a serial).

        `details` must hold no secret. Raises TransientError when the database cannot be reached in time."""
        self._database.execute(
            self._sql["write_audit"],
            {
                "principal": clean_text(principal.name),
                "role": principal.role.value,
                "action": clean_text(action),
                "target": clean_text(target),
                "details": render_object(details or {}),
            },
        )

    def fetch(self, before_id: int | None = None, limit: int = 100) -> tuple[AuditRow, ...]:
        """The newest rows whose id is below `before_id`, newest first."""
        parameters = {"before_id": before_id, "limit": max(0, limit)}
        return tuple(self._database.fetch(self._sql["fetch_audit"], parameters, kwargs_row(_make_audit)))


def _make_audit(**columns: Any) -> AuditRow:
    return AuditRow(**{**columns, "details": show_object(columns["details"])})
