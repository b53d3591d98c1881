"""What an operator can ask of a device, and the sentence that he reads when he cannot."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.acs.session.requests import request_of
from agent.acs.soap.encode import encode
from agent.acs.soap.messages import CwmpVersion, Envelope
from agent.acs.tasks import (
    DELAY_MOST,
    KINDS,
    NAMES_MOST,
    PRIORITIES,
    VALUE_MOST,
    Task,
    TaskStatus,
    parse_arguments,
    redact_arguments,
    render_arguments,
    task_of_command_key,
)
from agent.core.errors import ProtocolError

A, B = "Device.DeviceInfo.UpTime", "Device.ManagementServer.URL"
GOOD: list[tuple[str, dict[str, Any]]] = [
    ("getParameterValues", {"names": [A]}),
    ("getParameterValues", {"names": ["Device.", A, "InternetGatewayDevice.X_A-B.1."]}),
    ("refreshObject", {}),
    ("refreshObject", {"path": ""}),
    ("refreshObject", {"path": "Device.Hosts."}),
    ("setParameterValues", {"values": [{"name": A, "value": "x"}]}),
    ("setParameterValues", {"values": [{"name": A, "value": "1", "type": "unsignedInt"}], "parameter_key": "k" * 32}),
    ("setParameterValues", {"values": [{"name": A, "value": ""}, {"name": B, "value": "é<&>\t\r\n\U0001f600"}]}),
    ("addObject", {"path": "Device.Hosts.Host."}),
    ("deleteObject", {"path": "Device.Hosts.Host.3.", "parameter_key": "v2"}),
    ("download", {"file": "router.bin"}),
    ("download", {"url": "http://192.0.2.1/x", "username": "u", "password": "p", "delay_seconds": DELAY_MOST}),
    (
        "download",
        {"file": "c.xml", "file_type": "3 Vendor Configuration File", "file_size": 7, "target_file_name": "c"},
    ),
    ("download", {"url": "u", "success_url": "http://192.0.2.1/good", "failure_url": "http://192.0.2.1/bad"}),
    ("upload", {}),
    ("upload", {"url": "http://192.0.2.1/x", "file_type": "2 Vendor Log File", "delay_seconds": 5}),
    ("reboot", {}),
    ("factoryReset", {}),
    ("scheduleInform", {"delay_seconds": 1}),
    ("setParameterAttributes", {"attributes": [{"name": A, "notification": 2}]}),
    (
        "setParameterAttributes",
        {"attributes": [{"name": "Device.", "access_list": []}, {"name": A, "notification": 0}]},
    ),
    ("getRPCMethods", {}),
]
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("explode", {}, "'explode' is not a kind of task; there are: getRPCMethods, refreshObject, getParameterValues,"),
    ("x" * 99, {}, "'xxxxx"),
    ("getParameterValues", {}, "names: Field required"),
    ("getParameterValues", {"names": []}, "names: .* at least 1 item"),
    ("getParameterValues", {"names": [A] * (NAMES_MOST + 1)}, "names: .* at most 5000 items"),
    ("getParameterValues", {"names": A}, "names: "),
    ("getParameterValues", {"names": [A, ""]}, "names: '' is not a path, such as Device.DeviceInfo."),
    ("getParameterValues", {"names": ["Device..X"]}, "names: 'Device..X' is not a path"),
    ("getParameterValues", {"names": [7]}, "names.0: "),
    ("getParameterValues", {"names": [A], "other": 1}, "other: Extra inputs are not permitted"),
    ("refreshObject", {"path": A}, f"path: '{A}' is not the path of an object: it must end with a dot"),
    ("refreshObject", {"path": "."}, "path: '.' is not the path of an object"),
    ("refreshObject", {"path": None}, "path: "),
    ("setParameterValues", {"values": []}, "values: .* at least 1 item"),
    ("setParameterValues", {"values": [{"name": A}]}, "values.0.value: Field required"),
    (
        "setParameterValues",
        {"values": [{"name": "Device.", "value": ""}]},
        "values.0.name: 'Device.' is not the path of a",
    ),
    ("setParameterValues", {"values": [{"name": "", "value": ""}]}, "values.0.name: '' is not the path of a parameter"),
    ("setParameterValues", {"values": [{"name": A, "value": None}]}, "values.0.value: "),
    ("setParameterValues", {"values": [{"name": A, "value": 1.5}]}, "values.0.value: "),
    ("setParameterValues", {"values": [{"name": A, "value": "1", "type": "float"}]}, "values.0.type: "),
    ("setParameterValues", {"values": [{"name": A, "value": "x" * (VALUE_MOST + 1)}]}, "values.0.value: .* at most"),
    ("setParameterValues", {"values": [{"name": A, "value": "1"}] * 2}, "values: a name is given twice"),
    ("setParameterValues", {"values": [{"name": A, "value": "a\x00"}]}, r"values.0.value: U\+0000 cannot be sent"),
    ("setParameterValues", {"values": [{"name": A, "value": "\x1b[1m"}]}, r"values.0.value: U\+001B cannot be sent"),
    ("setParameterValues", {"values": [{"name": A, "value": "\uffff"}]}, r"values.0.value: U\+FFFF cannot be sent"),
    ("setParameterValues", {"values": [{"name": A, "value": "\ud800"}]}, "values.0.value: "),
    ("setParameterValues", {"values": [{"name": A, "value": "1"}], "parameter_key": "k" * 33}, "parameter_key: "),
    ("setParameterValues", {"values": [{"name": A, "value": "1"}], "parameter_key": "\x01"}, r"parameter_key: U\+0001"),
    ("addObject", {}, "path: Field required"),
    ("addObject", {"path": ""}, "path: '' is not the path of an object"),
    ("addObject", {"path": "Device.Hosts.Host"}, "path: .* it must end with a dot"),
    ("deleteObject", {"path": "Device.Hosts.Host.3"}, "path: .* it must end with a dot"),
    ("download", {}, "give either file"),
    ("download", {"file": "a", "url": "b"}, "give either file"),
    ("download", {"url": "x" * 257}, "url: "),
    ("download", {"url": "http://192.0.2.1/\x02"}, r"url: U\+0002"),
    ("download", {"file": "a", "delay_seconds": -1}, "delay_seconds: "),
    ("download", {"file": "a", "delay_seconds": DELAY_MOST + 1}, "delay_seconds: "),
    ("download", {"file": "a", "file_size": -1}, "file_size: "),
    ("download", {"file": "a", "file_type": ""}, "file_type: "),
    ("download", {"file": "a", "password": "\x03"}, r"password: U\+0003"),
    ("upload", {"file_type": "x" * 65}, "file_type: "),
    ("reboot", {"command_key": "x"}, "command_key: Extra inputs are not permitted"),
    ("factoryReset", {"now": True}, "now: Extra"),
    ("scheduleInform", {}, "delay_seconds: Field required"),
    ("scheduleInform", {"delay_seconds": 0}, "delay_seconds: "),
    ("scheduleInform", {"delay_seconds": "soon"}, "delay_seconds: "),
    ("setParameterAttributes", {"attributes": []}, "attributes: "),
    ("setParameterAttributes", {"attributes": [{"name": A, "notification": 7}]}, "attributes.0.notification: "),
    (
        "setParameterAttributes",
        {"attributes": [{"name": "", "notification": 1}]},
        "attributes.0.name: '' is not a path",
    ),
    ("setParameterAttributes", {"attributes": [{"name": A, "access_list": ["\x04"]}]}, "attributes.0.access_list.0: U"),
    ("getRPCMethods", {"x": 1}, "x: Extra"),
]


@pytest.mark.parametrize(("kind", "arguments"), GOOD)
def test_good_arguments_are_taken_and_come_back_from_the_database(kind: str, arguments: dict[str, Any]) -> None:
    parsed = parse_arguments(kind, arguments)
    assert parsed.kind == kind
    assert parse_arguments(kind, render_arguments(parsed)) == parsed
    assert "kind" not in render_arguments(parsed)


@pytest.mark.parametrize(("kind", "arguments", "sentence"), BAD)
def test_bad_arguments_are_refused_with_a_sentence(kind: str, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ProtocolError, match=rf"\A{sentence}") as caught:
        parse_arguments(kind, arguments)
    text = str(caught.value)
    assert len(text) < 400
    assert text.isprintable()


def test_every_kind_is_tried_here() -> None:
    assert {kind for kind, _ in GOOD} == {kind for kind, _, _ in BAD} & set(KINDS) == set(KINDS)


def test_the_kind_cannot_be_slipped_in() -> None:
    assert parse_arguments("reboot", {"kind": "factoryReset"}).kind == "reboot"


@pytest.mark.parametrize(
    ("given_", "text"), [(True, "true"), (False, "false"), (0, "0"), (-7, "-7"), (2**64, str(2**64))]
)
def test_numbers_and_booleans_of_json_become_texts(given_: object, text: str) -> None:
    parsed = parse_arguments("setParameterValues", {"values": [{"name": A, "value": given_}]})
    assert render_arguments(parsed)["values"] == [{"name": A, "value": text}]


def test_a_name_that_is_given_twice_is_read_once() -> None:
    parsed = parse_arguments("getParameterValues", {"names": [B, A, B]})
    assert render_arguments(parsed) == {"names": [B, A]}


def test_looking_comes_before_writing_and_what_ends_the_session_comes_last() -> None:
    ordered = sorted(PRIORITIES, key=PRIORITIES.__getitem__)
    assert ordered.index("getParameterValues") < ordered.index("setParameterValues") < ordered.index("addObject")
    assert ordered.index("addObject") < ordered.index("deleteObject") < ordered.index("download")
    assert ordered[-2:] == ["reboot", "factoryReset"]
    assert len(set(PRIORITIES.values())) == len(KINDS)


@pytest.mark.parametrize(
    ("key", "task"),
    [
        ("lastmile-1", 1),
        ("lastmile-999999999999999999", 999999999999999999),
        ("lastmile-", None),
        ("lastmile", None),
        ("lastmile--1", None),
        ("lastmile- 1", None),
        ("lastmile-1 ", None),
        ("lastmile-1-2", None),
        ("lastmile-+1", None),
        ("lastmile-1_0", None),
        ("lastmile-\N{ARABIC-INDIC DIGIT ONE}", None),
        ("lastmile-\N{SUPERSCRIPT TWO}", None),
        ("lastmile-9999999999999999999", None),
        ("Lastmile-1", None),
        ("genieacs-1", None),
        ("", None),
    ],
)
def test_a_command_key_names_a_task_of_ours_or_none(key: str, task: int | None) -> None:
    assert task_of_command_key(key) == task


@given(st.integers(1, 10**18 - 1))
def test_every_command_key_finds_its_task(number: int) -> None:
    task = Task(id=number, arguments=parse_arguments("reboot", {}))
    assert task_of_command_key(task.command_key) == number
    assert len(task.command_key) <= 32


def test_the_password_of_a_transfer_is_not_shown() -> None:
    for kind in ("download", "upload"):
        arguments = {"url": "u", "password": "geheim"}
        assert redact_arguments(kind, arguments) == {"url": "u", "password": "***"}
        assert arguments["password"] == "geheim"
        assert redact_arguments(kind, {"url": "u"}) == {"url": "u"}
    assert redact_arguments("reboot", {}) == {}


def test_a_task_is_finished_when_nothing_more_will_happen() -> None:
    open_ = {status for status in TaskStatus if not status.finished}
    assert open_ == {TaskStatus.PENDING, TaskStatus.SENT}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = st.sampled_from(
    ["names", "path", "values", "parameter_key", "file", "url", "delay_seconds", "attributes", "kind", "password", ""]
)
_ITEMS = st.fixed_dictionaries(
    {"name": st.sampled_from([A, B, "Device."])},
    optional={"value": st.text(st.characters(exclude_categories=()), max_size=8), "notification": st.integers(0, 8)},
)


@settings(max_examples=100)
@given(
    st.sampled_from(KINDS),
    st.dictionaries(_FIELDS, _JSON | st.lists(_ITEMS, min_size=1, max_size=3) | st.sampled_from([A, "Device.", 60])),
)
def test_whatever_is_taken_can_be_sent(kind: str, arguments: dict[str, Any]) -> None:
    with contextlib.suppress(ProtocolError):
        parsed = parse_arguments(kind, arguments)
        assert parse_arguments(kind, render_arguments(parsed)) == parsed
        request = request_of(Task(id=1, arguments=parsed))
        assert encode(Envelope(message=request, id="1", version=CwmpVersion.V1_2))
