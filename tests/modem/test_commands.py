"""Rows of `modem_commands` are taken for what they may be: hostile."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ProtocolError
from agent.modem.commands import AtCommand, PlanCommand, QmiCommand, QmiQuestion, ResetCommand, parse_command

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("line", ["AT", "AT+CSQ", 'at+qeng="servingcell"', " ATI "])
def test_an_ordinary_at_command_is_taken(line: str) -> None:
    assert parse_command("at", {"command": line}) == AtCommand(line.strip())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "CSQ",
        "AT+CSQ\rAT+CFUN=0",
        "AT+CSQ\nAT",
        "AT\x1a",
        "AT+CMGS=12",
        'AT+CPIN="1234"',
        'at+cpin = "1234"',
        'AT+CSQ;+CPIN="1234"',
        'AT+CLCK="SC",0,"1234"',
        'AT+CPWD="SC","1234","0000"',
        "AT" + "A" * 400,
        "ATé",
    ],
)
def test_a_dangerous_at_command_is_refused(line: str) -> None:
    with pytest.raises(ProtocolError):
        parse_command("at", {"command": line})


def test_a_question_about_the_pin_is_no_secret() -> None:
    assert parse_command("at", {"command": "AT+CPIN?"}) == AtCommand("AT+CPIN?")


def test_named_commands_are_taken() -> None:
    assert parse_command("qmi", {"action": "signal"}) == QmiCommand(QmiQuestion.SIGNAL)
    assert parse_command("reset", {}) == ResetCommand()
    assert parse_command("plan", {}) == PlanCommand()


@pytest.mark.parametrize(
    ("kind", "argument"),
    [
        ("qmi", {"action": "dms-set-operating-mode=reset"}),
        ("qmi", {"action": "signal", "device": "/dev/sda"}),
        ("reset", {"force": True}),
        ("shell", {"command": "id"}),
        ("at", {"command": ["AT"]}),
        ("at", {}),
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(kind: str, argument: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        parse_command(kind, argument)


@given(
    kind=st.sampled_from(["at", "qmi", "reset", "reconnect", "plan", ""]) | st.text(),
    argument=st.dictionaries(st.text(), JSON),
)
def test_no_row_whatever_breaks_the_parser(kind: str, argument: dict[str, Any]) -> None:
    try:
        parse_command(kind, argument)
    except ProtocolError:
        return
