"""Who changed what, when, from where, and how it went."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg.rows import kwargs_row, scalar_row

from agent.core.errors import TransientError
from agent.store.database import Database
from agent.store.documents import clean_text, render_object, show_object
from agent.store.rows import AuditRow, Principal
from agent.store.statements import statements

logger = logging.getLogger(__name__)

LIMIT_MOST = 1001
EXPORT_PAGE = 1000
EXPORT_MOST = 1_000_000
TARGET_MOST = 1000


class Outcome(StrEnum):
    """How a change went."""

    DONE = "done"
    REFUSED = "refused"
    """It was not allowed, or made no sense."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Whoever made it has not come to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which rows: those that match everything that is given."""

    principal: str | None = None
    action: str | None = None
    """This one, or all that begin with it and a dot: `device` is every change of a device."""
    target: str | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    """Somewhere in the row, whatever the case."""


class AuditLog:
    """The tables `audit_log` and `audit_outcomes`, which are only ever added to.

    All methods raise TransientError when the database cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("audit")

    def write(
        self,
        principal: Principal,
        action: str,
        target: str,
        details: dict[str, Any] | None = None,
        *,
        before: dict[str, Any] | None = None,
        address: str | None = None,
        outcome: Outcome | None = None,
    ) -> int:
        """Add a row and return its id: `principal` does `action` (such as `modem.disable`) to `target` (a serial).

        Call it before the change: what nobody can account for is worse than an entry for what failed. `details` and
        `before` must hold no secret."""
        written = self._database.fetch_one(
            self._sql["write_audit"],
            {
                "principal": clean_text(principal.name),
                "kind": principal.kind.value,
                "role": principal.role.value,
                "address": address,
                "action": clean_text(action),
                "target": clean_text(target)[:TARGET_MOST],
                "details": render_object(details or {}),
                "before": None if before is None else render_object(before),
                "outcome": None if outcome is None else outcome.value,
            },
            scalar_row,
        )
        assert isinstance(written, int)
        return written

    def close(self, audit_id: int, outcome: Outcome, code: str = "", after: dict[str, Any] | None = None) -> None:
        """Say how it went, once: the first word counts."""
        parameters = {
            "id": audit_id,
            "outcome": outcome.value,
            "code": clean_text(code)[:100],
            "after": None if after is None else render_object(after),
        }
        self._database.execute(self._sql["write_outcome"], parameters)

    def fetch(
        self, before_id: int | None = None, limit: int = 100, wanted: AuditFilter | None = None
    ) -> tuple[AuditRow, ...]:
        """The newest rows that match and whose id is below `before_id`, newest first."""
        chosen = wanted or AuditFilter()
        parameters = {
            "before_id": before_id,
            "limit": min(max(0, limit), LIMIT_MOST),
            "principal": chosen.principal and clean_text(chosen.principal),
            "action": chosen.action and clean_text(chosen.action),
            "target": chosen.target and clean_text(chosen.target),
            "outcome": chosen.outcome and chosen.outcome.value,
            "since": chosen.since,
            "until": chosen.until,
            "text": chosen.text and clean_text(chosen.text),
        }
        return tuple(self._database.fetch(self._sql["fetch_audit"], parameters, kwargs_row(_make_audit)))

    def export(self, wanted: AuditFilter) -> Iterator[AuditRow]:
        """Every row that matches, newest first, page by page; at most a million."""
        before_id: int | None = None
        for _ in range(EXPORT_MOST // EXPORT_PAGE):
            page = self.fetch(before_id, EXPORT_PAGE, wanted)
            yield from page
            if len(page) < EXPORT_PAGE:
                return
            before_id = page[-1].id

    def retire(self, days: int) -> int:
        """Make the next months' partitions, drop those older than `days` (at least 90); how many went."""
        return self._database.fetch_one(self._sql["maintain_audit_partitions"], {"days": days}, scalar_row) or 0

    def trail(self, address: str | None) -> AuditTrail:
        """The log, as one request writes it."""
        return AuditTrail(self._database, address)


class AuditTrail(AuditLog):
    """What one request changes: where it came from, and in the end how it went. For one thread."""

    def __init__(self, database: Database, address: str | None) -> None:
        super().__init__(database)
        self._address = address
        self._open: dict[int, dict[str, Any] | None] = {}

    def write(
        self,
        principal: Principal,
        action: str,
        target: str,
        details: dict[str, Any] | None = None,
        *,
        before: dict[str, Any] | None = None,
        address: str | None = None,
        outcome: Outcome | None = None,
    ) -> int:
        written = super().write(
            principal, action, target, details, before=before, address=address or self._address, outcome=outcome
        )
        if outcome is None:
            self._open[written] = None
        return written

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits for its outcome."""
        return not self._open

    def after(self, state: dict[str, Any]) -> None:
        """Keep what is now, for the change that was written last; no secret."""
        if self._open:
            self._open[next(reversed(self._open))] = state

    def end(self, outcome: Outcome, code: str = "") -> None:
        """Say how everything went. When it cannot be written, the log says so: the change itself has been made."""
        open_, self._open = self._open, {}
        for audit_id, after in open_.items():
            try:
                self.close(audit_id, outcome, code, after)
            except TransientError as error:
                extra = {"AUDIT": audit_id, "OUTCOME": outcome.value, "ERROR": str(error)}
                logger.warning("the outcome of a change is not in the audit log", extra=extra)


def _make_audit(**columns: Any) -> AuditRow:
    documents = {
        name: None if columns[name] is None else show_object(columns[name]) for name in ("details", "before", "after")
    }
    return AuditRow(**{**columns, **documents})
