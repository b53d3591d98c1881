"""Emulated CPEs as the tests want them."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agent.core.clock import Deadline
from agent.core.errors import TransientError
from agent.sim.cpe import session_run
from agent.sim.cpe.cpe import Cpe, CpeOptions
from agent.sim.cpe.device import Timing
from agent.sim.cpe.http_client import HttpClient
from agent.sim.cpe.http_target import HttpAnswer
from agent.sim.cpe.model import Model
from agent.sim.cpe.records import SessionReport
from tests.acs_live.waiting import PATIENCE_SECONDS

FAST = Timing(time_scale=0.001)
NEVER_SECONDS = 10_000_000
"""PeriodicInformInterval of a CPE that only begins the sessions that a test wants."""
_numbers = itertools.count()


class CpeMaker:
    """Makes CPEs of one ACS, each with a serial number that no other has."""

    def __init__(self, url: str, model: Model) -> None:
        self.url = url
        self._model = model

    def __call__(self, **options: Any) -> Cpe:
        """A CPE of `model` with these `CpeOptions`."""
        given = {
            "url": self.url,
            "model": self._model,
            "number": next(_numbers),
            "seed": "live",
            "timing": FAST,
            "interval_seconds": NEVER_SECONDS,
            **options,
        }
        return Cpe(CpeOptions(**given))

    def met(self, **options: Any) -> Cpe:
        """One that the ACS knows, and whose tree it has read."""
        cpe = self(**options)
        report = cpe.run_session()
        assert report.completed, report
        return cpe

    def of_new_model(self, product_class: str, **options: Any) -> Cpe:
        """One of a model of which the ACS has learned nothing yet."""
        return self(**{**options, "model": renamed(options.pop("model", self._model), product_class)})


def renamed(model: Model, product_class: str) -> Model:
    """The same model under another product class."""
    origin = dataclasses.replace(model.origin, product_class=product_class)
    return Model(model.name, origin, model.nodes.values())


def told_values(cpe: Cpe) -> dict[str, str]:
    """All that the CPE tells when it is asked for everything."""
    return {name: cpe.tree.told_value(name) for name in cpe.tree.parameters_under("")}


def clean(report: SessionReport) -> bool:
    """The session went to its end, and the CPE has nothing to say against the ACS."""
    assert report.completed, report
    assert report.complaints == ()
    assert report.acs_faults == ()
    return True


Pause = Callable[[int, HttpClient], object]


def run_with_pauses(cpe: Cpe, pause: Pause, *, resends: bool = False) -> SessionReport:
    """One session in which `pause(n, client)` is called before the CPE sends message number n: 0 is the Inform. What it
    returns tells whether it has cut the connection.

    Sessions of others in other threads are not paused. `resends`: a CPE that sends its message once more on a new
    connection when the answer did not come."""
    owner = threading.get_ident()

    class Pausing(HttpClient):
        messages = 0

        async def request(
            self, method: str, body: bytes, headers: tuple[tuple[str, str], ...] = (), kept_bytes: int | None = None
        ) -> HttpAnswer:
            if threading.get_ident() == owner:
                is_cut = bool(pause(self.messages, self))
                self.messages += 1
                if is_cut and self._connection is not None:
                    await self._connection.wait_for_end(Deadline.after(PATIENCE_SECONDS))
            try:
                return await super().request(method, body, headers, kept_bytes)
            except TransientError:
                if not resends:
                    raise
                await self.abort()
            return await super().request(method, body, headers, kept_bytes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_run, "HttpClient", Pausing)
        return cpe.run_session()


def tcp_port_of(client: HttpClient) -> int | None:
    """The CPE's own TCP port of its connection; None while it has none."""
    connection = client._connection
    if connection is None or not connection.is_reusable:
        return None
    port: int = connection._writer.get_extra_info("sockname")[1]
    return port
