"""A statement that runs thousands of times a second: prepared once per connection, and run by libpq in one blocking
call instead of psycopg's cursors, which cost as much as everything else in such a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.pq import ExecStatus

from agent.core.errors import InvariantError
from agent.store.database import Database

_PREPARED = "_lastmile_prepared"


class HotCall:
    """One statement with parameters $1, $2, …; all of them, and all that comes back, in PostgreSQL's text format."""

    def __init__(self, database: Database, name: str, statement: bytes) -> None:
        self._database = database
        self._name = name.encode()
        self._statement = statement

    def fetch_one(self, parameters: Sequence[bytes | None]) -> tuple[bytes | None, ...]:
        """The one row of the statement, in a transaction of its own; errors are those of `Database`."""
        with self._database.connection() as connection:
            pgconn = connection.pgconn
            prepared: set[bytes] | None = getattr(connection, _PREPARED, None)
            if prepared is None:
                prepared = set()
                setattr(connection, _PREPARED, prepared)
            if self._name not in prepared:
                _raise_for(pgconn.prepare(self._name, self._statement), connection)
                prepared.add(self._name)
            # The types of psycopg leave out that a parameter may be null.
            result = pgconn.exec_prepared(self._name, parameters)  # type: ignore[arg-type]
            _raise_for(result, connection)
            if result.ntuples != 1:
                raise InvariantError(f"{self._name.decode()} gave {result.ntuples} rows")
            return tuple(result.get_value(0, column) for column in range(result.nfields))


def _raise_for(result: Any, connection: psycopg.Connection[Any]) -> None:
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        raise psycopg.errors.error_from_result(result, encoding=connection.info.encoding)


def text(value: str | None) -> bytes | None:
    """A text, or null."""
    return None if value is None else value.encode()


def number(value: float | None) -> bytes | None:
    """A number, or null."""
    return None if value is None else repr(value).encode()


def truth(value: bool) -> bytes:
    """A boolean."""
    return b"t" if value else b"f"


def text_array(values: Sequence[str]) -> bytes:
    """A text[] (PostgreSQL §8.15.2)."""
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return ("{" + ",".join(quoted) + "}").encode()
