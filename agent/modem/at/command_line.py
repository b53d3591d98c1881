"""What a command line asks for, so that its answer can be told from other lines (ITU-T V.250 §5.3, §5.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from agent.core.errors import ProtocolError

COMMAND_LIMIT = 1024
_ALLOWED = re.compile(r"[Aa][Tt][\x20-\x7e]*")
_PART = re.compile(r'(?:"[^"]*"?|[^;"])+')
_EXTENDED = re.compile(r"[+^*%#&]?\+?([A-Z][A-Z0-9]*)\s*(=\s*\?|=|\?|$)", re.IGNORECASE)
_PROMPTING = frozenset({"CMGS", "CMGW", "CMGC", "CNMA", "QCMGS", "QISEND"})


class Form(Enum):
    """How an extended command is used."""

    READ = auto()
    TEST = auto()
    SET = auto()
    EXECUTE = auto()


_FORMS = {"?": Form.READ, "=?": Form.TEST, "=": Form.SET, "": Form.EXECUTE}


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command line, taken apart. `text` may hold a PIN: never log it without `redact`."""

    text: str
    forms: tuple[tuple[str, Form], ...]
    """Upper-case names of the extended commands without `+`, and their forms."""
    basic: bool
    """Whether a basic command (`I`, `E0`, `D…`) is among them."""

    def __repr__(self) -> str:
        return f"CommandLine({[name for name, _ in self.forms]})"

    def form_of(self, name: str) -> Form | None:
        """The form in which `name` is asked; None when it is not."""
        return next((form for each, form in self.forms if each == name), None)

    @property
    def dials(self) -> bool:
        """Whether `NO CARRIER` and `BUSY` are answers to it."""
        return bool(re.match(r"AT[DAO]", self.text, re.IGNORECASE)) or self.form_of("CGDATA") is not None

    @property
    def prompts(self) -> bool:
        """Whether `> ` is an answer to it."""
        return any(name in _PROMPTING for name, _ in self.forms)


def parse_command_line(text: str) -> CommandLine:
    """Take one command line apart; raise ProtocolError when it is not exactly one (line ends, control
    characters, non-ASCII, no `AT`, more than 1024 characters), since a second command could hide behind the
    first."""
    if len(text) > COMMAND_LIMIT or not _ALLOWED.fullmatch(text):
        raise ProtocolError("not a single AT command line")
    forms: list[tuple[str, Form]] = []
    basic = False
    for part in _PART.findall(text[2:]):
        stripped = part.strip()
        found = _EXTENDED.match(stripped) if stripped.startswith(("+", "^", "*", "%", "#")) else None
        if found:
            forms.append((found[1].upper(), _FORMS[found[2].replace(" ", "")]))
        elif stripped:
            basic = True
    return CommandLine(text, tuple(forms), basic)
