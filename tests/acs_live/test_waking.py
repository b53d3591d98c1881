"""`lastmile worker` wakes CPEs: a connection request is done when the session has come, whatever the device said."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from agent.sim.cpe.behaviour import Behaviour
from agent.sim.cpe.cpe import Cpe
from agent.sim.cpe.fleet import CpeFleet
from agent.sim.cpe.fleet_options import FleetOptions
from tests.acs_live.conftest import Ground
from tests.acs_live.cpes import FAST, NEVER_SECONDS
from tests.acs_live.process import running_worker
from tests.acs_live.records import Records
from tests.acs_live.seen import SeenTable
from tests.acs_live.waiting import PATIENCE_SECONDS, until

USERNAME, PASSWORD = "acs", "open sesame"
SESSION_WAIT_SECONDS = 1
_numbers = itertools.count(1)
MakeFleet = Callable[..., AbstractContextManager[CpeFleet]]


@pytest.fixture(scope="module")
def worker(ground: Ground) -> Iterator[None]:
    settings = {
        "connection_request_username": USERNAME,
        "connection_request_password": PASSWORD,
        "connection_request_allow": ("127.0.0.0/8",),
        "session_wait_seconds": SESSION_WAIT_SECONDS,
    }
    with running_worker(ground.records.url, ground.acs.folder, **settings):
        yield


@pytest.fixture
def make_fleet(ground: Ground) -> Callable[..., CpeFleet]:
    def make(**options: object) -> CpeFleet:
        return CpeFleet(
            FleetOptions(
                **{  # type: ignore[arg-type]
                    "url": ground.acs.url,
                    "count": 1,
                    "model": "tr098",
                    "leaves": 130,
                    "seed": f"waking {next(_numbers)}",
                    "interval_seconds": NEVER_SECONDS,
                    "timing": FAST,
                    "connection_request_username": USERNAME,
                    "connection_request_password": PASSWORD,
                    **options,
                }
            )
        )

    return make


def met(fleet: CpeFleet, records: Records) -> Cpe:
    """The only CPE of a fleet, after its first session."""
    cpe = fleet.cpe(fleet.serial_numbers[0])
    fleet.wait_until(lambda: fleet.status()[0].sessions_completed > 0, PATIENCE_SECONDS)
    until(lambda: records.is_discovered(cpe.device_id), "it is known")
    return cpe


def request_of(records: Records, number: int) -> tuple[str, str, int]:
    ((state, reason, attempts),) = records.rows(
        "SELECT state, reason, attempts FROM connection_requests WHERE id = %s", number
    )
    return state, reason, attempts


def outcome_of(records: Records, number: int) -> tuple[str, str, int]:
    until(lambda: request_of(records, number)[0] in ("done", "failed"), "the connection request is over")
    return request_of(records, number)


# Before the worker below runs, which may go there.
def test_never_to_this_host_unless_the_operator_allows_it(
    ground: Ground, make_fleet: Callable[..., CpeFleet], records: Records
) -> None:
    with make_fleet() as fleet:
        cpe = met(fleet, records)
        with running_worker(records.url, ground.acs.folder):
            state, reason, attempts = outcome_of(records, records.request_connection(cpe.device_id))
    assert (state, attempts) == ("failed", 1)
    assert "127.0.0.1" in reason


@pytest.mark.usefixtures("worker")
class TestWaking:
    def test_the_session_comes_and_the_task_is_done(
        self, make_fleet: Callable[..., CpeFleet], records: Records
    ) -> None:
        with make_fleet() as fleet:
            cpe = met(fleet, records)
            task = records.add_task(cpe.device_id, "getRPCMethods")
            number = records.request_connection(cpe.device_id)
            assert outcome_of(records, number)[0] == "done"
            records.await_task(task, "completed")
            last = records.sessions(cpe.device_id)[-1]
            assert last.inform_events == ["6 CONNECTION REQUEST"]
            assert fleet.failures() == ()

    def test_many_at_once(self, make_fleet: Callable[..., CpeFleet], records: Records) -> None:
        with make_fleet(count=8) as fleet:
            cpes = [fleet.cpe(serial) for serial in fleet.serial_numbers]
            fleet.wait_until(lambda: all(each.sessions_completed for each in fleet.status()), PATIENCE_SECONDS)
            until(lambda: all(records.is_discovered(cpe.device_id) for cpe in cpes), "they are known")
            tasks = [records.add_task(cpe.device_id, "getRPCMethods") for cpe in cpes]
            numbers = [records.request_connection(cpe.device_id) for cpe in cpes]
            assert {outcome_of(records, number)[0] for number in numbers} == {"done"}
            assert {records.await_task(task, "completed").attempts for task in tasks} == {1}

    def test_a_deaf_cpe_takes_the_request_and_it_has_failed_all_the_same(
        self, make_fleet: Callable[..., CpeFleet], records: Records
    ) -> None:
        with make_fleet(behaviour=Behaviour(deaf=True)) as fleet:
            cpe = met(fleet, records)
            task = records.add_task(cpe.device_id, "getRPCMethods")
            number = records.request_connection(cpe.device_id)
            until(lambda: request_of(records, number)[0] == "asked", "the CPE has said yes")
            assert outcome_of(records, number) == ("failed", "the device took the request, and no session came", 3)
            assert records.task(task).status == "pending"

    def test_a_session_that_comes_by_itself_will_do(
        self, make_fleet: Callable[..., CpeFleet], records: Records
    ) -> None:
        with make_fleet(behaviour=Behaviour(deaf=True)) as fleet:
            cpe = met(fleet, records)
            number = records.request_connection(cpe.device_id)
            until(lambda: request_of(records, number)[0] == "asked", "the CPE has said yes")
            fleet.command(cpe.serial_number, "session")
            assert outcome_of(records, number)[0] == "done"

    def test_a_cpe_that_knows_another_password(self, make_fleet: Callable[..., CpeFleet], records: Records) -> None:
        with make_fleet(connection_request_password="another") as fleet:
            cpe = met(fleet, records)
            state, reason, attempts = outcome_of(records, records.request_connection(cpe.device_id))
            assert (state, attempts) == ("failed", 1)
            assert "refuses our user name and password" in reason

    def test_a_cpe_that_is_busy_is_asked_again_later(
        self, make_fleet: Callable[..., CpeFleet], records: Records
    ) -> None:
        with make_fleet(behaviour=Behaviour(connection_request_gap_seconds=10_000_000)) as fleet:
            cpe = met(fleet, records)
            assert outcome_of(records, records.request_connection(cpe.device_id))[0] == "done"
            number = records.request_connection(cpe.device_id)
            until(lambda: request_of(records, number)[1], "it was asked")
            assert request_of(records, number) == ("pending", "the device is busy (HTTP 503)", 1)

    def test_a_cpe_that_is_gone_is_asked_again_later(
        self, make_fleet: Callable[..., CpeFleet], records: Records
    ) -> None:
        with make_fleet() as fleet:
            cpe = met(fleet, records)
        number = records.request_connection(cpe.device_id)
        until(lambda: request_of(records, number)[1], "it was asked")
        state, reason, attempts = request_of(records, number)
        assert (state, attempts) == ("pending", 1)
        assert "Connection refused" in reason

    @pytest.mark.parametrize("url", ["file:///etc/passwd", "http://169.254.169.254/latest", "http://[::1]:5432/"])
    def test_where_it_does_not_go(
        self, url: str, make_fleet: Callable[..., CpeFleet], records: Records, seen: SeenTable
    ) -> None:
        with make_fleet() as fleet:
            cpe = met(fleet, records)
        records.rows("UPDATE devices SET connection_request_url = %s WHERE device_id = %s", url, cpe.device_id)
        state, reason, attempts = outcome_of(records, records.request_connection(cpe.device_id))
        assert (state, attempts) == ("failed", 1)
        seen.note(f"a ConnectionRequestURL of {url}", f"the connection request has failed: {reason}")
