"""Rules of alerts as admins make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import kwargs_row, scalar_row

from agent.alert.model import RuleKind, Severity
from agent.alert.parameters import ParameterError, fill_parameters
from agent.core.errors import ConfigError
from agent.store.alert_rows import RuleRow
from agent.store.database import Database, first_line
from agent.store.documents import clean_text, render_object
from agent.store.statements import statements

RULES_MOST = 500
ID_MOST = 2**63 - 1


class NameTakenError(ConfigError):
    """Another one has this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDraft:
    """A rule as it shall be."""

    name: str
    kind: RuleKind
    severity: Severity
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What is left out gets its default."""
    duration_seconds: int = 0
    clear_seconds: int = 60
    repeat_seconds: int = 0
    enabled: bool = True
    hosts: Sequence[str] | None = None
    tags: Sequence[str] | None = None
    targets: Sequence[int] | None = None


class AlertRules:
    """The table `alert_rules`. All methods raise TransientError when PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("alert_rules")

    def list(self) -> tuple[RuleRow, ...]:
        """Every rule, by name."""
        return tuple(self._database.fetch(self._sql["list"], {"id": None}, kwargs_row(_make_rule)))

    def fetch(self, rule_id: int) -> RuleRow | None:
        """One rule."""
        return self._database.fetch_one(self._sql["list"], {"id": min(rule_id, ID_MOST)}, kwargs_row(_make_rule))

    def add(self, draft: RuleDraft, by: str) -> RuleRow:
        """A new rule. Raises NameTakenError, ConfigError when it makes no sense."""
        if len(self.list()) >= RULES_MOST:
            raise ConfigError(f"there can be {RULES_MOST} rules")
        made = self._write("add", {**self._row(draft), "by": clean_text(by)})
        found = self.fetch(made)
        assert found is not None
        return found

    def change(self, rule_id: int, draft: RuleDraft) -> RuleRow | None:
        """Make a rule another one; its alerts go on, or close, as it says now. None: there is no such rule."""
        row = {**self._row(draft), "id": min(rule_id, ID_MOST)}
        try:
            if not self._database.execute(self._sql["change"], row):
                return None
        except psycopg.errors.UniqueViolation as exc:
            raise NameTakenError(f"there is a rule {draft.name!r} already") from exc
        except (psycopg.DataError, psycopg.IntegrityError) as exc:
            raise ConfigError(f"the rule is refused: {first_line(exc)}") from exc
        return self.fetch(rule_id)

    def remove(self, rule_id: int) -> bool:
        """Its alerts close at the watcher's next turn. False: there is no such rule."""
        return self._database.execute(self._sql["remove"], {"id": min(rule_id, ID_MOST)}) > 0

    def _write(self, name: str, row: dict[str, Any]) -> int:
        try:
            made = self._database.fetch_one(self._sql[name], row, scalar_row)
        except psycopg.errors.UniqueViolation as exc:
            raise NameTakenError(f"there is a rule {row['name']!r} already") from exc
        except (psycopg.DataError, psycopg.IntegrityError) as exc:
            raise ConfigError(f"the rule is refused: {first_line(exc)}") from exc
        assert isinstance(made, int)
        return made

    def _row(self, draft: RuleDraft) -> dict[str, Any]:
        try:
            parameters = fill_parameters(draft.kind, draft.parameters)
        except ParameterError as exc:
            raise ConfigError(str(exc)) from exc
        targets = None if draft.targets is None else list(draft.targets)
        if targets:
            missing = self._database.fetch(self._sql["find_missing_targets"], {"targets": targets}, scalar_row)
            if missing:
                raise ConfigError(f"there is no target {missing[0]}")
        return {
            "name": clean_text(draft.name),
            "kind": draft.kind.value,
            "parameters": render_object(parameters),
            "duration_seconds": draft.duration_seconds,
            "clear_seconds": draft.clear_seconds,
            "repeat_seconds": draft.repeat_seconds,
            "severity": draft.severity.value,
            "enabled": draft.enabled,
            "hosts": _names(draft.hosts),
            "tags": _names(draft.tags),
            "targets": targets,
        }


def _names(given: Sequence[str] | None) -> list[str] | None:
    return None if given is None else [clean_text(name) for name in given]


def _make_rule(**columns: Any) -> RuleRow:
    return RuleRow(**{**columns, "kind": RuleKind(columns["kind"]), "severity": Severity(columns["severity"])})
