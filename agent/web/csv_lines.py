"""Lines of comma-separated values that a spreadsheet takes for text and not for formulas. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator

_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")


def neutral(text: str) -> str:
    """The text with an apostrophe in front when a spreadsheet could take it for a formula; a plain number is none."""
    return f"'{text}" if _FORMULA.match(text.lstrip(" ")) and not _NUMBER.fullmatch(text) else text


def render_lines(rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Each row as a line (RFC 4180), every cell in quotes and neutral."""
    for row in rows:
        line = io.StringIO()
        csv.writer(line, quoting=csv.QUOTE_ALL).writerow([neutral(cell) for cell in row])
        yield line.getvalue()
