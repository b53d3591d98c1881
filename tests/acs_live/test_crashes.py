"""Workers that are killed, a PostgreSQL that restarts, and a stop that is waited for."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agent.core.clock import now
from agent.sim.cpe.http_client import HttpClient
from agent.sim.cpe.model import Model
from agent.sim.cpe.records import Outcome
from agent.sim.cpe.wire import Wire
from agent.web.cwmp.server import STOP_SECONDS
from tests.acs_live.conftest import Ground, Grounds
from tests.acs_live.cpes import CpeMaker, clean, run_with_pauses, tcp_port_of, told_values
from tests.acs_live.messages import device_id_of, inform, new_serial
from tests.acs_live.process import kill_worker, running_acs
from tests.acs_live.raw import Raw, ask, soap_post
from tests.acs_live.records import Records
from tests.acs_live.waiting import until
from tests.postgres_fixture import fresh_database, make_template, running_postgres

LEAVES = 1_500
"""Names in 256, 512 and 732: three GetParameterValues."""
MESSAGES = 6
"""Inform, an empty POST, and the answers to GetParameterNames and to three GetParameterValues."""
SSID = "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.SSID"
WLAN = "InternetGatewayDevice.LANDevice.1.WLANConfiguration."


@pytest.fixture(scope="module")
def ground(grounds: Grounds) -> Iterator[Ground]:
    with grounds(workers=2) as made:
        yield made


@pytest.fixture(scope="module")
def big(tr098: Model) -> Model:
    return tr098.limited(LEAVES)


def await_all_workers(ground: Ground, but: int | None = None) -> None:
    until(lambda: len(ground.acs.workers()) == 2 and but not in ground.acs.workers(), "the worker has been replaced")


def worker_of(ground: Ground, client: HttpClient) -> int:
    """The worker that a CPE is connected to."""
    port = tcp_port_of(client)
    assert port is not None
    worker = ground.acs.worker_with(port)
    assert worker is not None
    return worker


@contextlib.contextmanager
def locked(records: Records, statement: str, *parameters: object) -> Iterator[psycopg.Connection[Any]]:
    """Rows that nobody else can write meanwhile: who wants to waits inside PostgreSQL."""
    with psycopg.connect(records.url) as connection:
        connection.execute(statement.encode(), parameters)
        yield connection
        connection.rollback()


def is_waited_for(records: Records, connection: psycopg.Connection[Any]) -> bool:
    """Whether somebody waits for what `locked` has locked."""
    found = records.rows(
        "SELECT 1 FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))", connection.info.backend_pid
    )
    return bool(found)


class TestBetweenTwoMessages:
    @pytest.mark.parametrize("message", range(1, MESSAGES + 1))
    def test_the_session_goes_on_with_another_worker(self, message: int, ground: Ground, big: Model) -> None:
        """`message` is the one that comes after the death of the worker which had the one before; the last one of them
        is none, and the worker dies after the end."""
        cpe = ground.make_cpe.of_new_model(f"dies before {message}", model=big)
        killed: list[int] = []

        def kill(number: int, client: HttpClient) -> bool:
            if number != message:
                return False
            killed.append(worker_of(ground, client))
            kill_worker(killed[-1])
            return True

        report = run_with_pauses(cpe, kill)
        assert clean(report)
        assert report.rpcs == ("GetParameterNames", "GetParameterValues", "GetParameterValues", "GetParameterValues")
        assert len(report.statuses) == MESSAGES, "no message was sent twice"
        assert report.connections == 1 + len(killed)
        assert len(killed) == (message < MESSAGES)
        records = ground.records
        assert records.values(cpe.device_id) == told_values(cpe)
        (session,) = records.sessions(cpe.device_id)
        assert (session.outcome, session.messages_exchanged) == ("completed", MESSAGES)
        assert [kind for kind, _ in records.events(cpe.device_id)] == ["device_added", "discovery_finished"]
        assert records.one("SELECT parameter_count FROM devices WHERE device_id = %s", cpe.device_id) == LEAVES
        await_all_workers(ground)

    def test_a_worker_dies_between_any_two(self, ground: Ground, big: Model) -> None:
        cpe = ground.make_cpe.of_new_model("dies always", model=big)

        def kill(number: int, client: HttpClient) -> bool:
            if number:
                kill_worker(worker_of(ground, client))
            return number > 0

        report = run_with_pauses(cpe, kill)
        assert clean(report)
        assert report.connections == MESSAGES
        assert ground.records.values(cpe.device_id) == told_values(cpe)
        assert ground.records.outcomes(cpe.device_id) == ["completed"]
        await_all_workers(ground)

    def test_an_object_is_made_once(self, ground: Ground) -> None:
        cpe = ground.make_cpe.met()
        before = len(list(cpe.tree.children(WLAN)))
        task = ground.records.add_task(cpe.device_id, "addObject", {"path": WLAN})

        def kill(number: int, client: HttpClient) -> bool:
            if number != 2:
                return False
            # It has made it, and is about to say so.
            kill_worker(worker_of(ground, client))
            return True

        report = run_with_pauses(cpe, kill)
        assert clean(report)
        assert report.rpcs.count("AddObject") == 1
        assert len(list(cpe.tree.children(WLAN))) == before + 1
        found = ground.records.task(task)
        assert (found.status, found.attempts) == ("completed", 1)
        assert ground.records.values(cpe.device_id).keys() == told_values(cpe).keys()
        await_all_workers(ground)


class TestWithARequestInIt:
    @pytest.mark.parametrize("resends", [False, True])
    def test_nothing_is_lost_or_done_twice(self, resends: bool, ground: Ground) -> None:
        """The worker dies while it saves the answer to SetParameterValues. One CPE sends its answer again, another one
        gives up and comes in a new session."""
        records = ground.records
        cpe = ground.make_cpe.met()
        task = records.add_task(cpe.device_id, "setParameterValues", {"values": [{"name": SSID, "value": "once"}]})
        killers: list[threading.Thread] = []

        def kill(number: int, client: HttpClient) -> None:
            if number != 2 or killers:
                return
            worker = worker_of(ground, client)
            held = threading.Event()

            def strike() -> None:
                with locked(records, "SELECT 1 FROM tasks WHERE id = %s FOR UPDATE", task) as connection:
                    held.set()
                    until(lambda: is_waited_for(records, connection), "the answer is being saved")
                    kill_worker(worker)

            killers.append(threading.Thread(target=strike))
            killers[0].start()
            assert held.wait(60)

        report = run_with_pauses(cpe, kill, resends=resends)
        killers[0].join()
        await_all_workers(ground)
        if not resends:
            assert report.outcome is Outcome.BROKEN
            assert records.task(task).status == "sent", "nothing of the step was saved"
            records.silence_session(cpe.device_id)
            report = cpe.run_session()
        assert clean(report)
        found = records.task(task)
        assert (found.status, found.attempts) == ("completed", 1 if resends else 2)
        assert cpe.tree.value(SSID) == "once"
        assert records.values(cpe.device_id)[SSID] == "once"
        done = [payload for kind, payload in records.events(cpe.device_id) if kind == "task_completed"]
        assert len(done) == 1

    def test_an_inform_in_it(self, ground: Ground) -> None:
        serial = new_serial()
        records = ground.records
        assert ask(ground.acs.port, soap_post(inform(serial))).status == 200
        row = records.row_of(device_id_of(serial))
        with Raw(ground.acs.port) as raw:
            worker = until(lambda: ground.acs.worker_with(raw.tcp_port) or 0, "it is accepted")
            with locked(records, "SELECT 1 FROM cwmp_sessions WHERE device_id = %s FOR UPDATE", row) as connection:
                raw.send(soap_post(inform(serial, ["1 BOOT"])))
                until(lambda: is_waited_for(records, connection), "the Inform is being saved")
                kill_worker(worker)
            assert raw.answer() is None
        await_all_workers(ground, but=worker)
        assert ask(ground.acs.port, soap_post(inform(serial, ["1 BOOT"]))).status == 200

    def test_with_one_worker_whoever_connects_meanwhile_waits_for_the_next(self, grounds: Grounds) -> None:
        with grounds(workers=1) as ground:
            (worker,) = ground.acs.workers()
            kill_worker(worker)
            assert clean(ground.make_cpe().run_session())
            assert ground.acs.workers() != [worker]


class TestPostgres:
    @pytest.fixture(scope="class")
    @classmethod
    def own(cls, tmp_path_factory: pytest.TempPathFactory, small: Model) -> Iterator[tuple[Ground, Any]]:
        """An ACS on a PostgreSQL of its own, which may be stopped."""
        folder: Path = tmp_path_factory.mktemp("postgres-of-its-own")
        with running_postgres(folder) as server:
            make_template(server)
            with (
                fresh_database(server) as url,
                running_acs(url, tmp_path_factory.mktemp("acs"), workers=2) as acs,
            ):
                yield Ground(acs=acs, records=Records(url), make_cpe=CpeMaker(acs.url, small)), server

    def test_it_is_restarted_in_the_middle_of_a_session(self, own: tuple[Ground, Any], big: Model) -> None:
        ground, server = own
        cpe = ground.make_cpe(model=big, wire=Wire(timeout_seconds=60.0))
        refusals: list[tuple[int, str | None]] = []

        def restart(number: int, client: HttpClient) -> None:
            if number == 3:
                server.stop()
                for message in (inform(new_serial()), b""):
                    answer = ask(ground.acs.port, soap_post(message), source="127.0.0.9")
                    refusals.append((answer.status, answer.header("retry-after")))
                server.start()
                # The workers look again after a moment, and refuse without looking until then.
                until(lambda: ask(ground.acs.port, soap_post(b""), source="127.0.0.9").status == 204, "it is back")
                until(lambda: ask(ground.acs.port, soap_post(b""), source="127.0.0.9").status == 204, "it is back")

        report = run_with_pauses(cpe, restart)
        assert refusals == [(503, "2"), (503, "2")]
        if report.completed:
            assert ground.records.outcomes(cpe.device_id) == ["completed"], "the same session has gone on"
            assert ground.records.values(cpe.device_id) == told_values(cpe)
        else:
            # Its message met a worker that had not looked again: it comes once more.
            assert report.outcome is Outcome.OVERLOADED
            until(lambda: cpe.run_session().completed, "the CPE's retry goes through")
        assert ground.records.values(cpe.device_id).keys() == told_values(cpe).keys()
        assert ground.records.is_discovered(cpe.device_id)

    def test_the_acs_starts_before_it(self, own: tuple[Ground, Any], tmp_path: Path) -> None:
        ground, server = own
        server.stop()
        with running_acs(ground.records.url, tmp_path, workers=1) as acs:
            answer = ask(acs.port, soap_post(inform(new_serial())))
            assert (answer.status, answer.header("retry-after")) == (503, "2")
            server.start()
            cpe = ground.make_cpe(url=acs.url)
            until(lambda: cpe.run_session().completed, "it serves")

    def test_a_cpe_that_was_refused_completes_afterwards(self, own: tuple[Ground, Any]) -> None:
        ground, server = own
        cpe = ground.make_cpe.met()
        task = ground.records.add_task(cpe.device_id, "getRPCMethods")
        server.stop()
        report = cpe.run_session()
        assert (report.outcome, report.retry_after_seconds) == (Outcome.OVERLOADED, 2.0)
        server.start()
        until(lambda: cpe.run_session().completed, "the CPE's retry goes through")
        assert ground.records.task(task).status == "completed"
        assert ground.records.task(task).attempts == 1

    def test_it_crashes_and_sessions_under_way_are_forgotten(self, own: tuple[Ground, Any], big: Model) -> None:
        ground, server = own
        cpe = ground.make_cpe(model=big)

        def crash(number: int, client: HttpClient) -> None:
            if number == 3:
                server._control("stop", "-w", "-m", "immediate")
                server.start()
                until(lambda: ask(ground.acs.port, soap_post(b""), source="127.0.0.9").status == 204, "it is back")

        report = run_with_pauses(cpe, crash)
        assert not report.completed
        until(lambda: cpe.run_session().completed, "the CPE's retry goes through")
        assert ground.records.is_discovered(cpe.device_id)
        assert ground.records.values(cpe.device_id).keys() == told_values(cpe).keys()


class TestStopping:
    def test_what_is_being_worked_on_is_finished(self, grounds: Grounds) -> None:
        with grounds(workers=2) as ground:
            cpe = ground.make_cpe.met()
            records, row = ground.records, ground.records.row_of(cpe.device_id)
            with ThreadPoolExecutor(1) as pool:
                with locked(records, "SELECT 1 FROM device_informs WHERE device_id = %s FOR UPDATE", row) as connection:
                    session = pool.submit(
                        ask, ground.acs.port, soap_post(inform_of(cpe.serial_number, cpe.identity.origin))
                    )
                    until(lambda: is_waited_for(records, connection), "the Inform is being worked on")
                    ground.acs.tell_to_stop()
                    until(lambda: len(ground.acs.workers()) == 1, "the worker that has nothing to do has ended")
                answer = session.result()
            assert answer.status == 200
            assert records.is_in_session(cpe.device_id)
            assert ground.acs.wait() == 0
            assert "acs stopped" in ground.acs.log
            with pytest.raises(ConnectionRefusedError):
                Raw(ground.acs.port)

    def test_workers_that_do_not_serve_yet_end_too(self, grounds: Grounds) -> None:
        with grounds(workers=2) as ground:
            kill_worker(ground.acs.workers()[0])
            begun = now()
            ground.acs.tell_to_stop()
            ground.acs.wait()
            assert now() - begun < STOP_SECONDS - 1, "nobody had to be killed"

    def test_a_session_goes_on_with_the_next_process(self, grounds: Grounds, big: Model) -> None:
        with grounds(workers=1) as ground, contextlib.ExitStack() as stack:
            cpe = ground.make_cpe(model=big)

            def replace(number: int, client: HttpClient) -> bool:
                if number != 3:
                    return False
                assert ground.acs.stop() == 0
                settings = {"workers": 1, "port": ground.acs.port}
                stack.enter_context(running_acs(ground.records.url, ground.acs.folder / "next", **settings))
                return True

            report = run_with_pauses(cpe, replace)
            assert clean(report)
            assert report.connections == 2
            assert ground.records.values(cpe.device_id) == told_values(cpe)
            assert ground.records.outcomes(cpe.device_id) == ["completed"]


def inform_of(serial: str, origin: Any) -> bytes:
    """A periodic Inform of an emulated CPE, with nothing in it."""
    told = inform(serial).replace(b"<ProductClass>HandWritten<", f"<ProductClass>{origin.product_class}<".encode())
    return told.replace(b"<OUI>001122<", f"<OUI>{origin.oui}<".encode())
