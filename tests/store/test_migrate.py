"""Migrations."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.errors import ConfigError, TransientError
from agent.sim.postgres import EmbeddedPostgres
from agent.store.migrate import check_schema, known_migrations, migrate
from tests.store.farm import rows

ROOT = Path(__file__).parents[2]


@pytest.fixture
def empty_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    yield postgres_server.create_database("empty")
    postgres_server.drop_database("empty")


def test_each_migration_is_applied_once(empty_url: str) -> None:
    assert migrate(empty_url) == known_migrations()
    assert migrate(empty_url) == ()
    check_schema(empty_url)


def test_the_columns_that_the_requirement_names_are_there(database_url: str) -> None:
    columns = {
        row[0]
        for row in rows(database_url, "SELECT column_name FROM information_schema.columns WHERE table_name = 'modems'")
    }
    assert {"serial", "path", "interface", "proxy_port", "status", "last_seen"} <= columns


def test_several_migrating_at_once_take_turns(empty_url: str) -> None:
    done: list[tuple[str, ...]] = []
    threads = [threading.Thread(target=lambda: done.append(migrate(empty_url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == [(), (), (), known_migrations()]


def test_an_older_schema_says_what_to_do(empty_url: str) -> None:
    with pytest.raises(ConfigError, match="lastmile migrate"):
        check_schema(empty_url)


def test_a_newer_schema_is_refused(database_url: str) -> None:
    rows(
        database_url,
        "INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc) VALUES ('x', '9999.future', now())",
    )
    for refused in (check_schema, migrate):
        with pytest.raises(ConfigError, match=r"newer than this program.*9999\.future"):
            refused(database_url)


def test_a_failing_migration_leaves_nothing_of_itself_nor_of_those_before_it(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "0001.good.sql").write_text("CREATE TABLE whole (id int);\n")
    (tmp_path / "migrations" / "0002.bad.sql").write_text(
        "CREATE TABLE half (id int);\nINSERT INTO half VALUES ('x');\n"
    )
    monkeypatch.setattr("agent.store.migrate.resources.files", lambda _: tmp_path)
    with pytest.raises(ConfigError):
        migrate(empty_url)
    assert rows(empty_url, "SELECT to_regclass('half'), to_regclass('whole')") == [(None, None)]
    assert rows(empty_url, "SELECT count(*) FROM _yoyo_migration") == [(0,)]


def test_a_killed_migration_can_be_repeated(empty_url: str) -> None:
    """Killed while it holds yoyo's own lock, which a dead process never gives back."""
    program = (
        "import os, sys; from agent.store import migrate as m\n"
        "m._Backend.apply_one = lambda self, migration, **_: (self._insert_lock_row(1, 1), os.kill(os.getpid(), 9))\n"
        "m.migrate(sys.argv[1])\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, empty_url], cwd=ROOT, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert migrate(empty_url) == known_migrations()


def test_an_unreachable_database_is_a_transient_error(tmp_path: Path) -> None:
    for refused in (check_schema, migrate):
        with pytest.raises(TransientError):
            refused(f"postgresql:///x?host={tmp_path}")
