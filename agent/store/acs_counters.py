"""What the workers of the ACS have counted, all together, since PostgreSQL last had to recover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg.rows import class_row

from agent.store.database import Database
from agent.store.statements import statements


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """One series; `label` is empty where there is none."""

    name: str
    label: str
    label_value: str
    value: float


class AcsCounters:
    """All methods raise TransientError when PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("acs_counters")

    def add(self, counts: Mapping[tuple[str, str, str], float]) -> None:
        """Add to the series named by (name, label, label's value)."""
        series = sorted(counts)  # in one order, so that two workers do not wait for each other
        self._database.execute(
            self._sql["add_counts"],
            {
                "names": [name for name, _, _ in series],
                "labels": [label for _, label, _ in series],
                "label_values": [value for _, _, value in series],
                "counts": [counts[each] for each in series],
            },
        )

    def fetch(self) -> tuple[Count, ...]:
        """Every series."""
        return tuple(self._database.fetch(self._sql["fetch_counts"], {}, class_row(Count)))
