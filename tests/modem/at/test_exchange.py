"""Pairing commands with answers: URCs, echoes, errors, prompts, bounds, and any chunking of it all."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import CmeError, CmsError, InvariantError, ProtocolError
from agent.modem.at.command_line import Form, parse_command_line
from agent.modem.at.decoder import AtDecoder, Line
from agent.modem.at.exchange import (
    Answered,
    AtEvent,
    AtExchange,
    Discarded,
    Failed,
    Prompted,
    StaleResult,
    Synchronised,
    Unsolicited,
)
from agent.modem.at.responses import AtResponse
from tests.modem.at.transcripts import body, names, replay, synchronised


def run(command: str, data: bytes) -> tuple[AtEvent, ...]:
    exchange = synchronised()
    assert exchange.begin(command) == command.encode() + b"\r"
    return exchange.receive(data)


def answered(command: str, data: bytes) -> tuple[str, ...]:
    (event,) = run(command, data)
    assert isinstance(event, Answered)
    return event.response.lines


def failed(command: str, data: bytes) -> Exception:
    (event,) = run(command, data)
    assert isinstance(event, Failed)
    return event.error


def test_an_answer_is_its_information_lines() -> None:
    assert run("AT+CSQ", b"AT+CSQ\r\r\n+CSQ: 20,99\r\n\r\nOK\r\n") == (
        Answered(AtResponse(command="AT+CSQ", lines=("+CSQ: 20,99",), final="OK")),
    )


def test_connect_is_an_answer() -> None:
    (event,) = run("ATD*99#", b"\r\nCONNECT 150000000\r\n")
    assert isinstance(event, Answered)
    assert event.response.final == "CONNECT 150000000"


@pytest.mark.parametrize(
    "echo",
    [
        b"AT+CSQ\r",
        b"AT+CSQ\r\r\n",
        b"+CSQ\r\n",
        b"Q\r\n",
        b"AT+C\r\nSQ\r\n",
        b"S: 2,\0\0AT+CSQ\r\n",
        b"at+csq\r\n",
        b"",
    ],
)
def test_an_echo_whole_or_in_part_is_no_information(echo: bytes) -> None:
    exchange = synchronised()
    exchange.begin("AT+CSQ")
    events = exchange.receive(echo + b"\r\n+CSQ: 20,99\r\n\r\nOK\r\n")
    assert [event.response.lines for event in events if isinstance(event, Answered)] == [("+CSQ: 20,99",)]
    assert exchange.echo_seen is bool(echo)


def test_urcs_may_come_anywhere() -> None:
    urcs = ["RDY", '+CMTI: "ME",1', "+CGEV: NW PDN DEACT 1", "+QIND: PB DONE", "+CUSD: 0"]
    before, echoed, between, last, after = (f"\r\n{urc}\r\n".encode() for urc in urcs)
    exchange = synchronised()
    exchange.begin("AT+COPS?")
    data = before + b"AT+COPS?\r" + echoed + b'\r\n+COPS: 0,0,"X",7\r\n' + between + last + b"\r\nOK\r\n" + after
    events = exchange.receive(data)
    assert [event.text for event in events if isinstance(event, Unsolicited)] == urcs
    assert [event.response.lines for event in events if isinstance(event, Answered)] == [('+COPS: 0,0,"X",7',)]


@pytest.mark.parametrize(
    ("command", "urc", "answer"),
    [
        ("AT+CREG?", "+CREG: 1", "+CREG: 2,1"),
        ("AT+CREG?", '+CREG: 1,"00AB","00CD"', '+CREG: 2,1,"00AB","00CD"'),
        ("AT+CEREG?", '+CEREG: 5,"1F00","79D903",7', '+CEREG: 2,5,"1F00","79D903",7'),
        ("AT+CEREG?", "+CEREG: 1, 1F00, 79D903 ,7", "+CEREG: 2,1, 1F00, 79D903 ,7"),
        ("AT+CREG=?", "+CREG: 2", "+CREG: (0-2)"),
        ("AT+CFUN=?", "+CFUN: 1", "+CFUN: (0,1,4),(0,1)"),
    ],
)
def test_a_urc_with_the_answers_name_is_told_by_its_shape(command: str, urc: str, answer: str) -> None:
    for data in (f"{urc}\r\n{answer}\r\nOK\r\n", f"{answer}\r\n{urc}\r\nOK\r\n"):
        events = run(command, data.encode())
        assert Unsolicited(urc) in events
        assert [event.response.lines for event in events if isinstance(event, Answered)] == [(answer,)]


def test_of_two_lines_of_one_shape_the_last_is_the_answer() -> None:
    first, second = run("AT+CPIN?", b"+CPIN: NOT READY\r\n+CPIN: READY\r\nOK\r\n")
    assert first == Unsolicited("+CPIN: NOT READY")
    assert isinstance(second, Answered)
    assert second.response.lines == ("+CPIN: READY",)


def test_a_set_command_has_no_answer_of_that_name() -> None:
    first, second = run("AT+CREG=2", b'+CREG: 1,"00AB","00CD",7\r\nOK\r\n')
    assert first == Unsolicited('+CREG: 1,"00AB","00CD",7')
    assert isinstance(second, Answered)
    assert second.response.lines == ()


def test_a_urc_nobody_knows_is_not_an_answer_of_another_name() -> None:
    first, _ = run("AT+CSQ", b"+QNEW: 1\r\nOK\r\n")
    assert first == Unsolicited("+QNEW: 1")
    assert answered("ATI", b"Quectel\r\n+GCAP: +CGSM\r\nOK\r\n") == ("Quectel", "+GCAP: +CGSM")


def test_a_delivered_message_stays_with_its_head() -> None:
    exchange = synchronised()
    assert exchange.receive(b"\r\n+CMT: ,24\r\n07911326040000F0\r\n") == (Unsolicited("+CMT: ,24\n07911326040000F0"),)
    exchange.begin("AT")
    first, second = exchange.receive(b"+CMT: ,24\r\nOK\r\n")
    assert first == Unsolicited("+CMT: ,24")
    assert isinstance(second, Answered)


@pytest.mark.parametrize(
    ("final", "code", "text"),
    [
        (b"+CME ERROR: 10", 10, "SIM not inserted"),
        (b"+CME ERROR: SIM not inserted", 10, "SIM not inserted"),
        (b"+CME ERROR: (U)SIM PIN required", 11, "(U)SIM PIN required"),
        (b"+CME ERROR:sim failure", 13, "sim failure"),
        (b"+CME ERROR: 9999", 9999, "error 9999"),
        (b"+CME ERROR: flux capacitor", None, "flux capacitor"),
        (b"+CME ERROR:", None, "error without a reason"),
        (b"ERROR", None, "ERROR"),
    ],
)
def test_refusals_have_numbers_and_texts(final: bytes, code: int | None, text: str) -> None:
    error = failed("AT+CPIN?", b"\r\n" + final + b"\r\n")
    assert isinstance(error, CmeError)
    assert (error.command, error.code, error.text) == ("AT+CPIN?", code, text)


@pytest.mark.parametrize(("final", "code"), [(b"+CMS ERROR: 322", 322), (b"+CMS ERROR: memory full", 322)])
def test_refused_messages_have_numbers_and_texts(final: bytes, code: int) -> None:
    error = failed("AT+CMGL=4", b"\r\n" + final + b"\r\n")
    assert isinstance(error, CmsError)
    assert (error.code, error.text) == (code, "memory full")


def test_no_carrier_answers_a_dial_only() -> None:
    assert "NO CARRIER" in str(failed("ATD*99#", b"\r\nNO CARRIER\r\n"))
    assert run("AT+CSQ", b"\r\nNO CARRIER\r\n") == (Unsolicited("NO CARRIER"),)


def test_a_prompt_has_no_line_end() -> None:
    exchange = synchronised()
    exchange.begin("AT+CMGS=41")
    assert exchange.receive(b"\r\n>") == ()
    assert exchange.receive(b" ") == (Prompted(),)
    (event,) = exchange.receive(b"0011\r\n> \r\n+CMGS: 41\r\n\r\nOK\r\n")[-1:]
    assert isinstance(event, Answered)
    assert event.response.lines == ("+CMGS: 41",)


def test_a_sign_that_looks_like_a_prompt_is_text_for_other_commands() -> None:
    assert answered("AT+CMGR=1", b"+CMGR: 1\r\n> quoted\r\nOK\r\n") == ("+CMGR: 1", "> quoted")


def test_lines_of_nobody_are_discarded() -> None:
    exchange = synchronised()
    assert exchange.receive(b"\xff\xfe garbage\r\nOK\r\n+CMS ERROR: 350\r\n") == (
        Discarded("�� garbage"),
        Discarded("OK"),
        Discarded("+CMS ERROR: 350"),
    )


def test_nuls_disappear_and_bytes_that_are_no_text_stay_visible() -> None:
    assert answered("AT+COPS?", b'\0+COPS: 0,0,"A\0\xffB",7\0\r\nOK\r\n') == ('+COPS: 0,0,"A�B",7',)


def test_a_long_line_spoils_only_its_own_answer() -> None:
    exchange = AtExchange(line_limit_bytes=100)
    exchange.assume_synchronised()
    exchange.begin("AT+CSQ")
    (event,) = exchange.receive(b"x" * 5000 + b"\r\nOK\r\n")
    assert isinstance(event, Failed)
    assert isinstance(event.error, ProtocolError)
    exchange.begin("AT")
    (event,) = exchange.receive(b"OK\r\n")
    assert isinstance(event, Answered)


def test_an_answer_without_end_is_bounded() -> None:
    exchange = AtExchange(answer_limit_characters=10_000)
    exchange.assume_synchronised()
    exchange.begin("AT+CSQ")
    tracemalloc.start()
    try:
        for _ in range(200):
            assert exchange.receive(b"line\r\n" * 1000) == ()
        assert tracemalloc.get_traced_memory()[0] < 500_000
    finally:
        tracemalloc.stop()
    (event,) = exchange.receive(b"OK\r\n")
    assert isinstance(event, Failed)
    assert isinstance(event.error, ProtocolError)


def test_a_full_message_store_fits() -> None:
    store = b"".join(b"+CMGL: %d,1,,155\r\n%s\r\n" % (index, b"A0" * 165) for index in range(140))
    assert len(store) > 46_000
    assert len(answered("AT+CMGL=4", store + b"\r\nOK\r\n")) == 280


def test_a_new_exchange_trusts_only_the_answer_to_its_probe() -> None:
    exchange = AtExchange()
    with pytest.raises(InvariantError):
        exchange.begin("AT")
    assert exchange.begin_synchronisation() == b"\x1b\rAT+CFUN=?\r"
    debris = b"Q: 1\r\n+CSQ: 20,99\r\n\r\nOK\r\nAT+CFUN=?\r\r\n"
    assert exchange.receive(debris) == (Discarded("Q: 1"), Discarded("+CSQ: 20,99"), StaleResult(refused=False))
    assert exchange.receive(b"+CPIN: READY\r\n") == (Unsolicited("+CPIN: READY"),)
    assert exchange.receive(b"+CFUN: (0,1,4)\r\n\r\nOK\r\n") == (Synchronised("+CFUN: (0,1,4)"),)
    exchange.begin("AT")


def test_after_an_abandoned_command_nothing_late_is_taken() -> None:
    exchange = synchronised()
    exchange.begin("AT+CREG?")
    exchange.abandon()
    assert exchange.receive(b"+CREG: 2,1\r\n\r\nOK\r\n") == (Discarded("+CREG: 2,1"), Discarded("OK"))
    assert exchange.begin_synchronisation() == b"\x1b\rAT+CFUN=?\r"
    exchange.abandon()
    assert exchange.begin_synchronisation() == b"\x1b\rAT+CMEE=?\r"
    late = b"+CREG: 2,1\r\n\r\nOK\r\n+CFUN: (0-1)\r\nOK\r\n"
    assert not any(isinstance(event, Synchronised) for event in exchange.receive(late))
    assert exchange.receive(b"+CMEE: (0-2)\r\nOK\r\n") == (Synchronised("+CMEE: (0-2)"),)


def test_a_probe_is_never_the_command_that_is_late() -> None:
    exchange = synchronised()
    exchange.begin("AT+CFUN=?")
    exchange.abandon()
    assert b"CFUN" not in exchange.begin_synchronisation()


def test_a_refused_probe_says_so() -> None:
    exchange = AtExchange()
    exchange.begin_synchronisation()
    assert exchange.receive(b"ERROR\r\n") == (StaleResult(refused=True),)


@pytest.mark.parametrize("command", ["", "AT\r", "AT\nAT", "AT\x1a", "ATÄ", "+CSQ", "AT" + "x" * 2000, "A T"])
def test_what_is_not_one_command_is_not_sent(command: str) -> None:
    exchange = synchronised()
    with pytest.raises(ProtocolError):
        exchange.begin(command)
    exchange.begin("AT")


def test_a_command_line_knows_what_it_asks() -> None:
    line = parse_command_line('ate0;+CREG?;+CSQ;+CMEE=2;+COPS=?;+QCFG="a;+b?"')
    assert line.forms == (
        ("CREG", Form.READ),
        ("CSQ", Form.EXECUTE),
        ("CMEE", Form.SET),
        ("COPS", Form.TEST),
        ("QCFG", Form.SET),
    )
    assert line.basic
    assert '"' not in repr(parse_command_line('AT+CPIN="1234"'))


def numbers() -> list[str]:
    return [name[:2] for name in names()]


@given(st.sampled_from(numbers()), st.integers(min_value=1, max_value=64))
def test_chunks_make_no_difference(number: str, chunk: int) -> None:
    whole, cut = replay(body(number)), replay(body(number), chunk=chunk)
    assert str(whole.events) == str(cut.events)
    assert whole.answers == cut.answers
    assert whole.urcs == cut.urcs
    assert whole.discarded == cut.discarded


PIECES = st.sampled_from(
    [b"\r", b"\n", b"> ", b">", b"\0", b"OK", b"ERROR", b"+CMT: 1", b"+CREG: 1", b"+CME ERROR: 10", b"AT+CMGS=1", b" "]
)
NOISE = st.lists(st.one_of(PIECES, st.binary(max_size=40)), max_size=40).map(b"".join)


@given(NOISE, st.lists(st.integers(min_value=0, max_value=400), max_size=20), st.booleans())
def test_any_cut_of_noise_gives_the_same_lines(noise: bytes, cuts: list[int], prompt: bool) -> None:
    whole, cut = AtDecoder(line_limit_bytes=32), AtDecoder(line_limit_bytes=32)
    whole.prompt_expected = cut.prompt_expected = prompt
    edges = [0, *sorted(min(each, len(noise)) for each in cuts), len(noise)]
    pieces = [noise[start:end] for start, end in pairwise(edges)]
    assert b"".join(pieces) == noise
    found = [event for piece in pieces for event in cut.receive(piece)]
    assert found == list(whole.receive(noise))
    assert all(event.text for event in found if isinstance(event, Line))


COMMANDS = st.sampled_from(["AT", "ATI", "AT+CREG?", "AT+CPIN?", "AT+CMGS=1", "ATD*99#", 'AT+CPIN="1234"', "AT+CMEE=?"])


@given(st.lists(st.tuples(COMMANDS, NOISE, st.booleans()), max_size=8))
def test_noise_never_raises_and_every_command_can_still_be_answered(steps: list[tuple[str, bytes, bool]]) -> None:
    exchange = AtExchange(answer_limit_characters=2000, line_limit_bytes=64)
    for command, noise, abandoned in steps:
        probe = exchange.begin_synchronisation()
        name = probe.decode().partition("+")[2].partition("=")[0]
        exchange.receive(noise)
        events = exchange.receive(f"\r\n\r\n+{name}: (0-2)\r\nOK\r\n".encode())
        if not exchange.synchronised:  # the noise ended in the head of a URC that took the line
            events += exchange.receive(f"\r\n+{name}: (0-2)\r\nOK\r\n".encode())
        assert any(isinstance(event, Synchronised) for event in events) or exchange.synchronised
        exchange.begin(command)
        events = exchange.receive(noise)
        ended = any(isinstance(event, Answered | Failed) for event in events)
        if abandoned:
            exchange.abandon()
        elif not ended:
            events = exchange.receive(b"\r\nOK\r\n")
            assert any(isinstance(event, Answered | Failed) for event in events)
        else:
            exchange.abandon()
