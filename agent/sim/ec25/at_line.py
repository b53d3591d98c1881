"""AT command lines: taken apart, and answers put together (ITU-T V.250 §5, with the EC25's line ends)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class Form(Enum):
    """What is done with a command."""

    EXECUTE = ""
    READ = "?"
    TEST = "=?"
    SET = "="


@dataclass(frozen=True, slots=True, kw_only=True)
class AtCommand:
    """One command of a line, its name in upper case, its arguments without quotes."""

    name: str
    form: Form = Form.EXECUTE
    arguments: tuple[str, ...] = ()

    def number(self, position: int) -> int:
        """The argument there as a number; raises AtRefused when it is missing or none."""
        try:
            return int(self.arguments[position])
        except (IndexError, ValueError):
            raise AtRefused(50) from None


class AtRefused(Exception):
    """`+CME ERROR` with a code (3GPP TS 27.007 §9.2); None: a bare `ERROR`, whatever `+CMEE` says."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__(f"CME {code}")
        self.code = code


_CME_TEXTS = {
    3: "operation not allowed",
    4: "operation not supported",
    10: "SIM not inserted",
    11: "SIM PIN required",
    12: "SIM PUK required",
    13: "SIM failure",
    14: "SIM busy",
    16: "incorrect password",
    30: "no network service",
    50: "Incorrect parameters",
    100: "unknown",
}
_BASIC = re.compile(r"(&?[A-Z])(\d*)")
_EXTENDED = re.compile(r"([+$^][A-Z0-9]+)(=\?|\?|=)?(.*)", re.DOTALL)


def parse_line(line: str) -> tuple[AtCommand, ...]:
    """The commands of a line without its line end; AtRefused when it is no command line."""
    if line[:2].upper() != "AT":
        raise AtRefused
    commands: list[AtCommand] = []
    for part in _split(line[2:], ";"):
        commands += _parse_part(part.strip())
    return tuple(commands)


def _parse_part(part: str) -> list[AtCommand]:
    if not part:
        return []
    if part[0] in "+$^":
        matched = _EXTENDED.fullmatch(part[:1] + _upper_name(part[1:]))
        if matched is None:
            raise AtRefused
        name, form, rest = matched.groups()
        arguments = tuple(argument.strip().strip('"') for argument in _split(rest, ",")) if form == "=" else ()
        return [AtCommand(name=name, form=Form(form or ""), arguments=arguments)]
    found, end = [], 0
    for matched in _BASIC.finditer(part.upper()):
        if matched.start() != end:
            raise AtRefused
        end = matched.end()
        found.append(AtCommand(name=matched[1], arguments=(matched[2] or "0",)))
    if end != len(part):
        raise AtRefused
    return found


def _upper_name(text: str) -> str:
    length = re.match(r"[A-Za-z0-9]*", text)
    end = length.end() if length else 0
    return text[:end].upper() + text[end:]


def _split(text: str, separator: str) -> list[str]:
    """Split where the separator stands outside quotes."""
    parts, quoted = [""], False
    for character in text:
        quoted ^= character == '"'
        if character == separator and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def render_lines(lines: list[str]) -> str:
    """Information lines as the EC25 sends them; consecutive ones share a line end, and a blank line follows."""
    return "\r\n" + "".join(f"{line}\r\n" for line in lines) if lines else ""


def render_refusal(code: int | None, error_format: int) -> str:
    """The final line of a refusal in the format that `+CMEE` chose."""
    if code is None or error_format == 0:
        return "\r\nERROR\r\n"
    return f"\r\n+CME ERROR: {code if error_format == 1 else _CME_TEXTS.get(code, 'unknown')}\r\n"
