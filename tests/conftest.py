"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest

from agent.sim.postgres import EmbeddedPostgres
from tests.postgres_fixture import fresh_database, make_template, running_postgres

# A busy machine is no bug: examples have no deadline of their own, the test has one (pytest-timeout).
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One PostgreSQL for the whole run; do not stop it in a test."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        make_template(server)
        yield server


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A fresh, migrated database."""
    with fresh_database(postgres_server) as url:
        yield url
