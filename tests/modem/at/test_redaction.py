"""What a log may show of an AT port."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.modem.at.redaction import redact, redact_exchange


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('AT+CPIN="1234"', "AT+CPIN=***"),
        ("at+cpin=1234", "at+cpin=***"),
        ('AT+CPIN="12345678","1234"', "AT+CPIN=***"),
        ('AT+CPIN = "1234', "AT+CPIN = ***"),
        ('AT+CMEE=2;+CPIN="1234";+CSQ', "AT+CMEE=2;+CPIN=***;+CSQ"),
        ('AT+CLCK="SC",1,"1234"', 'AT+CLCK="SC",1,***'),
        ('AT+CLCK="SC",2', 'AT+CLCK="SC",2'),
        ('AT+CPWD="SC","0000","1234"', "AT+CPWD=***"),
        ('AT+CGAUTH=1,2,"user","word"', "AT+CGAUTH=1,2,***"),
        ('AT+QICSGP=1,1,"apn","user","word",2', 'AT+QICSGP=1,1,"apn",***'),
        ("AT+CPIN?", "AT+CPIN?"),
        ("AT+CPIN=?", "AT+CPIN=?"),
        ("+CPIN: SIM PIN", "+CPIN: SIM PIN"),
        ("AT+CSQ", "AT+CSQ"),
        ("+QCCID: 89860318045712762387", "+QCCID: 89860318045712762387"),
        ("860000000000017", "860000000000017"),
        ('AT+CMGS="123"\rmy words\x1a', 'AT+CMGS="123"\n***'),
        ("AT+CMGS=41\r0011000B91\x1a", "AT+CMGS=41\n***"),
        ("> my words\r\n+CMGS: 5\r\nOK", "> ***\n+CMGS: 5\nOK"),
        ("+CMGL: 1,1,,24\r\n0791AB\r\n+CMGL: 2,1,,24\r\n0791CD\r\nOK", "+CMGL: 1,1,,24\n***\n+CMGL: 2,1,,24\n***\nOK"),
        ('+CMGR: "REC READ","+1"\r\nOK\r\nsecret\r\n\r\nOK', '+CMGR: "REC READ","+1"\n***\n***\n\nOK'),
        ("+CMT: ,24\n0791AB", "+CMT: ,24\n***"),
        ("07911326040000F0040B911346610089F60000208062917314080CC8F71D14969741F977FD07", "***"),
    ],
)
def test_secrets_are_hidden_and_the_rest_is_not(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_an_exchange_hides_what_the_modem_repeats() -> None:
    command, answer = redact_exchange('AT+CPIN="4711"', ['T+CPXIN="4711"', "+X: 4711", "+CME ERROR: 16"])
    assert command == "AT+CPIN=***"
    assert answer == 'T+CPXIN="***"\n+X: ***\n+CME ERROR: 16'


def test_an_exchange_hides_message_texts_without_their_heads() -> None:
    _, answer = redact_exchange("AT+CMGR=1", ["my words", "+CMGR: 1,,24", "more words", "OK"])
    assert "words" not in answer
    assert answer.endswith("OK")


PINS = st.text(alphabet="0123456789", min_size=4, max_size=8)
FORMS = st.sampled_from(
    [
        'AT+CPIN="{}"',
        "AT+CPIN={}",
        'at+cpin = "{}"',
        'AT+CMEE=2;+CPIN="{}"',
        'AT+CLCK="SC",1,"{}"',
        'AT+CPWD="SC","{}","{}"',
    ]
)


@given(PINS, FORMS, st.text(max_size=20), st.text(max_size=20))
def test_a_pin_is_never_shown(pin: str, form: str, before: str, after: str) -> None:
    line = f"{before}{pin}{after}"
    shown = redact_exchange(form.format(pin, pin), [line, "OK"])
    assert pin not in shown[0]
    assert pin not in shown[1]
    assert pin not in redact(form.format(pin, pin))


@pytest.mark.parametrize(
    "text", ['+CLCK="a' + '"a' * 4000, '+CPIN="' + '"1' * 4000, "+CLCK=" + ",1" * 4000, "AT" + "+CMGS " * 1500]
)
def test_no_text_makes_redaction_slow(text: str) -> None:
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 1
