"""Migrations of the schema: plain SQL in `migrations/`, each applied once, those of one upgrade as a whole, by yoyo."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri

from agent.core.errors import ConfigError, InvariantError, TransientError
from agent.store.database import first_line, session_options

log = logging.getLogger(__name__)

LOCK_WAIT_SECONDS = 60
APPLIED_TABLE = "_yoyo_migration"
APPLIED = "SELECT migration_id FROM _yoyo_migration"
KEEP_DAYS = 30
AUDIT_KEEP_DAYS = 36_500


def migrate(url: str, *, keep_days: int = KEEP_DAYS) -> tuple[str, ...]:
    """Bring the database at `url` to this program's schema and return the names of the migrations applied.

    Several at a time wait for each other. All are applied or none, also when the process is killed: when one fails, the
    program of before finds the schema that it knows, and can be started again. Raises ConfigError when the database is
    newer than the program or refuses a migration, TransientError when it cannot be reached or somebody else migrates
    for longer than a minute."""
    with _errors_translated(), _locked(url) as connection, _backend(url) as backend:
        _refuse_newer(connection)
        with _migrations() as migrations:
            names = []
            backend.ensure_internal_schema_updated()
            with backend.transaction():
                for migration in backend.to_apply(migrations):
                    backend.apply_one(migration)
                    names.append(str(migration.id))
            for name in names:
                log.info("schema migrated", extra={"MIGRATION": name})
        for function in ("maintain_partitions", "maintain_session_partitions"):
            connection.execute(sql.SQL("SELECT {}(%s)").format(sql.Identifier(function)), (keep_days,))
        # Only makes partitions: what may go is for the worker to say, which knows the settings.
        connection.execute("SELECT maintain_audit_partitions(%s)", (AUDIT_KEEP_DAYS,))
    return tuple(names)


def check_schema(url: str) -> None:
    """Return when the database at `url` has exactly this program's schema.

    Raises ConfigError when it is older (with what to do) or newer, TransientError when it cannot be reached."""
    with _errors_translated(), psycopg.connect(url, **session_options("lastmile-schema", 5)) as connection:
        _refuse_newer(connection)
        missing = [name for name in known_migrations() if name not in applied_migrations(connection)]
    if missing:
        raise ConfigError(
            f"the database's schema is older than this program ({missing[0]} is missing); run: lastmile migrate"
        )


def known_migrations() -> tuple[str, ...]:
    """Names of this program's migrations, oldest first."""
    folder = resources.files("agent.store") / "migrations"
    return tuple(sorted(each.name.removesuffix(".sql") for each in folder.iterdir() if each.name.endswith(".sql")))


def applied_migrations(connection: psycopg.Connection[Any]) -> frozenset[str]:
    """Names of the migrations that a database has; none when it was never migrated."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        if cursor.execute("SELECT to_regclass(%s)", (APPLIED_TABLE,)).fetchone() is None:
            return frozenset()
        return frozenset(cursor.execute(APPLIED).fetchall())


def _refuse_newer(connection: psycopg.Connection[Any]) -> None:
    unknown = sorted(applied_migrations(connection) - set(known_migrations()))
    if unknown:
        raise ConfigError(
            f"the database's schema is newer than this program ({unknown[-1]} is unknown to it): upgrade lastmile"
        )


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo's backend is untyped
    """yoyo's backend for psycopg 3, with two differences."""

    def __init__(self, url: str) -> None:
        self._url = url
        super().__init__(parse_uri("postgresql+psycopg:///"), APPLIED_TABLE)

    def connect(self, dburi: object) -> psycopg.Connection[Any]:  # noqa: ARG002
        """Connect as libpq understands the URL: yoyo's own parser knows no list of hosts and no service."""
        return psycopg.connect(self._url, autocommit=True, **session_options("lastmile-migrate", 5))

    def apply_one(self, migration: Any, force: bool = False, mark: bool = True) -> None:
        """Apply and remember in one transaction: yoyo's two would leave a killed migration applied but unknown."""
        with self.transaction():
            migration.process_steps(self, "apply", force=force)
            if mark:
                self.mark_one(migration, log=False)


@contextmanager
def _backend(url: str) -> Iterator[_Backend]:
    with _Backend(url) as backend:
        backend.init_database()
        # yoyo's own lock outlives a killed process; ours, which is held here, does not.
        backend.break_lock()
        yield backend


@contextmanager
def _migrations() -> Iterator[Any]:
    with ExitStack() as stack:
        folder = stack.enter_context(resources.as_file(resources.files("agent.store") / "migrations"))
        yield read_migrations(str(Path(folder)))


@contextmanager
def _locked(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True, **session_options("lastmile-migrate", 5)) as connection:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{LOCK_WAIT_SECONDS}s",))
        connection.execute("SELECT pg_advisory_lock(hashtextextended('lastmile migrate', 0))")
        yield connection


@contextmanager
def _errors_translated() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.LockNotAvailable as exc:
        raise TransientError("another process is migrating this database") from exc
    except psycopg.errors.InsufficientPrivilege as exc:
        raise ConfigError(f"the database refuses: {first_line(exc)}") from exc
    except psycopg.errors.ConnectionException as exc:
        raise TransientError(f"PostgreSQL is away: {first_line(exc)}") from exc
    except psycopg.OperationalError as exc:
        raise TransientError(f"PostgreSQL is away: {first_line(exc)}") from exc
    except psycopg.ProgrammingError as exc:
        raise InvariantError(f"a migration is not good SQL: {first_line(exc)}") from exc
    except psycopg.Error as exc:
        raise ConfigError(f"the database refuses a migration: {first_line(exc)}") from exc
