"""Fixtures for the tests of the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sim.postgres import EmbeddedPostgres
from agent.store.database import Database
from agent.store.fleet import Fleet
from agent.store.wishes import HostWishes
from tests.postgres_fixture import fresh_database, make_template, running_postgres
from tests.store.farm import make_wishes


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server that the tests of one module may stop and start."""
    with running_postgres(tmp_path_factory.mktemp("own")) as server:
        make_template(server)
        yield server


@pytest.fixture
def own_url(own_postgres: EmbeddedPostgres) -> Iterator[str]:
    """A fresh, migrated database on a server that may be stopped."""
    own_postgres.start()
    with fresh_database(own_postgres) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with Database(database_url) as opened:
        yield opened


@pytest.fixture
def fleet(database: Database) -> Iterator[Fleet]:
    opened = Fleet(database)
    yield opened
    opened.close()


@pytest.fixture
def wishes(database: Database, tmp_path: Path) -> HostWishes:
    return make_wishes(database, tmp_path / "wishes.json")
