"""The pool: errors translated, deadlines kept, a database that goes and comes."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from psycopg.rows import scalar_row

from agent.core.errors import ConfigError, DeadlineExceeded, InvariantError, TransientError
from agent.sim.postgres import EmbeddedPostgres
from agent.store.database import Database
from tests.store.farm import eventually


def test_threads_share_the_pool(database_url: str) -> None:
    with Database(database_url, pool_size=2) as database:
        answers: list[int | None] = []
        threads = [
            threading.Thread(target=lambda: answers.append(database.fetch_one(b"SELECT 7", {}, scalar_row)))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert answers == [7] * 20


def test_a_slow_statement_ends_in_time_and_is_no_outage(database_url: str) -> None:
    with Database(database_url, timeout_seconds=0.5) as database:
        begin = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            database.execute(b"SELECT pg_sleep(20)", {})
        assert time.monotonic() - begin < 1.5
        assert not database.away
        database.ping()


def test_a_server_that_hangs_is_given_up_in_time(database_url: str) -> None:
    with Database(database_url, pool_size=1, timeout_seconds=0.5) as database:
        backend = database.fetch_one(b"SELECT pg_backend_pid()", {}, scalar_row)
        assert backend is not None
        os.kill(backend, signal.SIGSTOP)
        try:
            begin = time.monotonic()
            with pytest.raises(TransientError):
                database.ping()
            assert time.monotonic() - begin < 1.5
        finally:
            os.kill(backend, signal.SIGCONT)
        eventually(lambda: _answers(database))


def test_no_free_connection_is_no_outage(database_url: str) -> None:
    with Database(database_url, pool_size=1, timeout_seconds=0.5) as database, database.connection():
        with pytest.raises(DeadlineExceeded):
            database.ping()
        assert not database.away


def test_an_unreachable_server_is_told_with_its_reason_and_then_at_once(tmp_path: Path) -> None:
    with Database(f"postgresql:///x?host={tmp_path}", timeout_seconds=2.0) as database:
        with pytest.raises(TransientError, match="No such file"):
            database.ping()
        begin = time.monotonic()
        for _ in range(50):
            with pytest.raises(TransientError):
                database.ping()
        assert time.monotonic() - begin < 0.3


def test_idle_connections_that_the_server_closed_are_not_handed_out(
    own_postgres: EmbeddedPostgres, own_url: str
) -> None:
    with Database(own_url, pool_size=3) as database:
        with database.connection(), database.connection(), database.connection():
            pass
        own_postgres.stop()
        own_postgres.start()
        for _ in range(5):
            database.ping()


def test_it_comes_back_by_itself(own_postgres: EmbeddedPostgres, own_url: str) -> None:
    with Database(own_url, timeout_seconds=1.0) as database:
        database.ping()
        own_postgres.stop()
        with pytest.raises(TransientError):
            database.ping()
        assert database.away
        own_postgres.start()
        eventually(lambda: _answers(database))
        assert not database.away


def test_a_schema_that_is_not_ours_is_the_operators_to_mend(database_url: str) -> None:
    with Database(database_url) as database:
        with pytest.raises(ConfigError, match="lastmile migrate"):
            database.execute(b"SELECT * FROM no_such_table", {})
        with pytest.raises(InvariantError):
            database.execute(b"SELEKT", {})


def test_a_failing_transaction_leaves_nothing(database: Database) -> None:
    def change_and_fail() -> None:
        with database.transaction() as connection:
            connection.execute("INSERT INTO hosts (name) VALUES ('x')")
            raise TransientError("on purpose")

    with pytest.raises(TransientError, match="on purpose"):
        change_and_fail()
    assert database.fetch_one(b"SELECT count(*) FROM hosts", {}, scalar_row) == 0


def _answers(database: Database) -> bool:
    try:
        database.ping()
    except TransientError:
        return False
    return True
