"""Connection requests, carried out with a real PostgreSQL and devices that answer as a test says."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from agent.acs.identity import DeviceIdentity
from agent.acs.session.state import Phase, SessionState
from agent.acs.soap.messages import CwmpVersion
from agent.core.clock import BackOff, Deadline
from agent.core.errors import TransientError
from agent.sim.postgres import EmbeddedPostgres
from agent.store.calls import Call, Calls
from agent.store.cwmp import CwmpStore, InformFacts, Verdict
from agent.store.database import Database
from agent.store.listen import CONNECTION_REQUEST, Listener
from agent.worker import caller as room
from agent.worker.caller import ATTEMPTS_MOST, Caller, Heard, Reply
from tests.postgres_fixture import fresh_database, make_template, running_postgres
from tests.store.cpes import OUI, PRODUCT_CLASS, add_device, device_id_of, serial_number_of
from tests.store.emptying import without_devices
from tests.store.farm import eventually, rows

ACCEPTED, BUSY = Reply(heard=Heard.ACCEPTED), Reply(heard=Heard.BUSY, reason="the device is busy")
SOON = BackOff(first_seconds=0.05, most_seconds=0.1)


@pytest.fixture(scope="module")
def shared_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def database_url(shared_url: str) -> str:
    return without_devices(shared_url)


class Devices:
    """What devices answer, and who was asked when."""

    def __init__(self, answer: Callable[[Call], Reply]) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self.asked: list[tuple[str, float]] = []
        self.at_once: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()

    def ask(self, call: Call, deadline: Deadline) -> Reply:
        with self._lock:
            self.asked.append((call.device_id, time.monotonic()))
            for key in (call.device_id, "all"):
                self.at_once[key] += 1
                self.most_at_once[key] = max(self.most_at_once[key], self.at_once[key])
        try:
            assert 0 < deadline.remaining_seconds <= room.CALL_SECONDS
            return self._answer(call)
        finally:
            with self._lock:
                self.at_once.subtract((call.device_id, "all"))


@contextmanager
def calling(
    url: str,
    devices: Devices,
    *,
    session_wait_seconds: float = 30.0,
    retry: BackOff = SOON,
    listen: bool = True,
    calls: Callable[[Database], Calls] = Calls,
    beat: Callable[[], None] = lambda: None,
) -> Iterator[Caller]:
    """A worker, as `lastmile worker` has it."""
    with Database(url, timeout_seconds=2.0, name="test worker") as database:
        caller = Caller(calls(database), devices.ask, session_wait_seconds=session_wait_seconds, beat=beat, retry=retry)
        listener = Listener(
            url, [CONNECTION_REQUEST], lambda _channel, _payload: caller.wake(), caller.wake, back_off=SOON
        )
        if listen:
            listener.start()
            assert listener.wait_connected(10)
        caller.start()
        try:
            yield caller
        finally:
            listener.stop()
            caller.stop()


def request(url: str, number: int = 1) -> int:
    """A person wants a device to begin a session."""
    device_id = device_id_of(number)
    if not rows(url, "SELECT FROM devices WHERE device_id = %s", device_id):
        add_device(url, number)
    ((made,),) = rows(
        url,
        "INSERT INTO connection_requests (device_id) SELECT id FROM devices WHERE device_id = %s RETURNING id",
        device_id,
    )
    assert isinstance(made, int)
    return made


def state(url: str, request_: int) -> tuple[str, int, str]:
    ((state_, attempts, reason),) = rows(
        url, "SELECT state, attempts, reason FROM connection_requests WHERE id = %s", request_
    )
    return state_, attempts, reason


def begin_session(url: str, number: int = 1) -> None:
    """The device sends an Inform."""
    facts = InformFacts(
        identity=DeviceIdentity(oui=OUI, product_class=PRODUCT_CLASS, serial_number=serial_number_of(number)),
        principal=None,
        worker="w1",
        peer="192.0.2.7",
        events=("6 CONNECTION REQUEST",),
        parameters=(),
        state=SessionState(version=CwmpVersion.V1_0, phase=Phase.PROCESS, root=None),
        software_version=None,
        hardware_version=None,
        connection_request_url=None,
        inform_interval_seconds=None,
        nonce=None,
        new_devices="refused",
        new_per_minute=0,
        stale_seconds=0.0,
    )
    with Database(url) as database:
        assert CwmpStore(database).begin(facts).verdict is Verdict.BEGUN


class TestOutcomes:
    def test_a_session_that_comes_makes_it_done(self, database_url: str) -> None:
        devices = Devices(lambda _: ACCEPTED)
        with calling(database_url, devices):
            made = request(database_url)
            eventually(lambda: state(database_url, made)[0] == "asked")
            begin_session(database_url)
            assert state(database_url, made) == ("done", 1, "")
            time.sleep(0.2)
        assert len(devices.asked) == 1
        assert state(database_url, made) == ("done", 1, "")

    def test_a_session_may_be_quicker_than_the_answer(self, database_url: str) -> None:
        def inform(_: Call) -> Reply:
            begin_session(database_url)
            return ACCEPTED

        with calling(database_url, Devices(inform), session_wait_seconds=0.05):
            made = request(database_url)
            eventually(lambda: state(database_url, made)[0] == "done")
            time.sleep(0.3)
        assert state(database_url, made) == ("done", 1, "")

    def test_one_that_no_session_follows_is_asked_again_and_then_failed(self, database_url: str) -> None:
        devices = Devices(lambda _: ACCEPTED)
        with calling(database_url, devices, session_wait_seconds=0.1):
            made = request(database_url)
            eventually(lambda: state(database_url, made)[0] == "failed")
        assert state(database_url, made) == ("failed", 3, "the device took the request, and no session came")
        times = [at for _, at in devices.asked]
        assert len(times) == ATTEMPTS_MOST
        assert all(later - earlier >= 0.1 for earlier, later in itertools.pairwise(times))

    @pytest.mark.parametrize("heard", [Heard.BUSY, Heard.UNREACHABLE])
    def test_what_may_change_is_tried_again_with_back_off(self, database_url: str, heard: Heard) -> None:
        devices = Devices(lambda call: Reply(heard=heard, reason=f"attempt {call.attempts}"))
        with calling(database_url, devices, retry=BackOff(first_seconds=0.2, most_seconds=9.0, jitter=0.0)):
            made = request(database_url)
            eventually(lambda: state(database_url, made)[0] == "failed")
        assert state(database_url, made) == ("failed", 3, "attempt 3")
        first, second, third = (at for _, at in devices.asked)
        assert second - first >= 0.2
        assert third - second >= 0.4

    def test_a_device_that_was_busy_is_asked_until_it_is_free(self, database_url: str) -> None:
        with calling(database_url, Devices(lambda call: ACCEPTED if call.attempts == 3 else BUSY)):
            made = request(database_url)
            eventually(lambda: state(database_url, made) == ("asked", 3, ""))

    def test_a_refusal_is_final(self, database_url: str) -> None:
        devices = Devices(lambda _: Reply(heard=Heard.REFUSED, reason="wrong password"))
        with calling(database_url, devices):
            made = request(database_url)
            eventually(lambda: state(database_url, made) == ("failed", 1, "wrong password"))
            time.sleep(0.2)
        assert len(devices.asked) == 1

    def test_our_own_mistake_fails_that_request_and_no_other(
        self, database_url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        def stumble(call: Call) -> Reply:
            if call.device_id == device_id_of(1):
                raise ZeroDivisionError
            return ACCEPTED

        with calling(database_url, Devices(stumble)):
            bad, good = request(database_url, 1), request(database_url, 2)
            eventually(lambda: state(database_url, good)[0] == "asked")
            eventually(lambda: state(database_url, bad)[0] == "failed")
        assert "log" in state(database_url, bad)[2]
        assert "failed unexpectedly" in caplog.text

    def test_what_hinders_us_for_a_while_does_not_fail_it(self, database_url: str) -> None:
        def hinder(call: Call) -> Reply:
            if call.attempts == 1:
                raise TransientError("netlink does not answer")
            return ACCEPTED

        devices = Devices(hinder)
        with calling(database_url, devices) as caller:
            made = request(database_url)
            eventually(lambda: len(devices.asked) == 1)
            rows(database_url, "UPDATE connection_requests SET claimed_until = now() - interval '1 second'")
            caller.wake()
            eventually(lambda: state(database_url, made) == ("asked", 2, ""))


class TestSeveral:
    def test_many_devices_are_asked_at_once_and_each_once(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(room, "AT_ONCE", 4)

        def slow(_: Call) -> Reply:
            time.sleep(0.05)
            return ACCEPTED

        devices = Devices(slow)
        for number in range(12):
            request(database_url, number)
        with calling(database_url, devices):
            eventually(
                lambda: (
                    rows(database_url, "SELECT state, count(*) FROM connection_requests GROUP BY state")
                    == [("asked", 12)]
                )
            )
        assert sorted(device for device, _ in devices.asked) == sorted(map(device_id_of, range(12)))
        assert 1 < devices.most_at_once["all"] <= 4

    def test_of_two_workers_one_asks(self, database_url: str) -> None:
        devices = Devices(lambda call: BUSY if call.attempts < 3 else ACCEPTED)
        with calling(database_url, devices), calling(database_url, devices):
            made = [request(database_url, number) for number in range(8)]
            eventually(lambda: all(state(database_url, each)[0] == "asked" for each in made))
        assert Counter(device for device, _ in devices.asked) == {device_id_of(number): 3 for number in range(8)}
        assert max(devices.most_at_once[device_id_of(number)] for number in range(8)) == 1

    def test_a_device_has_one_request_at_a_time(self, database_url: str) -> None:
        request(database_url)
        with pytest.raises(psycopg.errors.UniqueViolation):
            request(database_url)

    def test_the_calls_of_a_dead_worker_are_taken_over(self, database_url: str) -> None:
        made = request(database_url)
        with Database(database_url) as database:
            dead = Calls(database)
            (late,) = dead.claim(5)
            devices = Devices(lambda _: ACCEPTED)
            with calling(database_url, devices) as caller:
                time.sleep(0.2)
                assert devices.asked == [], "it is still its own"
                rows(database_url, "UPDATE connection_requests SET claimed_until = now() - interval '1 second'")
                caller.wake()
                eventually(lambda: state(database_url, made) == ("asked", 2, ""))
                dead.failed(late, "not dead at all")
                assert state(database_url, made)[0] == "asked"


class TestWaking:
    def test_a_notification_wakes_it_and_nothing_else_need(self, database_url: str) -> None:
        looks: list[float] = []

        class Watched(Calls):
            def claim(self, most: int) -> tuple[Call, ...]:
                looks.append(time.monotonic())
                return super().claim(most)

        devices = Devices(lambda _: ACCEPTED)
        with calling(database_url, devices, calls=Watched):
            eventually(lambda: looks)
            time.sleep(0.3)
            idle = len(looks)
            time.sleep(0.5)
            assert len(looks) == idle <= 2, "it does not poll"
            request(database_url)
            eventually(lambda: devices.asked, 3.0)
            time.sleep(0.3)
            settled = len(looks)
            time.sleep(0.4)
            assert len(looks) == settled, "nor while it waits for a session"

    def test_without_a_notification_it_looks_by_itself_in_the_end(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(room, "IDLE_SECONDS", 0.2)
        devices = Devices(lambda _: ACCEPTED)
        with calling(database_url, devices, listen=False):
            time.sleep(0.1)
            request(database_url)
            eventually(lambda: devices.asked)

    def test_what_was_asked_while_nobody_listened_is_found(self, database_url: str) -> None:
        made = request(database_url)
        with calling(database_url, Devices(lambda _: ACCEPTED)):
            eventually(lambda: state(database_url, made)[0] == "asked")

    def test_it_shows_that_it_is_alive(self, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(room, "IDLE_SECONDS", 0.02)
        beats: list[None] = []
        with calling(database_url, Devices(lambda _: ACCEPTED), beat=lambda: beats.append(None)):
            eventually(lambda: len(beats) > 3)


class TestStopping:
    def test_it_is_prompt_while_idle(self, database_url: str) -> None:
        with calling(database_url, Devices(lambda _: ACCEPTED)) as caller:
            begin = time.monotonic()
            caller.stop()
            assert time.monotonic() - begin < 2
        assert not any(thread.name == "caller" for thread in threading.enumerate())

    def test_a_call_under_way_is_finished(self, database_url: str) -> None:
        def slow(_: Call) -> Reply:
            time.sleep(0.4)
            return ACCEPTED

        devices = Devices(slow)
        with calling(database_url, devices):
            made = request(database_url)
            eventually(lambda: devices.asked)
        assert state(database_url, made) == ("asked", 1, "")


def test_a_database_that_was_away_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(room, "DATABASE_WAIT", SOON)
    devices = Devices(lambda _: ACCEPTED)
    with running_postgres(tmp_path / "own") as server:
        make_template(server)
        with fresh_database(server) as url, calling(url, devices) as caller:
            server.stop()
            caller.wake()
            eventually(lambda: "connection requests must wait" in caplog.text)
            server.start()
            made = request(url)
            eventually(lambda: state(url, made)[0] == "asked", 30)
        assert caplog.text.count("connection requests must wait") == 1, "it is said once"
