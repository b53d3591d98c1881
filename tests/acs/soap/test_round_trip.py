"""What is written is what is read, for every message there is."""

from __future__ import annotations

import contextlib
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.acs.soap import messages as soap
from agent.acs.soap.decode import decode
from agent.acs.soap.encode import encode
from agent.acs.soap.escape import escape
from agent.acs.soap.versions import CwmpVersion
from agent.core.errors import ProtocolError
from tests.acs.soap.examples import MESSAGES
from tests.acs.soap.strategies import ENVELOPES, of_class


@pytest.mark.parametrize("version", CwmpVersion)
@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_example_is_read_as_it_was_written(message: soap.Message, version: CwmpVersion) -> None:
    envelope = soap.Envelope(message=message, id="7 & 8", version=version)

    assert decode(encode(envelope)) == envelope


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(ENVELOPES)
def test_every_envelope_is_read_as_it_was_written(envelope: soap.Envelope) -> None:
    assert decode(encode(envelope)) == envelope


@pytest.mark.parametrize("cls", get_args(soap.Message), ids=lambda cls: cls.__name__)
def test_every_message_is_read_as_it_was_written(cls: type) -> None:
    @settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
    @given(of_class(cls))
    def check(message: soap.Message) -> None:
        assert decode(encode(soap.Envelope(message=message))).message == message

    check()


@given(st.text())
def test_any_text_is_written_so_that_it_is_read_again_or_refused(text: str) -> None:
    value = soap.ParameterValue(name="A", value=text)
    try:
        data = encode(soap.Envelope(message=soap.GetParameterValuesResponse(parameters=(value,))))
    except ValueError as refused:
        assert "cannot be sent" in str(refused)  # noqa: PT017  # either outcome is right
        return

    assert decode(data).message == soap.GetParameterValuesResponse(parameters=(value,))


@given(st.text())
def test_what_is_escaped_has_no_markup(text: str) -> None:
    try:
        escaped = escape(text)
    except ValueError:
        return

    assert "<" not in escaped
    assert ">" not in escaped


@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        decode(data)
