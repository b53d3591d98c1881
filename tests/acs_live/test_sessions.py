"""What happens to sessions when CPEs do not behave: twice at once, silent, slow, rebooting, talking nonsense."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from agent.sim.cpe.behaviour import Behaviour, Mishap, MishapKind
from agent.sim.cpe.http_client import HttpClient
from agent.sim.cpe.records import Outcome, SessionReport
from agent.sim.cpe.wire import Wire
from tests.acs_live.conftest import Ground, Grounds
from tests.acs_live.cpes import CpeMaker, clean, run_with_pauses, told_values
from tests.acs_live.messages import device_id_of, inform, new_serial, rpc
from tests.acs_live.process import Acs, running_worker
from tests.acs_live.raw import Raw, ask, soap_post
from tests.acs_live.records import Records
from tests.acs_live.seen import SeenTable, told
from tests.acs_live.test_crashes import is_waited_for, locked
from tests.acs_live.waiting import until

SSID = "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.SSID"
EXTRA = ("GetRPCMethods", "RequestDownload", "Kicked", "AutonomousTransferComplete")


class TestTwoAtOnce:
    def test_a_second_inform_waits(self, records: Records, make_cpe: CpeMaker) -> None:
        cpe = make_cpe.met()
        cpe.behave(Behaviour(duplicate_inform=True))
        task = records.add_task(cpe.device_id, "getRPCMethods")
        report = cpe.run_session()
        assert clean(report), "the first one goes on"
        assert report.duplicate_statuses == (503,)
        assert records.task(task).status == "completed"
        assert records.outcomes(cpe.device_id) == ["completed", "completed"]

    def test_it_is_told_when_to_come_again(self, acs: Acs, records: Records, seen: SeenTable) -> None:
        serial = new_serial()
        assert ask(acs.port, soap_post(inform(serial))).status == 200
        answer = ask(acs.port, soap_post(inform(serial)))
        assert (answer.status, answer.header("retry-after")) == (503, "2")
        assert "session already" in answer.text
        seen.note("a second Inform while the device has a session", told(answer))
        assert records.is_in_session(device_id_of(serial))

    def test_it_takes_over_when_the_first_has_fallen_silent(self, acs: Acs, records: Records) -> None:
        serial = new_serial()
        assert ask(acs.port, soap_post(inform(serial))).status == 200
        records.silence_session(device_id_of(serial))
        assert ask(acs.port, soap_post(inform(serial))).status == 200
        (session,) = records.sessions(device_id_of(serial))
        assert (session.outcome, session.reason) == ("taken_over", "the device began a new session")

    def test_it_takes_over_when_the_device_has_restarted(self, records: Records, make_cpe: CpeMaker) -> None:
        cpe = make_cpe.met()
        task = records.add_task(cpe.device_id, "setParameterValues", {"values": [{"name": SSID, "value": "once"}]})
        cpe.device.mishaps.append(Mishap(kind=MishapKind.REBOOT))
        report = cpe.run_session()
        assert report.outcome is Outcome.CRASHED
        assert records.is_in_session(cpe.device_id)
        assert records.task(task).status == "sent"
        report = cpe.run_session()
        assert clean(report)
        assert [event.code for event in report.events][:1] == ["1 BOOT"]
        assert records.outcomes(cpe.device_id) == ["completed", "taken_over", "completed"]
        found = records.task(task)
        assert (found.status, found.attempts) == ("completed", 2)
        assert cpe.tree.value(SSID) == "once"

    def test_the_same_message_twice_at_the_same_time(self, acs: Acs, records: Records) -> None:
        """A CPE, or something between, has lost patience: one is answered, the other must come again."""
        serial = new_serial()
        first = ask(acs.port, soap_post(inform(serial)))
        cookie = {"Cookie": (first.header("set-cookie") or "").partition(";")[0]}
        row = records.row_of(device_id_of(serial))
        with ThreadPoolExecutor(2) as pool:
            with locked(records, "SELECT 1 FROM cwmp_sessions WHERE device_id = %s FOR UPDATE", row) as connection:
                both = [pool.submit(ask, acs.port, soap_post(b"", cookie)) for _ in range(2)]
                until(lambda: is_waited_for(records, connection), "they are being answered")
            answers = [each.result() for each in both]
        assert {answer.status for answer in answers} <= {200, 503}
        asked = {answer.text for answer in answers if answer.status == 200}
        assert len(asked) == 1, "it is asked one thing"
        assert records.one("SELECT sequence FROM cwmp_sessions WHERE device_id = %s", row) in (1, 2)

    def test_the_first_one_does_not_go_on_after_that(self, acs: Acs) -> None:
        serial = new_serial()
        with Raw(acs.port) as raw:
            first = raw.ask(soap_post(inform(serial)))
            assert first is not None
            cookie = {"Cookie": (first.header("set-cookie") or "").partition(";")[0]}
            assert ask(acs.port, soap_post(inform(serial, ["1 BOOT"]))).status == 200
            late = raw.ask(soap_post(rpc("<cwmp:GetRPCMethods/>"), cookie))
            assert late is not None
            assert (late.status, late.text) == (400, "no session: begin with an Inform")


class TestSilence:
    def test_a_silent_session_ends_and_its_task_is_sent_again(self, grounds: Grounds) -> None:
        with grounds(session_idle_seconds=1) as ground:
            cpe = ground.make_cpe.met(wire=Wire(timeout_seconds=1.0))
            task = ground.records.add_task(cpe.device_id, "getRPCMethods")
            cpe.device.mishaps.append(Mishap(kind=MishapKind.HANG))
            assert cpe.run_session().outcome is Outcome.CRASHED
            assert ground.records.task(task).status == "sent"
            with running_worker(ground.records.url, ground.acs.folder, session_idle_seconds=1):
                until(lambda: not ground.records.is_in_session(cpe.device_id), "the session is ended")
            assert ground.records.outcomes(cpe.device_id) == ["completed", "timeout"]
            assert ground.records.task(task).status == "pending"
            assert clean(cpe.run_session())
            assert ground.records.task(task).status == "completed"

    def test_a_task_that_is_never_answered_is_given_up(self, records: Records, make_cpe: CpeMaker) -> None:
        cpe = make_cpe.met()
        task = records.add_task(cpe.device_id, "getRPCMethods")
        cpe.wire = Wire(timeout_seconds=0.3)
        cpe.behave(Behaviour(on_method={"GetRPCMethods": Mishap(kind=MishapKind.HANG)}))
        for _ in range(3):
            assert cpe.run_session().outcome is Outcome.CRASHED
            records.silence_session(cpe.device_id)
        cpe.wire = Wire()
        assert clean(cpe.run_session())
        found = records.task(task)
        assert (found.status, found.attempts, found.fault_code) == ("failed", 3, "session")

    def test_slow_answers(self, records: Records, make_cpe: CpeMaker) -> None:
        cpe = make_cpe(behaviour=Behaviour(answer_delay_seconds=0.3))
        report = cpe.run_session()
        assert clean(report)
        assert report.seconds > 0.3 * len(report.rpcs)
        assert records.values(cpe.device_id) == told_values(cpe)


class TestNonsense:
    @pytest.mark.parametrize("kind", [MishapKind.MALFORMED, MishapKind.CUT, MishapKind.DROP])
    def test_it_ends_that_session_only(self, kind: MishapKind, records: Records, make_cpe: CpeMaker) -> None:
        good, bad = make_cpe(), make_cpe()
        bad.device.mishaps.append(Mishap(kind=kind, method="GetParameterNames"))
        seen: list[SessionReport] = []

        def meanwhile(message: int, client: HttpClient) -> None:
            if message == 2:
                with ThreadPoolExecutor(1) as pool:
                    seen.append(pool.submit(bad.run_session).result())

        assert clean(run_with_pauses(good, meanwhile))
        assert records.values(good.device_id) == told_values(good)
        assert seen[0].outcome in (Outcome.REFUSED, Outcome.CRASHED)
        assert not records.is_discovered(bad.device_id)
        records.silence_session(bad.device_id)
        assert clean(bad.run_session())
        assert records.is_discovered(bad.device_id)
        assert records.values(bad.device_id) == told_values(bad)

    def test_an_empty_post_instead_of_an_answer_is_asked_again(self, records: Records, make_cpe: CpeMaker) -> None:
        cpe = make_cpe.met()
        task = records.add_task(cpe.device_id, "getRPCMethods")
        cpe.device.mishaps.append(Mishap(kind=MishapKind.EMPTY))
        report = cpe.run_session()
        assert clean(report)
        assert report.rpcs == ("GetRPCMethods", "GetRPCMethods")
        assert records.task(task).status == "completed"

    def test_nothing_but_empty_posts(self, records: Records, make_cpe: CpeMaker) -> None:
        cpe = make_cpe.met()
        task = records.add_task(cpe.device_id, "getRPCMethods")
        cpe.behave(Behaviour(every=1, every_mishap=Mishap(kind=MishapKind.EMPTY)))
        assert clean(cpe.run_session())
        found = records.task(task)
        assert (found.status, found.fault_code) == ("pending", "empty")
        assert found.wait_seconds > 0

    @pytest.mark.parametrize(
        "answer",
        [
            "<cwmp:RebootResponse/>",
            "<cwmp:GetParameterNames><ParameterPath/><NextLevel>0</NextLevel></cwmp:GetParameterNames>",
            "<cwmp:InformResponse><MaxEnvelopes>1</MaxEnvelopes></cwmp:InformResponse>",
        ],
    )
    def test_the_answer_to_something_else(self, answer: str, acs: Acs, records: Records) -> None:
        serial = new_serial()
        with Raw(acs.port) as raw:
            first = raw.ask(soap_post(inform(serial)))
            assert first is not None
            cookie = {"Cookie": (first.header("set-cookie") or "").partition(";")[0]}
            asked = raw.ask(soap_post(b"", cookie))
            assert asked is not None
            identifier = asked.text.partition(":ID")[2].partition(">")[2].partition("<")[0]
            end = raw.ask(soap_post(rpc(answer, identifier), cookie))
            assert end is not None
        assert end.status == 204
        (session,) = records.sessions(device_id_of(serial))
        assert session.outcome == "failed"
        assert "does not answer what was asked" in session.reason


class TestOwnRequests:
    def test_all_of_them_in_one_session(self, records: Records, make_cpe: CpeMaker) -> None:
        cpe = make_cpe.met()
        cpe.behave(Behaviour(extra_requests=EXTRA))
        report = cpe.run_session()
        assert clean(report)
        assert report.requests == ("Inform", *EXTRA)
        kinds = [kind for kind, _ in records.events(cpe.device_id)][2:]
        assert kinds == ["download_requested", "kicked", "autonomous_transfer"]

    @pytest.mark.parametrize("method", EXTRA)
    def test_each_and_the_worker_keeps_serving(self, method: str, ground: Ground) -> None:
        workers = ground.acs.workers()
        cpe = ground.make_cpe(behaviour=Behaviour(extra_requests=(method,)))
        for _ in range(2):
            assert clean(cpe.run_session())
        assert ground.acs.workers() == workers
        assert ground.records.values(cpe.device_id).keys() == told_values(cpe).keys()

    def test_one_that_nobody_knows(self, acs: Acs, records: Records) -> None:
        serial = new_serial()
        with Raw(acs.port) as raw:
            first = raw.ask(soap_post(inform(serial)))
            assert first is not None
            cookie = {"Cookie": (first.header("set-cookie") or "").partition(";")[0]}
            answer = raw.ask(soap_post(rpc("<cwmp:X_Acme_SelfDestruct/>", "77"), cookie))
            assert answer is not None
            assert "<FaultCode>8000</FaultCode>" in answer.text
            assert ">77<" in answer.text
            asked = raw.ask(soap_post(b"", cookie))
            assert asked is not None
            assert "GetParameterNames" in asked.text


def test_a_message_without_a_session(acs: Acs) -> None:
    answer = ask(acs.port, soap_post(rpc("<cwmp:GetRPCMethods/>")), source="127.0.0.77")
    assert (answer.status, answer.text) == (400, "no session: begin with an Inform")
    assert ask(acs.port, soap_post(b""), source="127.0.0.77").status == 204
