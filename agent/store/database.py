"""The pool of connections to PostgreSQL, and the translation of its errors."""

from __future__ import annotations

import logging
import select
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, Self, TypeVar

import psycopg
from psycopg.rows import RowFactory, scalar_row
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from agent.core.clock import BackOff, Deadline, Instant, now
from agent.core.errors import AgentError, ConfigError, DeadlineExceeded, InvariantError, TransientError
from agent.store.deadlines import DeadlineKeeper

log = logging.getLogger(__name__)

Row = TypeVar("Row")
Parameters = dict[str, Any]
IMPATIENCE_SECONDS = 0.3
RETRY = BackOff(first_seconds=0.5, factor=2.0, most_seconds=5.0)


class Database:
    """Connections to the PostgreSQL at `url` (libpq connection URI), usable by many threads; opened when first used.

    No call lasts longer than `timeout_seconds`, whatever the server or the network does. After a failure to reach
    the server further calls fail at once for a while (0.5 s, growing to 5 s), so that threads are not held up by a
    database that is known to be away. Every error is TransientError (unreachable, overrun, overtaken) or ConfigError
    (the schema or the privileges are not as they must be).
    """

    def __init__(self, url: str, *, pool_size: int = 4, timeout_seconds: float = 5.0, name: str = "lastmile") -> None:
        self.url = url
        self.timeout_seconds = timeout_seconds
        self.name = name
        # The pool warns at every attempt; `_note_unreachable` says it once.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        self._lock = threading.Lock()
        self._opened = False
        self._failures = 0
        self._away_until: Instant = 0.0
        self._reason = ""
        self._deadlines = DeadlineKeeper(name)
        self._pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
            url,
            connection_class=_reporting_connection(self._note_unreachable),
            kwargs={"autocommit": True, **session_options(name, timeout_seconds)},
            min_size=0,
            max_size=pool_size,
            open=False,
            configure=self._configure,
            check=_refuse_stale,
            name=name,
            timeout=timeout_seconds,
            max_idle=300.0,
            reconnect_timeout=min(1.0, timeout_seconds),
            num_workers=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def away(self) -> bool:
        """Whether the last attempt did not reach the server."""
        return self._failures > 0

    def close(self) -> None:
        """Close all connections; the database cannot be used any more."""
        self._pool.close(timeout=self.timeout_seconds)
        self._deadlines.close()

    def fetch(self, statement: bytes, parameters: Parameters, row: RowFactory[Row]) -> list[Row]:
        """Return all rows of one statement, run in a transaction of its own."""
        with self.connection() as connection, connection.cursor(row_factory=row) as cursor:
            return cursor.execute(statement, parameters).fetchall()

    def fetch_one(self, statement: bytes, parameters: Parameters, row: RowFactory[Row]) -> Row | None:
        """Return the first row of one statement, run in a transaction of its own; None when it has none."""
        with self.connection() as connection, connection.cursor(row_factory=row) as cursor:
            return cursor.execute(statement, parameters).fetchone()

    def execute(self, statement: bytes, parameters: Parameters) -> int:
        """Run one statement in a transaction of its own and return how many rows it concerned."""
        with self.connection() as connection:
            return connection.execute(statement, parameters).rowcount

    def ping(self) -> None:
        """Return when the server answers; raise TransientError when it does not."""
        self.fetch_one(b"SELECT 1", {}, scalar_row)

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection inside a transaction that is committed at the end; for this room only."""
        with self.connection() as connection, connection.transaction():
            yield connection

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection in autocommit mode, for this room only; psycopg's errors leave it translated.

        DataError and IntegrityError are the caller's: a statement that the server refused because of its values."""
        deadline = Deadline.after(self.timeout_seconds)
        self._enter_gate()
        try:
            with self._checked_out(deadline) as connection, self._deadlines.watch(connection, deadline):
                yield connection
        except AgentError:
            raise
        except (psycopg.DataError, psycopg.IntegrityError):
            raise
        except psycopg.Error as exc:
            self._raise_translated(exc, deadline)

    @contextmanager
    def _checked_out(self, deadline: Deadline) -> Iterator[psycopg.Connection[Any]]:
        connection = self._take(deadline)
        self._note_reached()
        try:
            yield connection
        finally:
            self._pool.putconn(connection)

    def _take(self, deadline: Deadline) -> psycopg.Connection[Any]:
        failures = self._failures
        while True:
            try:
                return self._pool.getconn(timeout=deadline.earlier(IMPATIENCE_SECONDS).remaining_seconds)
            except PoolTimeout:
                # The pool would go on trying until the deadline; a refused connection is answer enough.
                if deadline.passed or self._failures > failures:
                    raise

    def _enter_gate(self) -> None:
        with self._lock:
            if not self._opened:
                self._pool.open(wait=False)
                self._opened = True
            if self._failures and now() < self._away_until:
                raise TransientError(f"PostgreSQL is away: {self._reason}")
            if self._failures:
                # This call finds out whether it is back; the others need not wait for that.
                self._away_until = now() + self.timeout_seconds

    def _note_reached(self) -> None:
        with self._lock:
            back, self._failures = self._failures > 0, 0
        if back:
            log.info("PostgreSQL is back", extra={"DATABASE": self.name})

    def _note_unreachable(self, reason: str) -> None:
        with self._lock:
            first = self._failures == 0
            self._away_until = now() + RETRY.wait_seconds(self._failures)
            self._failures += 1
            self._reason = reason
        if first:
            log.warning("PostgreSQL is away", extra={"DATABASE": self.name, "REASON": reason})

    def _raise_translated(self, exc: psycopg.Error, deadline: Deadline) -> NoReturn:
        match exc:
            case PoolClosed():
                raise TransientError("the connection pool is closed") from exc
            case PoolTimeout() | TooManyRequests():
                if self.away:
                    raise TransientError(f"PostgreSQL is away: {self._reason}") from exc
                raise DeadlineExceeded(f"no connection became free within {self.timeout_seconds:g} s") from exc
            case psycopg.errors.QueryCanceled() | psycopg.errors.LockNotAvailable():
                raise DeadlineExceeded(f"PostgreSQL did not finish within {self.timeout_seconds:g} s") from exc
            case psycopg.errors.DeadlockDetected() | psycopg.errors.SerializationFailure():
                raise TransientError(first_line(exc)) from exc
            case psycopg.OperationalError() | psycopg.InterfaceError():
                reason = f"no answer within {self.timeout_seconds:g} s" if deadline.passed else first_line(exc)
                self._note_unreachable(reason)
                raise TransientError(f"PostgreSQL is away: {reason}") from exc
        raise_refusal(exc)

    def _configure(self, connection: psycopg.Connection[Any]) -> None:
        # Shorter than the deadline of the call, so that a slow statement does not pass for a dead server.
        milliseconds = str(max(1, int(self.timeout_seconds * 800)))
        connection.execute(
            b"SELECT set_config('statement_timeout', %(limit)s, false), set_config('lock_timeout', %(limit)s, false),"
            b" set_config('TimeZone', 'UTC', false)",
            {"limit": milliseconds},
        )


def session_options(name: str, timeout_seconds: float) -> dict[str, Any]:
    """libpq options that bound how long a dead peer goes unnoticed."""
    return {
        "application_name": name,
        "connect_timeout": max(2, round(timeout_seconds)),
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": max(1000, int(timeout_seconds * 1000)),
    }


def raise_refusal(exc: psycopg.Error) -> NoReturn:
    """Translate an error by which the server refuses a statement that should have been good."""
    match exc:
        case psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedColumn() | psycopg.errors.UndefinedFunction():
            raise ConfigError(
                f"the database's schema is not this program's ({first_line(exc)}); run: lastmile migrate"
            ) from exc
        case psycopg.errors.InsufficientPrivilege():
            raise ConfigError(f"the database refuses: {first_line(exc)}") from exc
        case psycopg.errors.ReadOnlySqlTransaction():
            raise TransientError("this PostgreSQL is a standby: read only") from exc
    raise InvariantError(f"PostgreSQL refused a statement: {first_line(exc)}") from exc


def first_line(exc: BaseException) -> str:
    """The first line of an error's text: the rest is detail that may hold values."""
    return next(iter(str(exc).strip().splitlines()), type(exc).__name__)


def _refuse_stale(connection: psycopg.Connection[Any]) -> None:
    """Refuse a pooled connection that its server has closed, without a round trip that could hang.

    An idle connection has nothing to say: when its socket can be read, the server said goodbye."""
    if connection.closed or select.select([connection.fileno()], [], [], 0)[0]:
        connection.close()
        raise psycopg.OperationalError("the server closed the connection")


def _reporting_connection(note: Any) -> type[psycopg.Connection[Any]]:
    """A connection class that tells why it could not connect, which the pool's own error does not."""

    class Reporting(psycopg.Connection[Any]):
        @classmethod
        def connect(cls, conninfo: str = "", **options: Any) -> Self:
            try:
                return super().connect(conninfo, **options)
            except psycopg.Error as exc:
                note(first_line(exc))
                raise

    return Reporting


def many(connection: psycopg.Connection[Any], statement: bytes, parameters: Sequence[Parameters]) -> None:
    """Run one statement for each of `parameters`, in their order, in one round trip."""
    if parameters:
        with connection.cursor() as cursor:
            cursor.executemany(statement, parameters)
