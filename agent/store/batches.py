"""Batches of records written to PostgreSQL exactly once, however often they are tried."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg.rows import scalar_row

from agent.store.database import Database, first_line, many
from agent.store.outbox_file import Record, RecordKind
from agent.store.statements import statements

log = logging.getLogger(__name__)

REFUSALS = (psycopg.DataError, psycopg.IntegrityError, psycopg.NotSupportedError, UnicodeError)
"""The row is at fault, not the database: trying again would not help."""


class BatchWriter:
    """Writes records of `host`'s outbox in the order of their sequences.

    The database remembers up to which sequence of this outbox it has everything, in the transaction that writes the
    rows: a batch repeated after a lost answer writes nothing twice. The outbox's sequences only ever grow.
    """

    def __init__(
        self, database: Database, host: str, outbox: uuid.UUID, set_aside: Callable[[Record, str], None]
    ) -> None:
        self._database = database
        self._who = {"host": host, "outbox": outbox}
        self._set_aside = set_aside
        self._sql = statements("recorder")

    def write(self, records: Sequence[Record]) -> None:
        """Write all of `records`; on return they are in the database, or set aside since it refuses them.

        Raises TransientError when the database cannot be reached; all, some or none are written then."""
        try:
            self._write_together(records)
        except REFUSALS:
            for record in records:
                self._write_alone(record)

    def _write_alone(self, record: Record) -> None:
        reason = self._refusal(record)
        if reason is not None:
            log.error(
                "a row is refused by the database and was set aside",
                extra={"MODEM": str(record.body.get("serial")), "KIND": record.kind.value, "REASON": reason},
            )
            self._set_aside(record, reason)

    def _refusal(self, record: Record) -> str | None:
        try:
            self._write_together((record,))
        except REFUSALS as exc:
            return first_line(exc)
        return None

    def _write_together(self, records: Sequence[Record]) -> None:
        with self._database.transaction() as connection:
            cursor = connection.cursor(row_factory=scalar_row)
            mark = cursor.execute(self._sql["fetch_mark"], self._who).fetchone()
            if mark is None:
                connection.execute(self._sql["make_mark"], self._who)
                mark = 0
            new = [record for record in records if record.sequence > mark]
            if not new:
                return
            many(connection, self._sql["save_log"], self._values(new, RecordKind.LOG))
            reports = self._values(new, RecordKind.REPORT)
            many(connection, self._sql["save_report"], reports)
            many(connection, self._sql["save_sample"], [report for report in reports if report["sample"]])
            many(connection, self._sql["save_result"], self._values(new, RecordKind.RESULT))
            connection.execute(self._sql["save_mark"], {**self._who, "sequence": new[-1].sequence})

    def _values(self, records: Sequence[Record], kind: RecordKind) -> list[dict[str, Any]]:
        host = self._who["host"]
        return [{**record.body, "host": host} for record in records if record.kind is kind]
