"""What a check says: how bad it is, one line about it, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    HINT = "hint"
    """Works as it is; worth knowing."""
    WARNING = "warning"
    """Works now, or mostly; it will bite."""
    FAILURE = "failure"
    """Something cannot work like this."""
    UNKNOWN = "unknown"
    """Could not be looked at."""

    @property
    def to_be_mended(self) -> bool:
        """Whether somebody has to do something."""
        return self in (Severity.WARNING, Severity.FAILURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One result of a check."""

    id: str
    """`<check>.<aspect>`, stable: for scripts and for searching."""
    severity: Severity
    finding: str
    """One line."""
    mend: str = ""
    """What to do, with the exact command where there is one; empty when there is nothing to do."""


Findings = tuple[Finding, ...]


def ok(name: str, text: str) -> Finding:
    return Finding(id=name, severity=Severity.OK, finding=text)


def hint(name: str, text: str, mend: str = "") -> Finding:
    return Finding(id=name, severity=Severity.HINT, finding=text, mend=mend)


def warning(name: str, text: str, mend: str) -> Finding:
    return Finding(id=name, severity=Severity.WARNING, finding=text, mend=mend)


def failure(name: str, text: str, mend: str) -> Finding:
    return Finding(id=name, severity=Severity.FAILURE, finding=text, mend=mend)


def unknown(name: str, text: str, mend: str = "") -> Finding:
    return Finding(id=name, severity=Severity.UNKNOWN, finding=text, mend=mend)


AS_ROOT = "run it as root: sudo lastmile doctor"


def listed(words: Iterable[object], most: int = 6) -> str:
    """`a, b and 3 more`: a line stays a line, however many modems there are."""
    texts = [str(word) for word in words]
    if len(texts) <= most:
        return ", ".join(texts)
    return f"{', '.join(texts[:most])} and {len(texts) - most} more"


def number(count: int, word: str) -> str:
    """`1 modem`, `2 modems`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
