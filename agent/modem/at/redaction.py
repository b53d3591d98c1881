"""Hides PINs, passwords and messages in what is logged of an AT port."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce

HIDDEN = "***"

# Possessive, since these run on what anybody sends: no input makes them try again.
_VALUE = r'(?:"[^"]*+"?+|[^;"\r\n])*+'
_FIELD = r'(?:"[^"]*+"?+|[^,;"\r\n])*+'
_WHOLE_VALUE = re.compile(rf"(\+(?:CPIN2?|CPWD|QPIN|CPUK)\s*=\s*)(?!\?)(?P<secret>{_VALUE})", re.IGNORECASE)
_AFTER_FIELDS = re.compile(
    rf"(\+(?:CLCK\s*=\s*{_FIELD},{_FIELD}|CGAUTH\s*=\s*{_FIELD},{_FIELD}|QICSGP\s*=\s*{_FIELD},{_FIELD},{_FIELD}),)"
    rf"(?P<secret>{_VALUE})",
    re.IGNORECASE,
)
_SECRET_PATTERNS = (_WHOLE_VALUE, _AFTER_FIELDS)
_MMI_SECRET = re.compile(r"[*#]\s*0[345]\s*(2\s*)?\*")
_ENTRY_COMMAND = re.compile(r"AT.*\+Q?CMG[SWC]\s*=", re.IGNORECASE)
_BODY_HEADER = re.compile(r"\+(?:CMGL|CMGR|CMT|CDS|CBM):", re.IGNORECASE)
_ENTRY_RESULT = re.compile(r"\+Q?CM(?:G[SWC]|S ERROR):", re.IGNORECASE)
_FINAL = re.compile(r"OK|ERROR|\+CM[ES] ERROR:.*", re.IGNORECASE)
_PDU = re.compile(r"[0-9A-Fa-f]{24,}")
_MEMORY_COMMAND = re.compile(r"AT.*\+CMG[LR]\b", re.IGNORECASE)


def _hide(found: re.Match[str]) -> str:
    return found[1] + HIDDEN if found["secret"].strip() else found[0]


def holds_secret(line: str) -> bool:
    """Whether a command carries a PIN, PUK or password, as a value or as a dialled code (3GPP TS 22.030 §6.6.2)."""
    lines = "\n".join(line.splitlines())
    return redact(lines) != lines or ("D" in lines.upper() and _MMI_SECRET.search(lines) is not None)


def redact(text: str) -> str:
    """`text`, a command or answer of one line or several, without PINs, passwords, SMS texts and PDUs.

    `\\r`, `\\n` and `\\r\\n` end lines and come out as `\\n`.
    """
    for pattern in _SECRET_PATTERNS:
        text = pattern.sub(_hide, text)
    lines = text.splitlines()
    result: list[str] = []
    hiding = False
    for position, line in enumerate(lines):
        last = position == len(lines) - 1
        if _BODY_HEADER.match(line.strip()):
            hiding = True
            result.append(line)
        elif line.startswith(">"):
            hiding = True
            result.append("> " + HIDDEN if line.strip(" >") else line)
        elif hiding and not _ENTRY_RESULT.match(line) and not (last and _FINAL.fullmatch(line.strip())):
            result.append(HIDDEN if line.strip() else line)
        else:
            hiding = hiding or _ENTRY_COMMAND.match(line.strip()) is not None
            result.append(_PDU.sub(HIDDEN, line))
    return "\n".join(result)


def redact_exchange(command: str, lines: Sequence[str]) -> tuple[str, str]:
    """(command, answer) of one exchange, for a log: as `redact`; and what is secret in `command` is hidden wherever
    the modem repeats it, also in a garbled echo."""
    secrets = _secrets_in(command)
    shown: list[str] = []
    of_memory = _MEMORY_COMMAND.match(command.strip()) is not None
    for line in lines:
        if of_memory and not _BODY_HEADER.match(line) and not _FINAL.fullmatch(line):
            shown.append(HIDDEN)
            continue
        shown.append(reduce(lambda text, secret: text.replace(secret, HIDDEN), secrets, line))
    return redact(command), redact("\n".join(shown))


def _secrets_in(command: str) -> tuple[str, ...]:
    found: set[str] = set()
    for pattern in _SECRET_PATTERNS:
        for match in pattern.finditer(command):
            found.update(part.strip(' "') for part in re.split(r"[,;]", match["secret"]))
    return tuple(sorted((each for each in found if len(each) > 2), key=len, reverse=True))
