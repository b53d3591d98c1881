"""What people and programs are told."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from agent.alert import messages
from agent.alert.messages import Message
from agent.alert.model import Event, RuleKind, Severity, SubjectKind
from tests.alert.book import BEGIN

MESSAGE = Message(
    event=Event.OPENED,
    at=BEGIN,
    alert_id=7,
    rule="Modem offline",
    kind=RuleKind.MODEM_OFFLINE,
    severity=Severity.WARNING,
    subject_kind=SubjectKind.MODEM,
    subject="860000000000001",
    host="farm-1",
    summary="Modem 860000000000001: searching",
    value=None,
    opened_at=BEGIN,
    closed_at=None,
)
CLOSED = replace(MESSAGE, event=Event.CLOSED, closed_at=BEGIN + timedelta(hours=1))
TEST = replace(MESSAGE, event=Event.TEST, alert_id=None, kind=None, opened_at=None)
SECRET = "s3cret"


@pytest.mark.parametrize("message", [MESSAGE, CLOSED, TEST])
def test_what_is_stored_is_read_again(message: Message) -> None:
    assert messages.read_payload(json.loads(json.dumps(messages.payload_of(message)))) == message


def test_a_body_says_where_there_is_more() -> None:
    body = json.loads(messages.render_body(MESSAGE, "https://lastmile.example.org/"))
    assert body["url"] == "https://lastmile.example.org/alerts"
    assert body["alert"]["subject"] == {"kind": "modem", "name": "860000000000001", "host": "farm-1"}
    assert json.loads(messages.render_body(MESSAGE, ""))["url"] is None


def test_a_signature_is_good_for_this_body_this_secret_and_five_minutes() -> None:
    body = messages.render_body(MESSAGE, "")
    header = messages.sign(SECRET, body, 1000)
    assert re.fullmatch(r"t=1000,v1=[0-9a-f]{64}", header)
    assert messages.is_signed(SECRET, body, header, 1300)
    assert messages.is_signed(SECRET, body, header, 700)
    assert not messages.is_signed(SECRET, body, header, 1301)
    assert not messages.is_signed(SECRET, body + b" ", header, 1000)
    assert not messages.is_signed("other", body, header, 1000)
    for bad in ("", "t=1000", "v1=" + "0" * 64, header.replace("t=1000", "t=1001"), "t=x,v1=y", "t=²,v1=é"):
        assert not messages.is_signed(SECRET, body, bad, 1000)


def test_a_headline_has_no_second_line() -> None:
    nasty = replace(MESSAGE, summary="SSID\r\nBcc: all@example.org\x00\x1b[31m\u2028 end")
    assert messages.headline(nasty) == "[WARNING] SSID Bcc: all@example.org [31m end"
    assert messages.headline(CLOSED).startswith("[RESOLVED] ")
    assert messages.headline(TEST).startswith("[TEST] ")


def test_several_alerts_make_one_mail_the_worst_first_in_its_subject() -> None:
    worse = replace(MESSAGE, severity=Severity.CRITICAL, summary="Agent silent")
    assert messages.mail_subject([MESSAGE]) == "[WARNING] Modem 860000000000001: searching"
    assert messages.mail_subject([MESSAGE, CLOSED, worse]) == "[CRITICAL] Agent silent (and 2 more)"
    text = messages.mail_text([MESSAGE, CLOSED, worse], "https://lastmile.example.org")
    assert text.count("Rule: Modem offline") == 3
    assert "Until: 2026-01-01 01:00:00 UTC" in text
    assert text.endswith("https://lastmile.example.org/alerts\n")


def test_a_line_of_syslog_is_of_rfc_5424() -> None:
    nasty = replace(MESSAGE, rule='a "quoted] \\ rule\n')
    line = messages.render_syslog(nasty, facility=16, host="host one", process=5).decode()
    assert line == (
        "<132>1 2026-01-01T00:00:00+00:00 hostone lastmile 5 opened "
        '[alert@32473 event="opened" id="7" rule="a \\"quoted\\] \\\\ rule" kind="modem_offline" severity="warning"'
        ' subject="860000000000001" host="farm-1"] \ufeff[WARNING] Modem 860000000000001: searching'
    )
    assert messages.syslog_priority(CLOSED, 16) == 133
    assert messages.syslog_priority(replace(MESSAGE, severity=Severity.CRITICAL), 0) == 2
