"""The table of docs/security.md: what was tried, and what came back.

The document is the expectation: a test fails when the ACS answers otherwise than it says there. With
WRITE_SECURITY_TABLE=1 in the environment the tests write the table anew instead."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.acs_live.raw import Answer

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
_BEGIN, _END = "<!-- what the tests saw: begin -->\n", "<!-- what the tests saw: end -->\n"
_HEADING = "| what was tried | what came back |\n|---|---|\n"
_TEXT_MOST = 90
_NOT_WELL_FORMED = "not well-formed XML"
_REWRITES = "WRITE_SECURITY_TABLE"


class SeenTable:
    """The rows of all tests of a run."""

    def __init__(self) -> None:
        self._rows: dict[str, str] = {}
        self._documented = _parse(DOCUMENT.read_text())

    def note(self, tried: str, came_back: str) -> None:
        """One row; AssertionError when the document says otherwise."""
        tried, came_back = _cell(tried), _cell(came_back)
        assert self._rows.setdefault(tried, came_back) == came_back, "the same was tried twice, with another outcome"
        if _REWRITES not in os.environ:
            assert self._documented.get(tried) == came_back, f"docs/security.md has {self._documented.get(tried)!r}"

    def close(self) -> None:
        """Write the table when that is wanted; rows of tests that did not run stay."""
        if _REWRITES not in os.environ:
            return
        text = DOCUMENT.read_text()
        before, _, rest = text.partition(_BEGIN)
        _, _, after = rest.partition(_END)
        rows = {**self._documented, **self._rows}
        table = "".join(f"| {tried} | {came_back} |\n" for tried, came_back in rows.items())
        DOCUMENT.write_text(f"{before}{_BEGIN}{_HEADING}{table}{_END}{after}")


def told(answer: Answer | None) -> str:
    """An answer in a few words."""
    if answer is None:
        return "the connection is closed"
    words = str(answer.status)
    if answer.text and not answer.text.startswith("<"):
        # What comes after that is the parser's, and another one's tomorrow.
        said = _NOT_WELL_FORMED if answer.text.startswith(_NOT_WELL_FORMED) else answer.text[:_TEXT_MOST]
        words += f": {said}"
    if (after := answer.header("retry-after")) is not None:
        words += f" (Retry-After: {after})"
    if (answer.header("connection") or "").lower() == "close":
        words += "; the connection is closed"
    return words


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("|", "\\|").replace("<", "&lt;")).strip()


def _parse(text: str) -> dict[str, str]:
    _, _, rest = text.partition(_BEGIN)
    table, _, _ = rest.partition(_END)
    rows = re.findall(r"^\| (.*?) \| (.*) \|$", table.removeprefix(_HEADING), re.MULTILINE)
    return dict(rows)
