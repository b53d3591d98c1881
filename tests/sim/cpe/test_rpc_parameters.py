"""RPCs on parameters and objects, answered without HTTP."""

from __future__ import annotations

import dataclasses

import pytest

from agent.sim.cpe.behaviour import Behaviour
from agent.sim.cpe.device import Device
from agent.sim.cpe.model import Model
from tests.sim.cpe import rpc_xml
from tests.sim.cpe.answers import ask
from tests.sim.cpe.conftest import MakeCpe
from tests.sim.cpe.rpc_xml import IGD

SSID = IGD + "LANDevice.1.WLANConfiguration.1.SSID"
INTERVAL = IGD + "ManagementServer.PeriodicInformInterval"
KEY = IGD + "ManagementServer.ParameterKey"
MAPPINGS = IGD + "WANDevice.1.WANConnectionDevice.1.WANPPPConnection.1.PortMapping."


@pytest.fixture
def device(lone_cpe: MakeCpe, tr098: Model) -> Device:
    return lone_cpe(model=tr098).device


def test_values_by_name_by_path_and_all(device: Device) -> None:
    told = ask(device, rpc_xml.get_values(SSID, INTERVAL))
    assert told.values == {SSID: device.tree.value(SSID), INTERVAL: device.tree.value(INTERVAL)}
    types = [each.get("{http://www.w3.org/2001/XMLSchema-instance}type") for each in told.content.findall(".//Value")]
    assert types == ["xsd:string", "xsd:unsignedInt"]
    below = ask(device, rpc_xml.get_values(IGD + "Time.")).values
    assert set(below) == {name for name in device.tree.under(IGD + "Time.") if not name.endswith(".")}
    assert len(ask(device, rpc_xml.get_values("")).values) == device.tree.model.leaf_count


def test_one_unknown_name_fails_the_call(device: Device) -> None:
    assert ask(device, rpc_xml.get_values(SSID, IGD + "Nothing")).fault == 9005
    assert ask(device, rpc_xml.get_values("Device.")).fault == 9005
    assert ask(device, rpc_xml.get_values(IGD + "*.SSID")).fault == 9005


def test_passwords_read_as_empty(device: Device) -> None:
    name = IGD + "ManagementServer.ConnectionRequestPassword"
    assert ask(device, rpc_xml.set_values((name, "secret", "string"))).method == "SetParameterValuesResponse"
    assert ask(device, rpc_xml.get_values(name)).values == {name: ""}
    assert device.tree.value(name) == "secret"


def test_names_of_a_level_of_a_subtree_and_of_all(device: Device) -> None:
    level = ask(device, rpc_xml.get_names(IGD + "LANDevice.1.WLANConfiguration.", next_level=True)).texts(".//Name")
    assert level == [IGD + "LANDevice.1.WLANConfiguration.1.", IGD + "LANDevice.1.WLANConfiguration.5."]
    subtree = ask(device, rpc_xml.get_names(IGD + "Time.")).texts(".//Name")
    assert subtree[0] == IGD + "Time."
    assert IGD + "Time.NTPServer1" in subtree
    assert ask(device, rpc_xml.get_names("", next_level=True)).texts(".//Name") == [IGD]
    assert len(ask(device, rpc_xml.get_names("")).texts(".//Name")) == len(device.tree.model.nodes)
    assert ask(device, rpc_xml.get_names(SSID)).texts(".//Name") == [SSID]
    assert ask(device, rpc_xml.get_names(SSID)).text(".//Writable") == "1"


def test_names_refuses_what_makes_no_sense(device: Device) -> None:
    assert ask(device, rpc_xml.get_names(SSID, next_level=True)).fault == 9003
    assert ask(device, rpc_xml.get_names(IGD + "Time")).fault == 9005
    assert ask(device, "<cwmp:GetParameterNames><ParameterPath/></cwmp:GetParameterNames>").fault == 9003


def test_values_are_set_with_the_parameter_key(device: Device) -> None:
    told = ask(device, rpc_xml.set_values((SSID, "new", "string"), (INTERVAL, "60", "unsignedInt"), key="k1"))
    assert (told.method, told.text("Status")) == ("SetParameterValuesResponse", "0")
    assert ask(device, rpc_xml.get_values(SSID, INTERVAL, KEY)).values == {SSID: "new", INTERVAL: "60", KEY: "k1"}


def test_set_is_all_or_nothing_and_tells_all_that_is_wrong(device: Device) -> None:
    before = device.tree.value(SSID)
    wrong = (
        (SSID, "new", "string"),
        (IGD + "Nothing", "1", "string"),
        (IGD + "DeviceInfo.SerialNumber", "1", "string"),
        (INTERVAL, "60", "string"),
        (IGD + "ManagementServer.PeriodicInformEnable", "maybe", "boolean"),
    )
    told = ask(device, rpc_xml.set_values(*wrong, key="k2"))
    assert told.fault == 9003
    assert told.value_faults == {wrong[1][0]: 9005, wrong[2][0]: 9008, INTERVAL: 9006, wrong[4][0]: 9007}
    assert (device.tree.value(SSID), device.tree.get("ManagementServer.ParameterKey")) == (before, "")


def test_a_name_twice_is_an_error(device: Device) -> None:
    told = ask(device, rpc_xml.set_values((SSID, "a", "string"), (SSID, "b", "string")))
    assert (told.fault, told.value_faults) == (9003, {SSID: 9003})


def test_an_interval_of_zero_is_no_value(device: Device) -> None:
    assert ask(device, rpc_xml.set_values((INTERVAL, "0", "unsignedInt"))).value_faults == {INTERVAL: 9007}


def test_types_may_be_left_out_and_a_lenient_cpe_does_not_look(device: Device) -> None:
    assert ask(device, rpc_xml.set_values((INTERVAL, "70"))).fault == 0
    device.behaviour = Behaviour(strict_types=False, set_status=1)
    told = ask(device, rpc_xml.set_values((INTERVAL, "80", "string")))
    assert (told.fault, told.text("Status")) == (0, "1")


def test_a_struct_without_value_and_an_empty_list_are_invalid_arguments(device: Device) -> None:
    assert ask(device, rpc_xml.set_values((SSID, "x")).replace("<Value>x</Value>", "")).fault == 9003
    assert ask(device, rpc_xml.set_values()).fault == 9003
    assert ask(device, rpc_xml.get_values()).fault == 9003
    assert ask(device, rpc_xml.set_values((SSID, "x")).replace("<ParameterKey></ParameterKey>", "")).fault == 9003


def test_attributes_are_kept(device: Device) -> None:
    told = ask(device, rpc_xml.get_attributes(SSID, IGD + "DeviceInfo.SoftwareVersion"))
    assert told.texts(".//Notification") == ["0", "2"]
    assert ask(device, rpc_xml.set_notification(SSID, 2)).method == "SetParameterAttributesResponse"
    assert ask(device, rpc_xml.get_attributes(SSID)).text(".//Notification") == "2"
    assert ask(device, rpc_xml.set_notification(IGD + "Time.", 1)).fault == 0
    assert set(ask(device, rpc_xml.get_attributes(IGD + "Time.")).texts(".//Notification")) == {"1"}
    assert ask(device, rpc_xml.set_notification(SSID, 7)).fault == 9003
    assert ask(device, rpc_xml.set_notification(IGD + "Nothing", 1)).fault == 9005


def test_instances_are_numbered_up_and_never_again(device: Device) -> None:
    first = ask(device, rpc_xml.object_rpc("AddObject", MAPPINGS, "k"))
    number = int(first.text("InstanceNumber"))
    assert first.text("Status") == "0"
    assert device.tree.get("ManagementServer.ParameterKey") == "k"
    assert ask(device, rpc_xml.object_rpc("DeleteObject", f"{MAPPINGS}{number}.")).text("Status") == "0"
    assert ask(device, rpc_xml.object_rpc("DeleteObject", f"{MAPPINGS}{number}.")).fault == 9005
    again = ask(device, rpc_xml.object_rpc("AddObject", MAPPINGS))
    assert int(again.text("InstanceNumber")) == number + 1


def test_a_new_instance_has_parameters_that_can_be_set(device: Device) -> None:
    table = IGD + "LANDevice.1.WLANConfiguration."
    number = ask(device, rpc_xml.object_rpc("AddObject", table)).text("InstanceNumber")
    assert number == "6"
    names = ask(device, rpc_xml.get_names(f"{table}{number}.", next_level=True)).texts(".//Name")
    assert f"{table}6.SSID" in names
    assert ask(device, rpc_xml.set_values((f"{table}6.SSID", "guest", "string"))).fault == 0
    assert ask(device, rpc_xml.get_values(f"{table}6.SSID")).values == {f"{table}6.SSID": "guest"}
    level = ask(device, rpc_xml.get_names(table, next_level=True)).texts(".//Name")
    assert level == [f"{table}1.", f"{table}5.", f"{table}6."]


def test_an_instance_in_a_new_instance(device: Device) -> None:
    outer = IGD + "WANDevice.1.WANConnectionDevice."
    number = ask(device, rpc_xml.object_rpc("AddObject", outer)).text("InstanceNumber")
    inner = f"{outer}{number}.WANPPPConnection."
    assert ask(device, rpc_xml.object_rpc("AddObject", inner)).text("InstanceNumber") == "1"
    assert f"{inner}1.Username" in ask(device, rpc_xml.get_values(f"{inner}1.")).values
    assert ask(device, rpc_xml.object_rpc("DeleteObject", f"{outer}{number}.")).fault == 0
    assert ask(device, rpc_xml.get_names(inner)).fault == 9005


def test_entries_are_counted(lone_cpe: MakeCpe, tr181: Model) -> None:
    device = lone_cpe(model=tr181).device
    counter = "Device.Bridging.BridgeNumberOfEntries"
    before = int(device.tree.value(counter))
    ask(device, rpc_xml.object_rpc("AddObject", "Device.Bridging.Bridge."))
    assert ask(device, rpc_xml.get_values(counter)).values == {counter: str(before + 1)}


def test_what_is_no_table_or_instance_stays(device: Device) -> None:
    for path in (IGD, IGD + "DeviceInfo.", IGD + "LANDevice.1.WLANConfiguration.1.", SSID, IGD + "Nothing."):
        assert ask(device, rpc_xml.object_rpc("AddObject", path)).fault == 9005
    for path in (IGD, IGD + "LANDevice.1.WLANConfiguration.", SSID, IGD + "LANDevice.9."):
        assert ask(device, rpc_xml.object_rpc("DeleteObject", path)).fault == 9005


def test_names_go_bad_when_the_behaviour_says_so(device: Device) -> None:
    device.behaviour = Behaviour(name_faults={SSID: 9005, INTERVAL: 9001, MAPPINGS: 9002})
    assert ask(device, rpc_xml.get_values(SSID)).fault == 9005
    assert ask(device, rpc_xml.get_values(IGD + "LANDevice.1.WLANConfiguration.1.")).fault == 9005
    assert SSID in ask(device, rpc_xml.get_names("")).texts(".//Name")
    assert ask(device, rpc_xml.set_values((INTERVAL, "60"))).value_faults == {INTERVAL: 9001}
    assert ask(device, rpc_xml.object_rpc("AddObject", MAPPINGS)).fault == 9002


def test_more_than_it_can_tell_is_too_much(device: Device) -> None:
    device.behaviour = Behaviour(most_names=2)
    assert ask(device, rpc_xml.get_values(SSID, INTERVAL)).fault == 0
    assert ask(device, rpc_xml.get_values(SSID, INTERVAL, KEY)).fault == 9004
    assert ask(device, rpc_xml.get_values(IGD + "Time.")).fault == 9004
    device.behaviour = dataclasses.replace(device.behaviour, most_names=None, most_answer_bytes=2000)
    assert ask(device, rpc_xml.get_values(IGD + "Time.")).fault == 9004
    assert ask(device, rpc_xml.get_values(SSID)).fault == 0
