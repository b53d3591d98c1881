"""How the database fares: what `lastmile doctor` asks of it. Nothing is written, and no lock is waited for."""

from __future__ import annotations

import time
from typing import Any

import psycopg
from psycopg.rows import dict_row

from agent.core.clock import Deadline
from agent.core.errors import TransientError
from agent.doctor.database import ServerFacts
from agent.store.database import first_line, session_options
from agent.store.deadlines import DeadlineKeeper
from agent.store.migrate import applied_migrations, known_migrations
from agent.store.statements import statements


def fetch_server(url: str, host: str, *, timeout_seconds: float = 3.0) -> ServerFacts:
    """The server's condition, its schema, and the numbers of this host's modems.

    Raises TransientError with the reason (without the password) when it cannot be reached or asked in time."""
    keeper = DeadlineKeeper("doctor")
    try:
        options = session_options("lastmile doctor", timeout_seconds)
        with (
            psycopg.connect(url, autocommit=True, **options) as connection,
            keeper.watch(connection, Deadline.after(timeout_seconds)),
        ):
            return _fetch(connection, host)
    except psycopg.Error as error:
        raise TransientError(first_line(error)) from error
    finally:
        keeper.close()


def _fetch(connection: psycopg.Connection[Any], host: str) -> ServerFacts:
    sql = statements("condition")
    cursor = connection.cursor(row_factory=dict_row)
    before = time.time()
    condition = cursor.execute(sql["fetch_condition"]).fetchone()
    asking_seconds = time.time() - before
    assert condition is not None
    applied, known = applied_migrations(connection), known_migrations()
    numbers = cursor.execute(sql["fetch_numbers"], {"host": host}).fetchall() if set(known[:1]) <= applied else []
    return ServerFacts(
        version=condition["version"],
        standby=condition["standby"],
        missing_migrations=tuple(name for name in known if name not in applied),
        unknown_migrations=tuple(sorted(applied - set(known))),
        connections_most=condition["connections_most"],
        connections_used=condition["connections_used"],
        clock_ahead_seconds=condition["epoch_seconds"] - (before + asking_seconds / 2),
        clock_doubt_seconds=asking_seconds,
        known_uids=frozenset(row["uid"] for row in numbers),
        known_tables=frozenset(row["fib_table"] for row in numbers),
    )
