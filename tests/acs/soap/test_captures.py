"""Every captured message says what a person reads in it, or is refused with the reason."""

from __future__ import annotations

import pytest

from agent.acs.soap import messages as soap
from agent.acs.soap.decode import decode
from agent.acs.soap.encode import encode
from agent.core.errors import ProtocolError
from tests.acs.soap import captures
from tests.acs.soap.captured_messages import REFUSED, WHOLE
from tests.acs.soap.captures import INFORMS, Informed

LONG = {"12", "30"}


def test_every_file_has_its_expectation() -> None:
    expected = INFORMS.keys() | WHOLE.keys() | REFUSED.keys() | LONG

    assert {name.partition("-")[0] for name in captures.names()} == expected
    assert len(expected) == len(INFORMS) + len(WHOLE) + len(REFUSED) + len(LONG)


@pytest.mark.parametrize("number", INFORMS)
def test_an_inform_says_who_calls_and_why(number: str) -> None:
    expected: Informed = INFORMS[number]

    envelope = decode(captures.read(number))

    assert (envelope.id, envelope.version) == (expected.id, expected.version)
    assert envelope.no_more_requests is expected.no_more_requests
    inform = envelope.message
    assert isinstance(inform, soap.Inform)
    assert inform.identity == expected.identity
    assert inform.events == tuple(
        soap.Event(code=code, command_key=expected.keys.get(code, "")) for code in expected.events
    )
    assert (inform.max_envelopes, inform.retry_count) == (expected.max_envelopes, expected.retry_count)
    assert inform.current_time == expected.current_time
    assert len(inform.parameters) == expected.parameters
    values = {each.name: (each.value, each.type) for each in inform.parameters}
    assert {name: values.get(name) for name in expected.values} == expected.values


@pytest.mark.parametrize("number", WHOLE)
def test_another_message_is_read_whole(number: str) -> None:
    assert decode(captures.read(number)) == WHOLE[number]


def test_a_list_of_3263_names_is_read_whole() -> None:
    envelope = decode(captures.read("12"))

    assert (envelope.id, envelope.version) == ("22_THOM_TR69_ID", captures.V1_0)
    assert isinstance(envelope.message, soap.GetParameterNamesResponse)
    infos = envelope.message.parameters
    assert len(infos) == 3263
    assert sum(info.writable for info in infos) == 2836
    assert infos[0] == soap.ParameterInfo(name="InternetGatewayDevice.DeviceSummary", writable=False)
    assert infos[-1] == soap.ParameterInfo(
        name="InternetGatewayDevice.Services.VoiceService.1.PhyInterface.2.Description", writable=False
    )


def test_a_list_of_227_values_is_read_whole_though_it_says_213() -> None:
    envelope = decode(captures.read("30"))

    assert (envelope.id, envelope.version) == ("16781903", captures.V1_0)
    assert isinstance(envelope.message, soap.GetParameterValuesResponse)
    values = envelope.message.parameters
    assert len(values) == 227
    types = [value.type for value in values]
    assert {type_: types.count(type_) for type_ in set(types)} == {
        "boolean": 34,
        "dateTime": 7,
        "int": 15,
        "string": 64,
        "unsignedInt": 107,
    }
    assert values[0] == soap.ParameterValue(name="Device.DeviceSummary", value="FAPService:1.0(Baseline:1)")
    # The device calls this text an unsignedInt; that is kept too.
    assert (
        soap.ParameterValue(name="Device.DeviceInfo.X_00000C_LastRebootCause", value="SW_UPGRADE", type="unsignedInt")
        in values
    )
    assert values[-1] == soap.ParameterValue(
        name="Device.Services.FAPService.1.CellConfig.UMTS.RAN.FDDFAP.NeighborList.InterFreqCell.4.PCPICHTxPower",
        value="220",
        type="int",
    )


@pytest.mark.parametrize("number", REFUSED)
def test_a_piece_of_a_message_is_refused_with_the_reason(number: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        decode(captures.read(number))

    assert REFUSED[number] in str(refused.value)


def test_sizes_of_chunks_are_no_part_of_a_message() -> None:
    (path,) = captures.FOLDER.glob("22-*.xml")

    with pytest.raises(ProtocolError, match="not well-formed XML"):
        decode(path.read_bytes())


@pytest.mark.parametrize("number", sorted(INFORMS.keys() | WHOLE.keys() | LONG))
def test_what_was_captured_can_be_said_by_us(number: str) -> None:
    envelope = decode(captures.read(number))

    assert decode(encode(envelope)) == envelope
