"""What the ACS makes of the faults of CPEs (docs/acs.md, "Faults"), as seen in its tables."""

from __future__ import annotations

from typing import Any

import pytest

from agent.sim.cpe.behaviour import Behaviour, Mishap, MishapKind, Trigger
from agent.sim.cpe.cpe import Cpe
from tests.acs_live.cpes import CpeMaker, clean, told_values
from tests.acs_live.records import Records

IGD = "InternetGatewayDevice."
SSID = f"{IGD}LANDevice.1.WLANConfiguration.1.SSID"
FIRST_WAIT_SECONDS = 300.0


def fault(code: int) -> Mishap:
    return Mishap(kind=MishapKind.FAULT, code=code)


def refusing(method: str, code: int) -> Behaviour:
    return Behaviour(on_method={method: fault(code)})


def profile(records: Records, cpe: Cpe) -> dict[str, Any]:
    """What was learned of the CPE's model."""
    found: dict[str, Any] = records.one(
        "SELECT profile FROM device_models JOIN devices ON devices.model_id = device_models.id WHERE device_id = %s",
        cpe.device_id,
    )
    return found


class TestOfTasks:
    SET = ("setParameterValues", {"values": [{"name": SSID, "value": "new"}]})
    REACTIONS: dict[int, str] = {  # noqa: RUF012 - read only
        9001: "pending",
        9002: "failed",
        9003: "failed",
        9004: "pending",
        9005: "failed",
        9006: "failed",
        9007: "failed",
        9008: "failed",
        9800: "failed",
    }

    @pytest.mark.parametrize("code", REACTIONS)
    def test_reaction(self, code: int, records: Records, make_cpe: CpeMaker) -> None:
        cpe = make_cpe.met()
        cpe.behave(refusing("SetParameterValues", code))
        task = records.add_task(cpe.device_id, *self.SET)
        behind = records.add_task(cpe.device_id, "addObject", {"path": f"{IGD}LANDevice.1.WLANConfiguration."})
        assert clean(cpe.run_session())
        found = records.task(task)
        assert (found.status, found.fault_code, found.attempts) == (self.REACTIONS[code], str(code), 1)
        (known,) = records.faults(cpe.device_id)
        assert (known.channel, known.code) == (f"task_{task}", str(code))
        assert records.task(behind).status == "completed", "one thing that fails stops no other"
        if found.status == "failed":
            assert known.retry_at is None
            return
        assert 0 < found.wait_seconds <= FIRST_WAIT_SECONDS
        assert known.retry_at is not None
        cpe.behave(Behaviour())
        assert cpe.run_session().rpcs == (), "not before its time"
        records.retry_now(task)
        assert clean(cpe.run_session())
        assert records.task(task).status == "completed"
        assert records.faults(cpe.device_id) == []
        assert cpe.tree.value(SSID) == "new"

    def test_it_is_tried_so_often_and_no_more(self, records: Records, make_cpe: CpeMaker) -> None:
        cpe = make_cpe.met()
        cpe.behave(refusing("SetParameterValues", 9001))
        task = records.add_task(cpe.device_id, *self.SET)
        waits = []
        while records.task(task).status == "pending":
            records.retry_now(task)
            assert clean(cpe.run_session())
            waits.append(records.task(task).wait_seconds)
        found = records.task(task)
        assert (found.status, found.attempts) == ("failed", 6)
        doubled = [FIRST_WAIT_SECONDS * 2**number for number in range(5)]
        assert all(wanted - 60 < wait <= wanted for wait, wanted in zip(waits, doubled, strict=False)), waits
        assert records.one("SELECT retries FROM faults WHERE channel = %s", f"task_{task}") == 5


class TestOfDiscovery:
    def test_9001_is_tried_again_later(self, records: Records, make_cpe: CpeMaker) -> None:
        cpe = make_cpe.of_new_model("denies", behaviour=refusing("GetParameterNames", 9001))
        assert clean(cpe.run_session())
        assert not records.is_discovered(cpe.device_id)
        (known,) = records.faults(cpe.device_id)
        assert (known.channel, known.code) == ("discovery", "9001")
        assert known.retry_at is not None
        assert [kind for kind, _ in records.events(cpe.device_id)] == ["device_added", "discovery_failed"]
        cpe.behave(Behaviour())
        assert cpe.run_session().rpcs == ()
        records.rows("UPDATE devices SET discovery_not_before = now() WHERE device_id = %s", cpe.device_id)
        assert clean(cpe.run_session())
        assert records.values(cpe.device_id).keys() == told_values(cpe).keys()
        assert records.faults(cpe.device_id) == []

    def test_9004_less_is_asked_at_once_and_of_the_next_device_too(self, records: Records, make_cpe: CpeMaker) -> None:
        behaviour = Behaviour(most_names=40)
        cpe = make_cpe.of_new_model("bears 40", behaviour=behaviour)
        report = cpe.run_session()
        assert clean(report)
        assert set(report.faults) == {9004}
        assert records.values(cpe.device_id) == told_values(cpe)
        assert profile(records, cpe)["ceiling"] <= 40
        other = make_cpe.of_new_model("bears 40", behaviour=behaviour)
        report = other.run_session()
        assert clean(report)
        assert report.faults == ()
        assert records.values(other.device_id) == told_values(other)

    def test_9002_less_is_asked_at_once(self, records: Records, make_cpe: CpeMaker) -> None:
        cpe = make_cpe.of_new_model("stumbles once")
        cpe.device.mishaps.append(Mishap(kind=MishapKind.FAULT, code=9002, method="GetParameterValues"))
        report = cpe.run_session()
        assert clean(report)
        assert report.faults == (9002,)
        assert report.rpcs.count("GetParameterValues") == 3, "the whole, and two halves"
        assert records.values(cpe.device_id) == told_values(cpe)

    def test_a_device_that_cannot_list_all_at_once_is_asked_level_by_level(
        self, records: Records, make_cpe: CpeMaker
    ) -> None:
        behaviour = Behaviour(most_answer_bytes=9_000)
        cpe = make_cpe.of_new_model("short answers", behaviour=behaviour)
        assert clean(cpe.run_session())
        assert records.values(cpe.device_id) == told_values(cpe)
        assert profile(records, cpe)["walk"]
        other = make_cpe.of_new_model("short answers", behaviour=behaviour)
        assert other.run_session().faults == ()
        assert records.values(other.device_id) == told_values(other)

    def test_9005_is_left_out_and_not_asked_of_the_next_device(self, records: Records, make_cpe: CpeMaker) -> None:
        behaviour = Behaviour(name_faults={SSID: 9005, f"{IGD}Time.NTPServer2": 9005})
        cpe = make_cpe.of_new_model("bad names", behaviour=behaviour)
        report = cpe.run_session()
        assert clean(report)
        assert set(report.faults) == {9005}
        wanted = {name: value for name, value in told_values(cpe).items() if name not in behaviour.name_faults}
        assert records.values(cpe.device_id) == wanted
        assert records.events(cpe.device_id)[-1][1] == {"parameters": len(wanted), "missing": 2}
        assert set(profile(records, cpe)["bad"]) == {f"{IGD}Time.NTPServer2"}, "the SSID of another instance is given"
        other = make_cpe.of_new_model("bad names", behaviour=behaviour)
        assert len(other.run_session().faults) < len(report.faults)

    @pytest.mark.parametrize("trigger", Trigger)
    @pytest.mark.parametrize("kind", [MishapKind.FAULT, MishapKind.CUT])
    def test_devices_that_do_not_bear_some_requests(
        self, trigger: Trigger, kind: MishapKind, records: Records, make_cpe: CpeMaker
    ) -> None:
        behaviour = Behaviour(on_trigger={trigger: Mishap(kind=kind, code=9003)})
        cpe = make_cpe.of_new_model(f"does not bear {trigger.value} {kind.value}", behaviour=behaviour)
        report = cpe.run_session()
        if trigger is Trigger.EMPTY_PATH and kind is MishapKind.CUT:
            # The one request that every tree begins with; the device that crashes at it is known as such.
            assert not report.completed
            assert not records.is_discovered(cpe.device_id)
            return
        assert clean(report)
        assert records.values(cpe.device_id) == told_values(cpe)

    @pytest.mark.parametrize("every", [2, 3, 7])
    def test_every_so_many_rpcs_go_wrong(self, every: int, records: Records, make_cpe: CpeMaker) -> None:
        cpe = make_cpe.of_new_model(f"every {every}", behaviour=Behaviour(every=every, every_mishap=fault(9002)))
        assert clean(cpe.run_session())
        assert records.is_in_session(cpe.device_id) is False
        stored = records.values(cpe.device_id)
        assert {name: told_values(cpe)[name] for name in stored} == stored
        if records.is_discovered(cpe.device_id):
            assert len(stored) >= 0.9 * len(told_values(cpe))

    def test_the_whole_of_a_device_that_gives_one_name_at_a_time(self, records: Records, make_cpe: CpeMaker) -> None:
        cpe = make_cpe.of_new_model("one by one", behaviour=Behaviour(most_names=1))
        report = cpe.run_session()
        assert clean(report)
        assert records.values(cpe.device_id) == told_values(cpe)
