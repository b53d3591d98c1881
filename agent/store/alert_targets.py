"""Whom alerts are told: targets, tests, and what became of telling them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import kwargs_row, scalar_row

from agent.alert.messages import Message, payload_of
from agent.alert.model import Event, Severity, SubjectKind
from agent.core.clock import Deadline, wall
from agent.core.errors import ConfigError
from agent.store.alert_rows import DeliveryRow, DeliveryState, TargetKind, TargetRow
from agent.store.alert_rules import NameTakenError
from agent.store.database import Database, first_line
from agent.store.documents import clean_text, read_object, render_object
from agent.store.listen import ALERT_DELIVERY
from agent.store.statements import statements
from agent.store.waiting import RESYNC_SECONDS, Waiters

TARGETS_MOST = 100
SECRET_BYTES = 32
ID_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDraft:
    """A target as it shall be. `settings` were checked by who asks (agent.web.schemas_alerts)."""

    name: str
    kind: TargetKind
    settings: Mapping[str, Any]
    least_severity: Severity = Severity.INFO
    enabled: bool = True
    secret: str | None = None
    """What a webhook is signed with; None: as before, or a new random one."""


class AlertTargets:
    """The tables `alert_targets` and `alert_deliveries`, as people use them. All methods raise TransientError when
    PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiters = Waiters(
            database, {ALERT_DELIVERY: lambda payload: str(read_object(payload).get("id"))}, name="alerts"
        )
        self._sql = statements("alert_targets")

    def close(self) -> None:
        """Stop waiting; the database stays open."""
        self._waiters.close()

    def list(self) -> tuple[TargetRow, ...]:
        """Every target, by name."""
        return tuple(self._database.fetch(self._sql["list"], {"id": None}, kwargs_row(_make_target)))

    def fetch(self, target_id: int) -> TargetRow | None:
        """One target."""
        return self._database.fetch_one(self._sql["list"], {"id": min(target_id, ID_MOST)}, kwargs_row(_make_target))

    def add(self, draft: TargetDraft, by: str) -> TargetRow:
        """A new target; a webhook gets a secret. Raises NameTakenError, ConfigError when it makes no sense."""
        if len(self.list()) >= TARGETS_MOST:
            raise ConfigError(f"there can be {TARGETS_MOST} targets")
        secret = draft.secret or (secrets.token_urlsafe(SECRET_BYTES) if draft.kind is TargetKind.WEBHOOK else None)
        row = {**_row(draft), "kind": draft.kind.value, "secret": secret, "by": clean_text(by)}
        try:
            made = self._database.fetch_one(self._sql["add"], row, scalar_row)
        except psycopg.errors.UniqueViolation as exc:
            raise NameTakenError(f"there is a target {draft.name!r} already") from exc
        except (psycopg.DataError, psycopg.IntegrityError) as exc:
            raise ConfigError(f"the target is refused: {first_line(exc)}") from exc
        assert isinstance(made, int)
        found = self.fetch(made)
        assert found is not None
        return found

    def change(self, target_id: int, draft: TargetDraft) -> TargetRow | None:
        """Make a target another one of its kind. None: there is no such target."""
        row = {**_row(draft), "secret": draft.secret, "id": min(target_id, ID_MOST)}
        try:
            if not self._database.execute(self._sql["change"], row):
                return None
        except psycopg.errors.UniqueViolation as exc:
            raise NameTakenError(f"there is a target {draft.name!r} already") from exc
        except (psycopg.DataError, psycopg.IntegrityError) as exc:
            raise ConfigError(f"the target is refused: {first_line(exc)}") from exc
        return self.fetch(target_id)

    def remove(self, target_id: int) -> bool:
        """Forget a target, and what it was to be told; rules that name it tell the others. False: there is none."""
        with self._database.transaction() as connection:
            parameters = {"id": min(target_id, ID_MOST)}
            connection.execute(self._sql["forget_in_rules"], parameters)
            return connection.execute(self._sql["remove"], parameters).rowcount > 0

    def add_test(self, target_id: int, by: str) -> int:
        """Queue a message that says that it is a test; the id of its delivery."""
        message = Message(
            event=Event.TEST,
            at=wall(),
            alert_id=None,
            rule="",
            kind=None,
            severity=Severity.INFO,
            subject_kind=SubjectKind.FLEET,
            subject="test",
            host=None,
            summary=f"lastmile can tell you of alerts; {by} has tried it",
            value=None,
            opened_at=None,
            closed_at=None,
        )
        row = {"target_id": target_id, "payload": render_object(payload_of(message))}
        made = self._database.fetch_one(self._sql["add_test"], row, scalar_row)
        assert isinstance(made, int)
        return made

    def await_delivery(self, delivery_id: int, deadline: Deadline) -> DeliveryRow | None:
        """Wait until it was tried, or `deadline` passes; the row as it stands then. None: its target is gone."""
        with self._waiters.waiting_for((ALERT_DELIVERY, str(delivery_id))) as tried:
            while True:
                row = self._database.fetch_one(
                    self._sql["fetch_delivery"], {"id": delivery_id}, kwargs_row(_make_delivery)
                )
                # One that failed once says why, although it is tried again.
                if row is None or row.state is not DeliveryState.PENDING or row.reason or deadline.passed:
                    return row
                tried.wait(deadline.earlier(RESYNC_SECONDS).remaining_seconds)
                tried.clear()

    def list_deliveries(
        self, target_id: int, *, before_id: int | None = None, limit: int = 50
    ) -> tuple[DeliveryRow, ...]:
        """What became of telling this target, the newest first."""
        parameters = {"target_id": min(target_id, ID_MOST), "before_id": before_id, "limit": min(limit, 1001)}
        return tuple(self._database.fetch(self._sql["list_deliveries"], parameters, kwargs_row(_make_delivery)))


def _row(draft: TargetDraft) -> dict[str, Any]:
    return {
        "name": clean_text(draft.name),
        "settings": render_object(dict(draft.settings)),
        "least_severity": draft.least_severity.value,
        "enabled": draft.enabled,
    }


def _make_target(**columns: Any) -> TargetRow:
    last = columns["last_state"]
    return TargetRow(
        **{
            **columns,
            "kind": TargetKind(columns["kind"]),
            "least_severity": Severity(columns["least_severity"]),
            "last_state": None if last is None else DeliveryState(last),
        }
    )


def _make_delivery(**columns: Any) -> DeliveryRow:
    return DeliveryRow(**{**columns, "event": Event(columns["event"]), "state": DeliveryState(columns["state"])})
