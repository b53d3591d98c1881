"""What an operator may ask of one modem: rows of `modem_commands`, parsed as the hostile input they may be. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent.core.errors import ProtocolError
from agent.modem.at.redaction import holds_secret

AT_LIMIT = 400
_AT_LINE = re.compile(r"[Aa][Tt][\x20-\x7e]*")
_PROMPTING = re.compile(r"\+\s*(CMGS|CMGW)\s*=", re.IGNORECASE)


class QmiQuestion(StrEnum):
    """Named QMI actions; all of them only read."""

    SIGNAL = "signal"
    SERVING_SYSTEM = "serving_system"
    CARD_STATUS = "card_status"
    SETTINGS = "settings"
    STATISTICS = "statistics"


@dataclass(frozen=True, slots=True)
class AtCommand:
    """One AT command line."""

    text: str


@dataclass(frozen=True, slots=True)
class QmiCommand:
    """One named question."""

    question: QmiQuestion


@dataclass(frozen=True, slots=True)
class ResetCommand:
    """Restart the modem and forget what its health remembers."""


@dataclass(frozen=True, slots=True)
class ReconnectCommand:
    """End the data connection; the next pass starts a new one."""


@dataclass(frozen=True, slots=True)
class PlanCommand:
    """Say what a pass would do, and do nothing."""


Command = AtCommand | QmiCommand | ResetCommand | ReconnectCommand | PlanCommand


def parse_command(kind: str, argument: dict[str, Any]) -> Command:
    """Return the command that a row asks for; raise ProtocolError, saying what is allowed, when it is none."""
    match kind:
        case "at":
            return AtCommand(_parse_at_line(_only(argument, "command")))
        case "qmi":
            name = _only(argument, "action")
            if name not in set(QmiQuestion):
                raise ProtocolError(f"QMI action {name[:40]!r} is not one of {', '.join(QmiQuestion)}")
            return QmiCommand(QmiQuestion(name))
        case "reset" | "restart":
            return _without_argument(argument, ResetCommand())
        case "reconnect":
            return _without_argument(argument, ReconnectCommand())
        case "plan":
            return _without_argument(argument, PlanCommand())
        case _:
            raise ProtocolError(f"command kind {kind[:40]!r} is not one of at, qmi, reset, reconnect, plan")


def _only(argument: dict[str, Any], key: str) -> str:
    value = argument.get(key)
    if set(argument) != {key} or not isinstance(value, str):
        raise ProtocolError(f"the argument must be one text called {key!r}")
    return value


def _without_argument(argument: dict[str, Any], command: Command) -> Command:
    if argument:
        raise ProtocolError("this command takes no argument")
    return command


def _parse_at_line(text: str) -> str:
    line = text.strip()
    if len(line) > AT_LIMIT or not _AT_LINE.fullmatch(line):
        raise ProtocolError(f"an AT command is one line of at most {AT_LIMIT} printable characters that starts with AT")
    if holds_secret(line):
        raise ProtocolError("PINs and passwords are not taken this way: set modem.pin in the settings")
    if _PROMPTING.search(line):
        raise ProtocolError("commands that ask for a message text cannot be sent this way")
    return line
