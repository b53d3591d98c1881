"""Each test has a farm, a database and an agent of its own."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from agent.cli.playground import Playground, check_machine
from agent.core.errors import ConfigError
from agent.sim.postgres import EmbeddedPostgres
from agent.store.database import Database
from tests.farm.harness import FAST, Farmyard
from tests.postgres_fixture import fresh_database, missing_service

_numbers = itertools.count(1)

MakeFarmyard = Callable[..., Farmyard]


def pytest_report_header() -> str:
    real = shutil.which("3proxy")
    return f"3proxy: {real}" if real else "3proxy: NOT on PATH, the farm runs the stand-in agent.sim.threeproxy"


def merged(overrides: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """`FAST` with a test's own settings on top."""
    return {
        section: {**FAST.get(section, {}), **overrides.get(section, {})} for section in FAST.keys() | overrides.keys()
    }


@pytest.fixture
def make_farmyard(tmp_path: Path, postgres_server: EmbeddedPostgres) -> Iterator[MakeFarmyard]:
    """Makes farmyards that are cleared away at the end; the agent is started unless `agent=False`."""
    try:
        check_machine()
    except ConfigError as error:
        missing_service(str(error))
    with ExitStack() as stack:

        def make(
            modems: int = 1,
            *,
            profile: str = "instant",
            agent: bool = True,
            postgres: EmbeddedPostgres | None = None,
            url: str | None = None,
            **overrides: dict[str, Any],
        ) -> Farmyard:
            number = next(_numbers)
            if url is None:
                url = stack.enter_context(fresh_database(postgres_server))
            playground = Playground.create(
                f"t{os.getpid() % 100_000}x{number}"[:11],
                tmp_path / f"yard{number}",
                modems=modems,
                profile=profile,
                overrides=merged(overrides),
                postgres=postgres or postgres_server,
                url=url,
            )
            stack.callback(playground.close)
            yard = Farmyard(playground, Database(url, pool_size=2, timeout_seconds=5.0, name="test"))
            stack.callback(yard.close)
            if agent:
                playground.start_agent()
            return yard

        yield make
