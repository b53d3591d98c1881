"""Models loaded once, an ACS and CPEs for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent.sim.cpe.cpe import Cpe, CpeOptions
from agent.sim.cpe.device import Timing
from agent.sim.cpe.model import Model
from agent.sim.cpe.model_files import load_model
from tests.sim.cpe.scripted_acs import ScriptedAcs

FAST = Timing(time_scale=0.001)

MakeCpe = Callable[..., Cpe]


@pytest.fixture(scope="session")
def tr098() -> Model:
    return load_model("tr098")


@pytest.fixture(scope="session")
def tr181() -> Model:
    return load_model("tr181")


@pytest.fixture(scope="session")
def small(tr098: Model) -> Model:
    """A TR-098 device with 130 parameters."""
    return tr098.limited(130)


@pytest.fixture
def acs() -> Iterator[ScriptedAcs]:
    made = ScriptedAcs()
    yield made
    made.close()


@pytest.fixture
def lone_cpe(small: Model) -> MakeCpe:
    """A CPE without an ACS, for what needs no HTTP."""

    def make(**options: Any) -> Cpe:
        return Cpe(
            CpeOptions(
                **{
                    "url": "http://127.0.0.1:1/",
                    "model": small,
                    "timing": FAST,
                    "interval_seconds": 1_000_000,
                    **options,
                }
            )
        )

    return make


@pytest.fixture
def make_cpe(acs: ScriptedAcs, small: Model) -> MakeCpe:
    """A CPE of `acs` with these `CpeOptions`."""

    def make(**options: Any) -> Cpe:
        return Cpe(
            CpeOptions(**{"url": acs.url, "model": small, "timing": FAST, "interval_seconds": 1_000_000, **options})
        )

    return make
