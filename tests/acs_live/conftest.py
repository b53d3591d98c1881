"""One ACS of three workers for all tests that do not need one of their own, and CPEs for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.sim.cpe.model import Model
from agent.sim.cpe.model_files import load_model
from agent.sim.postgres import EmbeddedPostgres
from tests.acs_live.cpes import CpeMaker
from tests.acs_live.process import Acs, running_acs
from tests.acs_live.records import Records
from tests.acs_live.seen import SeenTable
from tests.postgres_fixture import fresh_database


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.acs_live)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """An ACS, its database, and what makes its CPEs."""

    acs: Acs
    records: Records
    make_cpe: CpeMaker


Grounds = Callable[..., AbstractContextManager[Ground]]


@pytest.fixture(scope="session")
def seen() -> Iterator[SeenTable]:
    """The table of docs/security.md."""
    table = SeenTable()
    yield table
    table.close()


@pytest.fixture(scope="session")
def tr098() -> Model:
    return load_model("tr098")


@pytest.fixture(scope="session")
def tr181() -> Model:
    return load_model("tr181")


@pytest.fixture(scope="session")
def small(tr098: Model) -> Model:
    """A TR-098 device with 130 parameters: one GetParameterNames and one GetParameterValues."""
    return tr098.limited(130)


@pytest.fixture(scope="session")
def grounds(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory, small: Model) -> Grounds:
    """Makes an ACS with settings of its own, on a database of its own."""

    @contextmanager
    def make(**settings: Any) -> Iterator[Ground]:
        folder: Path = tmp_path_factory.mktemp("acs")
        with fresh_database(postgres_server) as url, running_acs(url, folder, **settings) as acs:
            yield Ground(acs=acs, records=Records(url), make_cpe=CpeMaker(acs.url, small))

    return make


@pytest.fixture(scope="session")
def ground(grounds: Grounds) -> Iterator[Ground]:
    """The ACS that tests share: three workers, no authentication."""
    with grounds(workers=3) as made:
        yield made


@pytest.fixture(scope="session")
def acs(ground: Ground) -> Acs:
    return ground.acs


@pytest.fixture(scope="session")
def records(ground: Ground) -> Records:
    return ground.records


@pytest.fixture(scope="session")
def make_cpe(ground: Ground) -> CpeMaker:
    return ground.make_cpe
