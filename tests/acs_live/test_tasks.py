"""Every kind of task, from the row in `tasks` to what the device did."""

from __future__ import annotations

import json

import pytest

from agent.acs.tasks import KINDS, PRIORITIES
from agent.sim.cpe.cpe import Cpe
from agent.sim.cpe.records import Event
from tests.acs_live.cpes import CpeMaker, clean, told_values
from tests.acs_live.records import EVERY_KIND, Records

IGD = "InternetGatewayDevice."
WLAN = f"{IGD}LANDevice.1.WLANConfiguration."
SSID = f"{WLAN}1.SSID"
CHANNEL = f"{WLAN}1.Channel"


@pytest.fixture
def cpe(make_cpe: CpeMaker) -> Cpe:
    return make_cpe.met()


def done(records: Records, task: int) -> dict[str, object]:
    """The result of a task that went well."""
    found = records.task(task)
    assert (found.status, found.attempts, found.fault_code) == ("completed", 1, None), found
    assert found.result is not None
    return found.result


class TestReading:
    def test_values_by_name_and_below_an_object(self, cpe: Cpe, records: Records) -> None:
        cpe.tree.set_value(SSID, "A & B <5 GHz> „Küche“")
        cpe.tree.set_value(CHANNEL, "11")
        task = records.add_task(cpe.device_id, "getParameterValues", {"names": [SSID, f"{IGD}Time."]})
        report = cpe.run_session()
        assert clean(report)
        assert report.rpcs == ("GetParameterValues",)
        wanted = {name: value for name, value in told_values(cpe).items() if name.startswith((f"{IGD}Time.", SSID))}
        assert done(records, task) == {"count": len(wanted), "missing": 0, "values": wanted}
        stored = records.values(cpe.device_id)
        assert stored[SSID] == "A & B <5 GHz> „Küche“"
        assert stored[CHANNEL] != "11", "that was not asked"

    def test_a_name_that_is_not_there_is_left_out(self, cpe: Cpe, records: Records) -> None:
        task = records.add_task(cpe.device_id, "getParameterValues", {"names": [f"{IGD}No.Such", SSID]})
        report = cpe.run_session()
        assert clean(report)
        assert 9005 in report.faults
        result = done(records, task)
        assert (result["count"], result["missing"]) == (1, 1)

    def test_an_object_anew(self, cpe: Cpe, records: Records) -> None:
        gone, fresh = f"{WLAN}5.", cpe.tree.add_instance(WLAN)
        cpe.tree.delete_instance(gone)
        task = records.add_task(cpe.device_id, "refreshObject", {"path": WLAN})
        report = cpe.run_session()
        assert clean(report)
        assert report.rpcs == ("GetParameterNames", "GetParameterValues")
        assert done(records, task)["missing"] == 0
        stored = records.values(cpe.device_id)
        assert not [name for name in stored if name.startswith(gone)]
        assert [name for name in stored if name.startswith(f"{WLAN}{fresh}.")]
        assert set(stored) == set(told_values(cpe))

    def test_everything_anew(self, cpe: Cpe, records: Records) -> None:
        cpe.tree.set_value(CHANNEL, "13")
        task = records.add_task(cpe.device_id, "refreshObject")
        assert clean(cpe.run_session())
        assert done(records, task)["count"] == len(told_values(cpe))
        assert records.values(cpe.device_id) == told_values(cpe)

    def test_which_rpcs_there_are(self, cpe: Cpe, records: Records) -> None:
        task = records.add_task(cpe.device_id, "getRPCMethods")
        assert clean(cpe.run_session())
        methods = done(records, task)["methods"]
        assert isinstance(methods, list)
        assert {"GetRPCMethods", "Download", "ChangeDUState"} <= set(methods)


class TestWriting:
    def test_values_with_types_and_without(self, cpe: Cpe, records: Records) -> None:
        text = 'Ünï & <b> "quoted" ]]> &amp;\ttab\nline'
        values = [
            {"name": SSID, "value": text},
            {"name": CHANNEL, "value": 6, "type": "unsignedInt"},
            {"name": f"{IGD}BulkData.Enable", "value": True},
        ]
        task = records.add_task(cpe.device_id, "setParameterValues", {"values": values, "parameter_key": "v7"})
        report = cpe.run_session()
        assert clean(report)
        assert report.rpcs == ("SetParameterValues",)
        assert done(records, task) == {"status": 0}
        assert cpe.tree.value(SSID) == text
        assert cpe.tree.value(CHANNEL) == "6"
        assert cpe.tree.value(f"{IGD}BulkData.Enable") == "true"
        assert cpe.value("ManagementServer.ParameterKey") == "v7"
        stored = records.values(cpe.device_id)
        assert (stored[SSID], stored[CHANNEL]) == (text, "6")

    def test_every_bad_parameter_is_named_and_nothing_is_written(self, cpe: Cpe, records: Records) -> None:
        before = records.values(cpe.device_id)
        values = [
            {"name": SSID, "value": "new"},
            {"name": f"{IGD}DeviceInfo.SerialNumber", "value": "1"},
            {"name": f"{IGD}No.Such", "value": "1"},
            {"name": CHANNEL, "value": "eleven", "type": "unsignedInt"},
        ]
        task = records.add_task(cpe.device_id, "setParameterValues", {"values": values, "parameter_key": "v8"})
        assert clean(cpe.run_session())
        found = records.task(task)
        assert (found.status, found.fault_code) == ("failed", "9003")
        (fault,) = records.faults(cpe.device_id)
        assert (fault.channel, fault.code, fault.retry_at) == (f"task_{task}", "9003", None)
        codes = {each["name"]: each["code"] for each in fault.detail["parameters"]}
        assert codes == {f"{IGD}DeviceInfo.SerialNumber": "9008", f"{IGD}No.Such": "9005", CHANNEL: "9007"}
        assert cpe.tree.value(SSID) != "new"
        assert cpe.value("ManagementServer.ParameterKey") != "v8"
        assert records.values(cpe.device_id) == before

    def test_attributes(self, cpe: Cpe, records: Records) -> None:
        attributes = [{"name": SSID, "notification": 2, "access_list": []}, {"name": f"{IGD}Time.", "notification": 1}]
        task = records.add_task(cpe.device_id, "setParameterAttributes", {"attributes": attributes})
        assert clean(cpe.run_session())
        assert done(records, task) == {}
        assert cpe.tree.notification(SSID) == 2
        assert cpe.tree.access_list(SSID) == ()
        assert cpe.tree.notification(f"{IGD}Time.NTPServer1") == 1
        cpe.change(SSID, "by hand")
        assert [event.code for event in cpe.run_session().events] == ["4 VALUE CHANGE"]
        assert records.values(cpe.device_id)[SSID] == "by hand"

    def test_an_instance_is_made_read_and_removed(self, cpe: Cpe, records: Records) -> None:
        task = records.add_task(cpe.device_id, "addObject", {"path": WLAN, "parameter_key": "a1"})
        report = cpe.run_session()
        assert clean(report)
        assert report.rpcs == ("AddObject", "GetParameterNames", "GetParameterValues")
        result = done(records, task)
        path = f"{WLAN}{result['instance']}."
        assert result["path"] == path
        assert cpe.value("ManagementServer.ParameterKey") == "a1"
        stored = records.values(cpe.device_id)
        assert {name for name in stored if name.startswith(path)} == set(cpe.tree.parameters_under(path))
        task = records.add_task(cpe.device_id, "deleteObject", {"path": path})
        assert clean(cpe.run_session())
        assert done(records, task) == {"status": 0}
        assert not [name for name in records.values(cpe.device_id) if name.startswith(path)]
        assert cpe.tree.node(path) is None


class TestCommands:
    def test_a_session_later(self, cpe: Cpe, records: Records) -> None:
        task = records.add_task(cpe.device_id, "scheduleInform", {"delay_seconds": 60})
        assert clean(cpe.run_session())
        assert done(records, task) == {}
        report = cpe.run_session()
        assert report.events == (Event("3 SCHEDULED"), Event("M ScheduleInform", f"lastmile-{task}"))
        assert done(records, task) == {}

    def test_a_reboot_ends_the_session(self, cpe: Cpe, records: Records) -> None:
        task = records.add_task(cpe.device_id, "reboot")
        later = records.add_task(cpe.device_id, "reboot")
        report = cpe.run_session()
        assert clean(report)
        assert report.rpcs == ("Reboot",)
        assert done(records, task) == {}
        assert records.task(later).status == "pending"
        report = cpe.run_session()
        assert clean(report)
        assert report.events == (Event("1 BOOT"), Event("M Reboot", f"lastmile-{task}"))
        assert report.rpcs == ("Reboot",)
        assert done(records, later) == {}

    def test_a_factory_reset_means_that_the_tree_is_read_anew(self, cpe: Cpe, records: Records) -> None:
        cpe.tree.set_value(CHANNEL, "13")
        task = records.add_task(cpe.device_id, "factoryReset")
        assert clean(cpe.run_session())
        assert done(records, task) == {}
        report = cpe.run_session()
        assert clean(report)
        assert [event.code for event in report.events] == ["0 BOOTSTRAP", "1 BOOT"]
        assert report.rpcs[0] == "GetParameterNames"
        assert records.values(cpe.device_id) == told_values(cpe)


class TestOrder:
    def test_one_session_does_them_all_in_their_order(self, cpe: Cpe, records: Records) -> None:
        assert set(EVERY_KIND) == set(KINDS)
        tasks = {
            kind: records.add_task(cpe.device_id, kind, arguments) for kind, arguments in reversed(EVERY_KIND.items())
        }
        report = cpe.run_session()
        assert clean(report)
        assert report.rpcs == (
            "GetRPCMethods",
            *("GetParameterNames", "GetParameterValues"),
            "GetParameterValues",
            "SetParameterValues",
            "SetParameterAttributes",
            *("AddObject", "GetParameterNames", "GetParameterValues"),
            "DeleteObject",
            "Download",
            "Upload",
            "ScheduleInform",
            "Reboot",
        )
        statuses = {kind: records.task(task).status for kind, task in tasks.items()}
        assert statuses.pop("factoryReset") == "pending", "the reboot ended the session"
        assert statuses.pop("download") == statuses.pop("upload") == "sent"
        assert set(statuses.values()) == {"completed"}

    def test_what_is_not_due_or_too_late_is_not_sent(self, cpe: Cpe, records: Records) -> None:
        early, late = (records.add_task(cpe.device_id, "getRPCMethods") for _ in range(2))
        records.rows("UPDATE tasks SET not_before = now() + interval '1 hour' WHERE id = %s", early)
        records.rows("UPDATE tasks SET expires_at = now() - interval '1 second' WHERE id = %s", late)
        report = cpe.run_session()
        assert clean(report)
        assert report.rpcs == ()

    def test_what_somebody_wrote_wrongly_fails_and_the_next_one_is_done(self, cpe: Cpe, records: Records) -> None:
        wrong = records.one(
            "INSERT INTO tasks (device_id, kind, arguments, priority, expires_at) VALUES (%s, 'setParameterValues',"
            " %s, 1, now() + interval '1 hour') RETURNING id",
            *(records.row_of(cpe.device_id), json.dumps({"values": "all of them"})),
        )
        unknown = records.one(
            "INSERT INTO tasks (device_id, kind, priority, expires_at) VALUES (%s, 'selfDestruct', 1,"
            " now() + interval '1 hour') RETURNING id",
            records.row_of(cpe.device_id),
        )
        good = records.add_task(cpe.device_id, "getRPCMethods")
        report = cpe.run_session()
        assert clean(report)
        assert report.rpcs == ("GetRPCMethods",)
        assert (records.task(wrong).status, records.task(wrong).fault_code) == ("failed", "arguments")
        assert (records.task(unknown).status, records.task(unknown).fault_code) == ("failed", "arguments")
        assert done(records, good)
        assert PRIORITIES["getRPCMethods"] > 1
