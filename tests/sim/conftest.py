"""A farm for all tests of a module, and a fresh modem for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sim.farm import Farm
from agent.sim.records import ModemStatus
from tests.sim import drive


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm without modems, whose modems take no time for anything."""
    drive.require("nsenter", "qmicli", "ip", "curl", "dig")
    directory: Path = tmp_path_factory.mktemp("farm")
    made = Farm.create(drive.farm_name("m"), directory, profile="instant")
    try:
        yield made
    finally:
        drive.end_checked(made)


@pytest.fixture
def modem(farm: Farm) -> Iterator[ModemStatus]:
    """A modem that is plugged in and registered; unplugged afterwards."""
    number = farm.plug().modem
    drive.until(lambda: farm.modem(number).registered)
    yield farm.modem(number)
    farm.clear(number)
    if farm.modem(number).slot is not None:
        farm.unplug(number)
