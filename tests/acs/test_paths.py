"""Words about parameter paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.acs.paths import PATH_MOST, is_object, is_valid, parent_of, root_of, template_of, top_of

HOST = "Device.Hosts.Host.12.IPAddress"


@pytest.mark.parametrize(
    "path",
    [
        "Device.",
        "Device.DeviceInfo.UpTime",
        HOST,
        "InternetGatewayDevice.X_CT-COM_Bind.Mac",
        "Device.X_00259E_A:b.1.",
        "Device.Hosts.Host.{i}.Name",
        "Device.Hosts.Host.[cpe-1].Name",
        "Summary",
        "D." + "x" * (PATH_MOST - 2),
    ],
)
def test_paths_of_devices_are_valid(path: str) -> None:
    assert is_valid(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        ".Device",
        "Device..",
        "Device..X",
        "Device.X Y",
        "Device.X\n",
        "Device.X\x00",
        "Device.é",
        "1.Device",
        "Device.X%",
        "Device.X'--",
        "Device.<b>",
        "D." + "x" * (PATH_MOST - 1),
    ],
)
def test_what_no_device_may_have_is_not(path: str) -> None:
    assert not is_valid(path)


def test_a_path_is_taken_apart() -> None:
    assert (top_of(HOST), parent_of(HOST)) == ("Device.Hosts.", "Device.Hosts.Host.12.")
    assert (top_of("Device.Hosts."), parent_of("Device.Hosts.")) == ("Device.Hosts.", "Device.")
    assert (top_of("Device.X"), parent_of("Device.X")) == ("Device.X", "Device.")
    assert (top_of("Device."), parent_of("Device.")) == ("Device.", "")
    assert (top_of("Summary"), parent_of("Summary")) == ("Summary", "")
    assert is_object("")
    assert is_object("Device.")
    assert not is_object("Device.X")


@pytest.mark.parametrize(
    ("path", "template"),
    [
        (HOST, "Device.Hosts.Host.{i}.IPAddress"),
        ("Device.A.1.2.B", "Device.A.{i}.{i}.B"),
        ("Device.A.1.", "Device.A.{i}."),
        ("Device.A.1", "Device.A.{i}"),
        ("Device.A1.B2C.3D", "Device.A1.B2C.3D"),
        ("Device.A", "Device.A"),
    ],
)
def test_instances_of_one_thing_have_one_template(path: str, template: str) -> None:
    assert template_of(path) == template


def test_the_root_is_told_by_what_an_inform_brings() -> None:
    assert root_of(["Vendor.X", "InternetGatewayDevice.DeviceInfo.UpTime", "Device.X"]) == "InternetGatewayDevice."
    assert root_of(["Device.X"]) == "Device."
    assert root_of(["Devices.X", "X"]) is None
    assert root_of([]) is None


_WORDS = st.lists(st.sampled_from(["A", "b1", "1", "23", "4x", "X_1"]), max_size=4)
_PATHS = st.builds(lambda words, end: ".".join(["Device", *words]) + end, _WORDS, st.sampled_from(["", "."]))


@given(_PATHS)
def test_a_path_is_inside_its_parent_and_its_top(path: str) -> None:
    assert is_valid(path)
    assert path.startswith(parent_of(path))
    assert parent_of(path) != path
    assert path.startswith(top_of(path))
    assert top_of(top_of(path)) == top_of(path)
    assert template_of(template_of(path)) == template_of(path)
    if parent_of(path).count(".") > 1:
        assert top_of(parent_of(path)) == top_of(path), "what is in one object is under one top"
