"""Which role an AT command line takes."""

from __future__ import annotations

import pytest

from agent.modem.at.redaction import holds_secret
from agent.store.rows import Role
from agent.web.authority import needed_role


@pytest.mark.parametrize(
    "line",
    [
        *("AT", "ATI", "at+csq", "AT+CSQ", "AT+CPIN?", "AT+COPS=?", "AT+CREG?;+CEREG?", "ATE0+CSQ", "ATE1"),
        *('AT+QENG="servingcell"', "AT+CFUN=1,1", "AT+COPS=0", "AT+QLINUXCMD?", 'AT+QCFG="usbnet"', "AT+CGACT=1,1"),
    ],
)
def test_operators_ask_and_nudge(line: str) -> None:
    assert needed_role(line) is Role.OPERATOR


@pytest.mark.parametrize(
    "line",
    [
        *("AT&F", "ATZ", "AT&W", "AT+QFLASH=1", "AT+QPRTPARA=3", 'AT+QCFG="usbnet",1', 'AT+EGMR=1,7,"123"', "AT+QPOWD"),
        *("ATD+491701234567;", "AT+CMGD=1,4", "AT+QFOTADL=1", "AT+CSQ;+QPRTPARA=3", "AT+CSQ;&F", "AT+UNHEARD=1"),
        *("AT+CSQ&F", 'AT+CSQ;+QCFG="a";+QCFG="a",1', 'AT+CGDCONT=1,"IP","x"', "AT$QCRMCALL=1,1", "AT^RESET", "AT+"),
    ],
)
def test_everything_else_takes_an_admin(line: str) -> None:
    assert needed_role(line) is Role.ADMIN


@pytest.mark.parametrize("line", ["AT+CPIN?", "AT+CPIN=?", "AT+CSQ", "ATD+491701234567;", 'AT+CLCK="SC",2'])
def test_questions_hold_no_secret(line: str) -> None:
    assert not holds_secret(line)


@pytest.mark.parametrize(
    "line", ['AT+CPIN="1234"', "AT+CPIN = 1234", "atd**042*1234*1234*1234#", 'AT+CPWD="SC","1","2"']
)
def test_secrets_are_seen(line: str) -> None:
    assert holds_secret(line)
