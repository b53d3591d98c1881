"""Rows that wait for the database, on disk, in order and bounded."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from agent.core.errors import ConfigError, TransientError

log = logging.getLogger(__name__)

EPOCH_BITS = 40
SET_ASIDE_MOST = 1000
SCHEMA = """
CREATE TABLE IF NOT EXISTS identity (outbox TEXT NOT NULL, epoch INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS waiting (sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS waiting_kind ON waiting (kind, sequence);
CREATE TABLE IF NOT EXISTS set_aside (
    sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL, error TEXT NOT NULL);
"""


class RecordKind(StrEnum):
    """What a record is; when the outbox is full the oldest of the first kind go first."""

    LOG = "log"
    REPORT = "report"
    RESULT = "result"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row to be written. `sequence` grows for the whole life of an outbox; `body` are the statement's values."""

    sequence: int
    kind: RecordKind
    body: dict[str, Any]


class OutboxFile:
    """An SQLite file at `path` with at most `limit` waiting rows; for one thread at a time.

    A file that is damaged is put aside and begun anew. Methods raise TransientError when the disk fails, ConfigError
    when the file cannot be made.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._path = path
        self._limit = limit
        try:
            self._connection = self._open_or_begin_anew()
        except OSError as exc:
            raise ConfigError(f"the outbox {path} cannot be made: {exc}") from exc
        except sqlite3.Error as exc:
            raise TransientError(f"the outbox {path} cannot be opened: {exc}") from exc
        self.outbox, epoch = self._begin_epoch()
        self.first_sequence = (epoch << EPOCH_BITS) + 1
        """Above every number that an earlier process has used, on disk or not."""
        self.waiting: int = self._connection.execute("SELECT count(*) FROM waiting").fetchone()[0]

    def _open_or_begin_anew(self) -> sqlite3.Connection:
        try:
            return self._open()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            damaged = self._path.with_name(self._path.name + ".damaged")
            log.exception("the outbox is damaged; begun anew", extra={"FILE": str(self._path), "KEPT_AS": str(damaged)})
        self._path.replace(damaged)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        return self._open()

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        # Made first, since SQLite gives its companion files the mode that it finds.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
        connection = sqlite3.connect(self._path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(SCHEMA)
            if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("damaged")
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin_epoch(self) -> tuple[uuid.UUID, int]:
        with self._transaction() as connection:
            row = connection.execute("SELECT outbox, epoch FROM identity").fetchone()
            if row is None:
                row = (str(uuid.uuid4()), 0)
                connection.execute("INSERT INTO identity (outbox, epoch) VALUES (?, ?)", row)
            connection.execute("UPDATE identity SET epoch = ?", (row[1] + 1,))
            return uuid.UUID(row[0]), row[1] + 1

    def append(self, records: Sequence[Record]) -> int:
        """Keep records (numbered above all that are kept) and return how many others were given up for them."""
        rows = [(record.sequence, record.kind.value, json.dumps(record.body)) for record in records]
        with self._transaction() as connection:
            connection.executemany("INSERT INTO waiting (sequence, kind, body) VALUES (?, ?, ?)", rows)
            dropped = self._make_room(connection, self.waiting + len(rows) - self._limit)
        self.waiting += len(rows) - dropped
        return dropped

    def _make_room(self, connection: sqlite3.Connection, excess: int) -> int:
        dropped = 0
        for kind in RecordKind:
            if dropped >= excess:
                break
            dropped += connection.execute(
                "DELETE FROM waiting WHERE sequence IN"
                " (SELECT sequence FROM waiting WHERE kind = ? ORDER BY sequence LIMIT ?)",
                (kind.value, excess - dropped),
            ).rowcount
        return dropped

    def oldest(self, limit: int) -> list[Record]:
        """The records that have waited longest, in order."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT sequence, kind, body FROM waiting ORDER BY sequence LIMIT ?", (limit,)
            ).fetchall()
        return [Record(sequence=row[0], kind=RecordKind(row[1]), body=json.loads(row[2])) for row in rows]

    def remove_through(self, sequence: int) -> None:
        """Forget the records up to and including `sequence`: they are in the database."""
        with self._transaction() as connection:
            self.waiting -= connection.execute("DELETE FROM waiting WHERE sequence <= ?", (sequence,)).rowcount

    def set_aside(self, record: Record, error: str) -> None:
        """Keep a record that the database refuses, for a person to look at; the newest thousand stay."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO set_aside (sequence, kind, body, error) VALUES (?, ?, ?, ?)",
                (record.sequence, record.kind.value, json.dumps(record.body), error),
            )
            connection.execute(
                "DELETE FROM set_aside WHERE sequence NOT IN"
                " (SELECT sequence FROM set_aside ORDER BY sequence DESC LIMIT ?)",
                (SET_ASIDE_MOST,),
            )

    def close(self) -> None:
        self._connection.close()

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection)


class _Transaction:
    """A transaction of SQLite whose errors leave it translated."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as exc:
            raise TransientError(f"the outbox cannot be used: {exc}") from exc
        return self._connection

    def __exit__(self, _: object, exc: BaseException | None, __: object) -> None:
        try:
            if exc is None:
                self._connection.execute("COMMIT")
            elif self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as failed:
            raise TransientError(f"the outbox cannot be used: {failed}") from failed
        if isinstance(exc, sqlite3.Error):
            raise TransientError(f"the outbox cannot be used: {exc}") from exc
