"""Rows as CSV (RFC 4180) that no spreadsheet takes for a formula. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def render_row(cells: Iterable[object]) -> str:
    """One line, with its line end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow([neutral(cell) for cell in cells])
    return text.getvalue()


def neutral(cell: object) -> str:
    """A cell's text; what a spreadsheet would calculate gets a `'` before it (OWASP, CSV injection).

    A number of ours stays one; a text is one for the spreadsheet even if it looks like a negative number."""
    if cell is None:
        return ""
    if isinstance(cell, int | float):
        return str(cell)
    text = str(cell).replace("\x00", "")
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text
