"""What rules are judged by, read within the watcher's turn."""

from __future__ import annotations

from typing import Any, TypeVar

import psycopg
from psycopg.rows import RowFactory, class_row, kwargs_row, scalar_row

from agent.alert.conditions import SIGHTINGS_MOST
from agent.alert.facts import DatabaseFacts, HostFacts, ModemFacts, OverdueDevice
from agent.alert.model import Rule
from agent.modem.model import ModemState
from agent.store.statements import statements

Row = TypeVar("Row")


class AlertFacts:
    """Reads with the connection of a turn."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._sql = statements("alert_facts")

    def fetch_modems(self) -> tuple[ModemFacts, ...]:
        """Every modem."""
        return tuple(self._fetch("fetch_modems", {}, kwargs_row(_make_modem)))

    def fetch_hosts(self) -> tuple[HostFacts, ...]:
        """Every host."""
        return tuple(self._fetch("fetch_hosts", {}, class_row(HostFacts)))

    def fetch_overdue(self, rule: Rule) -> tuple[tuple[OverdueDevice, ...], int]:
        """Devices that should have informed, those with alerts first, and how many there are in all."""
        parameters = {
            "rule_id": rule.id,
            "intervals": rule.number("intervals"),
            "seconds": rule.number("seconds"),
            "tags": None if rule.tags is None else sorted(rule.tags),
            "limit": SIGHTINGS_MOST,
        }
        overdue = tuple(self._fetch("fetch_overdue", parameters, class_row(OverdueDevice)))
        total = len(overdue)
        if total == SIGHTINGS_MOST:
            total = self._count("count_overdue", parameters)
        return overdue, total

    def count_new_faults(self, rule: Rule) -> int:
        """Open faults that have come lately."""
        return self._count("count_new_faults", {"minutes": rule.number("minutes"), **_tags(rule)})

    def count_due_tasks(self, rule: Rule) -> int:
        """Tasks that could be taken up now."""
        return self._count("count_due_tasks", _tags(rule))

    def fetch_database(self) -> DatabaseFacts:
        """How the database fares."""
        return self._fetch("fetch_database", {}, class_row(DatabaseFacts))[0]

    def _fetch(self, name: str, parameters: dict[str, Any], row: RowFactory[Row]) -> list[Row]:
        with self._connection.cursor(row_factory=row) as cursor:
            return cursor.execute(self._sql[name], parameters).fetchall()

    def _count(self, name: str, parameters: dict[str, Any]) -> int:
        return int(self._fetch(name, parameters, scalar_row)[0])


def _tags(rule: Rule) -> dict[str, Any]:
    return {"tags": None if rule.tags is None else sorted(rule.tags)}


def _make_modem(**columns: Any) -> ModemFacts:
    return ModemFacts(**{**columns, "status": ModemState(columns["status"])})
