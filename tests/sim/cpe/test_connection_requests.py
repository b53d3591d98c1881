"""Connection requests over HTTP: who is let in, when, and what follows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from agent.sim.cpe.behaviour import Behaviour
from agent.sim.cpe.connection_requests import Doorkeeper
from agent.sim.cpe.device import Timing
from agent.sim.cpe.fleet import CpeFleet
from agent.sim.cpe.fleet_options import FleetOptions
from agent.sim.cpe.http_auth import Auth, Authenticator
from tests.sim.cpe.scripted_acs import WAIT_SECONDS, ScriptedAcs

_USER, _PASSWORD = "acs", "s3cret"


@dataclass
class _Callee:
    behaviour: Behaviour = field(default_factory=Behaviour)
    in_session: bool = False
    online: bool = True
    serial_number: str = "1"
    values: dict[str, str] = field(default_factory=dict)

    def value(self, below_root: str) -> str:
        return self.values.get(below_root.rpartition(".")[2], "")

    def gap_seconds(self) -> float:
        return self.behaviour.connection_request_gap_seconds


def _protected() -> _Callee:
    return _Callee(values={"ConnectionRequestUsername": _USER, "ConnectionRequestPassword": _PASSWORD})


def test_without_a_user_everybody_is_welcome() -> None:
    answer = Doorkeeper().receive(_Callee(), "GET", "", 0.0)
    assert (answer.status, answer.wants_session) == (200, True)
    assert Doorkeeper().receive(_Callee(), "POST", "", 0.0).status == 405


def test_a_nonce_count_is_used_once() -> None:
    doorkeeper, callee = Doorkeeper(), _protected()
    challenge = doorkeeper.receive(callee, "GET", "", 0.0)
    assert challenge.status == 401
    caller = Authenticator(Auth.DIGEST, _USER, _PASSWORD)
    assert caller.challenged([challenge.headers[0][1]])
    header = caller.header("GET", "/x") or ""
    assert doorkeeper.receive(callee, "GET", header, 0.0).status == 200
    assert doorkeeper.receive(callee, "GET", header, 1.0).status == 401
    assert doorkeeper.receive(callee, "GET", caller.header("GET", "/x") or "", 2.0).status == 200
    unknown = Doorkeeper().receive(callee, "GET", header, 3.0)
    assert (unknown.status, "stale=true" in unknown.headers[0][1]) == (401, True)


@pytest.mark.parametrize(
    "header", ["", "Basic YWNzOnMzY3JldA==", "Digest", 'Digest username="acs", nonce="x"', "Digest nc=zz"]
)
def test_others_are_challenged(header: str) -> None:
    assert Doorkeeper().receive(_protected(), "GET", header, 0.0).status == 401


def test_a_cpe_may_be_busy_asked_too_often_or_deaf() -> None:
    doorkeeper = Doorkeeper()
    assert doorkeeper.receive(_Callee(in_session=True), "GET", "", 0.0).status == 503
    patient = _Callee(behaviour=Behaviour(busy_in_session=False), in_session=True)
    assert doorkeeper.receive(patient, "GET", "", 0.0).status == 200
    often = _Callee(behaviour=Behaviour(connection_request_gap_seconds=10.0), serial_number="2")
    assert [doorkeeper.receive(often, "GET", "", now).status for now in (0.0, 9.0, 10.5, 20.0)] == [200, 503, 200, 503]
    deaf = doorkeeper.receive(_Callee(behaviour=Behaviour(deaf=True)), "GET", "", 99.0)
    assert (deaf.status, deaf.wants_session) == (200, False)


@pytest.fixture
def fleet(acs: ScriptedAcs) -> Iterator[CpeFleet]:
    options = FleetOptions(
        url=acs.url,
        count=2,
        leaves=130,
        timing=Timing(time_scale=0.01),
        interval_seconds=None,
        connection_request_username=_USER,
        connection_request_password=_PASSWORD,
    )
    with CpeFleet(options) as made:
        made.wait_until(lambda: all(each.sessions_completed for each in made.status()), WAIT_SECONDS)
        for serial in made.serial_numbers:
            made.command(serial, "change", "ManagementServer.PeriodicInformEnable", "0")
        yield made
        assert made.failures() == ()


def _get(fleet: CpeFleet, place: int, **named: Any) -> httpx.Response:
    url = fleet.status()[place].connection_request_url
    return httpx.get(url, trust_env=False, timeout=WAIT_SECONDS, **named)


def _auth() -> httpx.DigestAuth:
    return httpx.DigestAuth(_USER, _PASSWORD)


def test_a_session_follows(acs: ScriptedAcs, fleet: CpeFleet) -> None:
    before = fleet.status()[1].sessions_completed
    assert _get(fleet, 1).status_code == 401
    assert _get(fleet, 1, auth=httpx.DigestAuth(_USER, "wrong")).status_code == 401
    answer = _get(fleet, 1, auth=_auth())
    assert (answer.status_code, answer.content) == (200, b"")
    fleet.wait_until(lambda: fleet.status()[1].last_events == ("6 CONNECTION REQUEST",), WAIT_SECONDS)
    assert fleet.status()[1].sessions_completed >= before + 1


def test_the_cpe_is_told_by_its_path(acs: ScriptedAcs, fleet: CpeFleet) -> None:
    first, second = (each.connection_request_url for each in fleet.status())
    assert first != second
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[0-9a-f]{32}", first)
    assert httpx.get(first[:-1], trust_env=False).status_code == 404


def test_a_deaf_cpe_and_one_without_power(acs: ScriptedAcs, fleet: CpeFleet) -> None:
    deaf, off = fleet.serial_numbers
    fleet.command(deaf, "behave", deaf=True)
    assert _get(fleet, 0, auth=_auth()).status_code == 200
    assert fleet.status()[0].due_seconds == float("inf")
    fleet.command(off, "unplug")
    with pytest.raises(httpx.TransportError):
        _get(fleet, 1)


def test_new_credentials_are_in_force_at_once(acs: ScriptedAcs, fleet: CpeFleet) -> None:
    fleet.command(fleet.serial_numbers[0], "change", "ManagementServer.ConnectionRequestPassword", "new")
    assert _get(fleet, 0, auth=_auth()).status_code == 401
    assert _get(fleet, 0, auth=httpx.DigestAuth(_USER, "new")).status_code == 200
