"""Alerts as operators look at them: lists, acknowledgements, silences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import kwargs_row, scalar_row

from agent.alert.model import AlertState, RuleKind, Severity, Subject, SubjectKind
from agent.core.errors import ConfigError
from agent.store.alert_rows import AlertRow, OpenCount, SilenceRow
from agent.store.database import Database, first_line
from agent.store.documents import clean_text
from agent.store.scoping import Scoped
from agent.store.statements import statements

LIMIT_MOST = 1001
BATCH_ROWS = 2000
BATCHES_MOST = 200
ID_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFilter:
    """Which alerts: those that match everything that is given."""

    states: Sequence[AlertState] | None = (AlertState.OPEN,)
    severities: Sequence[Severity] | None = None
    kind: RuleKind | None = None
    subject: str | None = None


class Alerts(Scoped):
    """The tables `alerts` and `alert_silences`. All methods raise TransientError when PostgreSQL cannot be reached."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("alerts")

    def fetch_page(
        self, wanted: AlertFilter | None = None, *, before_id: int | None = None, limit: int = 100
    ) -> tuple[AlertRow, ...]:
        """The newest alerts that match and whose id is below `before_id`, newest first."""
        chosen = wanted or AlertFilter()
        return self._fetch(
            states=None if chosen.states is None else [state.value for state in chosen.states],
            severities=None if chosen.severities is None else [each.value for each in chosen.severities],
            kind=chosen.kind and chosen.kind.value,
            subject=chosen.subject and clean_text(chosen.subject),
            before_id=before_id,
            limit=min(max(0, limit), LIMIT_MOST),
        )

    def fetch(self, alert_id: int) -> AlertRow | None:
        """One alert; None when there is none of that id."""
        found = self._fetch(id=min(alert_id, ID_MOST), limit=1)
        return found[0] if found else None

    def count_open(self) -> tuple[OpenCount, ...]:
        """Open alerts by severity, the worst first; severities without any are left out."""
        rows = self._database.fetch(self._sql["count_open"], self._scope.parameters, kwargs_row(_make_count))
        return tuple(sorted(rows, key=lambda row: -row.severity.rank))

    def count_waiting(self) -> int:
        """Messages that were not delivered yet."""
        return self._database.fetch_one(self._sql["count_waiting"], {}, scalar_row) or 0

    def acknowledge(self, alert_id: int, by: str, note: str = "") -> AlertRow | None:
        """Somebody looks after it: it reminds nobody any more. None when there is no such alert, or it is not open."""
        return self._change("acknowledge", alert_id, by=clean_text(by), note=clean_text(note)[:1000])

    def withdraw_acknowledgement(self, alert_id: int) -> AlertRow | None:
        """Nobody looks after it any more. None when there is no such alert, or it is not open."""
        return self._change("withdraw_acknowledgement", alert_id)

    def silence(
        self, *, rule_id: int | None, subject: Subject | None, until: datetime, reason: str, by: str
    ) -> SilenceRow:
        """Tell nobody until then of alerts of this rule and subject (None: of any). ConfigError when there is no such
        rule."""
        row = {
            "rule_id": rule_id,
            "subject_kind": subject and subject.kind.value,
            "subject": subject and clean_text(subject.name),
            "host": subject and subject.host,
            "until": until,
            "reason": clean_text(reason)[:1000],
            "by": clean_text(by),
        }
        try:
            made = self._database.fetch_one(self._sql["add_silence"], row, scalar_row)
        except psycopg.errors.ForeignKeyViolation as exc:
            raise ConfigError(f"there is no rule {rule_id}") from exc
        except (psycopg.DataError, psycopg.IntegrityError) as exc:
            raise ConfigError(f"the silence is refused: {first_line(exc)}") from exc
        parameters = {"id": made, "scope_hosts": None, "scope_tags": None}
        found = self._database.fetch_one(self._sql["list_silences"], parameters, kwargs_row(_make_silence))
        if found is None:
            raise ConfigError("a silence must end in the future")
        return found

    def list_silences(self) -> tuple[SilenceRow, ...]:
        """Those in force, the one that ends next first."""
        parameters = {"id": None, **self._scope.parameters}
        return tuple(self._database.fetch(self._sql["list_silences"], parameters, kwargs_row(_make_silence)))

    def fetch_silence(self, silence_id: int) -> SilenceRow | None:
        """One that is in force."""
        parameters = {"id": min(silence_id, ID_MOST), **self._scope.parameters}
        return self._database.fetch_one(self._sql["list_silences"], parameters, kwargs_row(_make_silence))

    def end_silence(self, silence_id: int) -> bool:
        """False when there is none of that id in force."""
        if self.fetch_silence(silence_id) is None:
            return False
        return self._database.execute(self._sql["end_silence"], {"id": silence_id}) > 0

    def retire(self, days: int) -> int:
        """Forget alerts that were closed so long ago, and what became of telling (after 30 days at most)."""
        gone = self._database.execute(self._sql["delete_silences"], {})
        for name in ("delete_deliveries", "delete_alerts"):
            for _ in range(BATCHES_MOST):
                batch = self._database.execute(self._sql[name], {"days": days, "rows": BATCH_ROWS})
                gone += batch
                if batch < BATCH_ROWS:
                    break
        return gone

    def _change(self, name: str, alert_id: int, **values: object) -> AlertRow | None:
        if self.fetch(alert_id) is None:
            return None
        with self._database.transaction() as connection:
            if not connection.execute(self._sql[name], {"id": alert_id, **values}).rowcount:
                return None
            connection.execute(self._sql["emit_event"], {"id": alert_id, "kind": "alert_changed"})
        return self.fetch(alert_id)

    def _fetch(self, **given: object) -> tuple[AlertRow, ...]:
        parameters: dict[str, object] = dict.fromkeys(("id", "states", "severities", "kind", "subject", "before_id"))
        parameters.update(given)
        parameters.update(self._scope.parameters)
        return tuple(self._database.fetch(self._sql["fetch_page"], parameters, kwargs_row(_make_alert)))


def _make_alert(**columns: Any) -> AlertRow:
    return AlertRow(
        **{
            **columns,
            "kind": RuleKind(columns["kind"]),
            "severity": Severity(columns["severity"]),
            "subject_kind": SubjectKind(columns["subject_kind"]),
            "state": AlertState(columns["state"]),
        }
    )


def _make_count(**columns: Any) -> OpenCount:
    return OpenCount(**{**columns, "severity": Severity(columns["severity"])})


def _make_silence(**columns: Any) -> SilenceRow:
    kind = columns["subject_kind"]
    return SilenceRow(**{**columns, "subject_kind": None if kind is None else SubjectKind(kind)})
