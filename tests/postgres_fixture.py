"""PostgreSQL for the tests: one server per run, and databases cloned from a migrated template."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from agent.core.errors import ConfigError
from agent.sim.postgres import EmbeddedPostgres
from agent.store.migrate import migrate

TEMPLATE = "migrated_template"
_numbers = itertools.count(1)


def missing_service(reason: str) -> NoReturn:
    """Skip the test on a developer's machine; fail it in CI, where everything must be there."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must provide: {reason}")
    pytest.skip(reason)


@contextmanager
def running_postgres(directory: Path) -> Iterator[EmbeddedPostgres]:
    """A fresh server without durability; stopped at the end."""
    server = EmbeddedPostgres(directory, durable=False)
    try:
        server.start()
    except ConfigError as exc:
        missing_service(str(exc))
    try:
        yield server
    finally:
        server.stop()


def make_template(server: EmbeddedPostgres) -> None:
    """A migrated database that others are cloned from."""
    migrate(server.create_database(TEMPLATE))


@contextmanager
def fresh_database(server: EmbeddedPostgres) -> Iterator[str]:
    """URL of a migrated database of one's own; dropped at the end."""
    name = f"test_{next(_numbers)}"
    url = server.create_database(name, template=TEMPLATE)
    try:
        yield url
    finally:
        if server.running:
            server.drop_database(name)
