"""Unsolicited result codes, told from the answer to a running command (Quectel EC2x AT manual §1.7)."""

from __future__ import annotations

from agent.modem.at.command_line import CommandLine, Form
from agent.modem.at.fields import name_of, parameters_of
from agent.modem.at.registration import Domain, is_read_answer

BARE_URCS = frozenset(
    {
        "RDY",
        "RING",
        "POWERED DOWN",
        "NORMAL POWER DOWN",
        "NO CARRIER",
        "NO ANSWER",
        "NO DIALTONE",
        "BUSY",
    }
)
_NETWORK = {"CREG", "CGREG", "CEREG", "C5GREG", "CGEV"}
_SIM_AND_BOOT = {"CPIN", "CFUN", "QIND", "QUSIM", "QSIMSTAT", "QSTK", "QSTKRSP"}
_MESSAGES = {"CMTI", "CMT", "CDSI", "CDS", "CBMI", "CBM", "CUSD"}
_CALLS = {"CRING", "CLIP", "COLP", "CCWA", "CSSI", "CSSU", "CIEV"}
_OTHERS = {"CTZV", "CTZE", "CTZR", "QIURC", "QPING", "QNTP", "QGPSURC"}
URC_NAMES = frozenset(_NETWORK | _SIM_AND_BOOT | _MESSAGES | _CALLS | _OTHERS)
WITH_BODY = frozenset({"CMT", "CDS", "CBM"})
"""URCs whose next line belongs to them."""
_DOMAINS = frozenset(domain.value for domain in Domain)


def is_urc(line: str) -> bool:
    """Whether `line` is a known URC when no command runs; an answer to `AT+CREG?` is not."""
    name = name_of(line)
    if name is None:
        return line in BARE_URCS
    return name in URC_NAMES and not (name in _DOMAINS and is_read_answer(parameters_of(line)))


def is_urc_during(line: str, command: CommandLine) -> bool:
    """Whether `line` is unsolicited while `command` runs."""
    name = name_of(line)
    if name is None:
        return line in BARE_URCS
    form = command.form_of(name)
    if form is None:
        # An extended command answers under its own name; a basic one (ATI, AT&V) prints what it likes.
        return name in URC_NAMES or not command.basic
    if name not in URC_NAMES:
        return False
    if form is Form.TEST:
        return not parameters_of(line).startswith("(")
    if form is Form.READ:
        return name in _DOMAINS and not is_read_answer(parameters_of(line))
    return True


def answers_once(name: str, command: CommandLine) -> bool:
    """Whether `command` gets one `+NAME` line that looks just like the URC: of several, the last one answers."""
    return name in URC_NAMES and name not in _DOMAINS and command.form_of(name) is Form.READ
