"""JSON objects in and out of the database. What comes out may have been put there by anyone."""

from __future__ import annotations

import json
from typing import Any

from agent.core.errors import ConfigError, ProtocolError


def read_object(text: str) -> dict[str, Any]:
    """Parse a JSON object; ProtocolError when it is none, is nested too deeply or holds a number beyond reason."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ProtocolError("not a readable JSON document", text) from exc
    if not isinstance(value, dict):
        raise ProtocolError("not a JSON object", text)
    if _deeper_than(DEPTH_LIMIT, value):
        raise ProtocolError("a JSON object that is nested too deeply", text)
    return value


def show_object(text: str) -> dict[str, Any]:
    """Parse a JSON object for a person to see: an unreadable one becomes {"unreadable": its beginning}."""
    try:
        return read_object(text)
    except ProtocolError as exc:
        return {"unreadable": exc.sample}


DEPTH_LIMIT = 64


def render_object(value: dict[str, Any]) -> str:
    """The text of a JSON object; ConfigError when PostgreSQL could not keep it (NaN, deep nesting, other types)."""
    if _deeper_than(DEPTH_LIMIT, value):
        # How deep json itself goes differs between versions of Python.
        raise ConfigError(f"not storable as JSON: nested more than {DEPTH_LIMIT} deep")
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=True)
    except (ValueError, TypeError, RecursionError) as exc:
        raise ConfigError(f"not storable as JSON: {exc}") from exc
    return text


def _deeper_than(limit: int, value: Any) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list | tuple)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def clean_text(text: str) -> str:
    """`text` as PostgreSQL can keep it: a NUL becomes its picture, half a surrogate pair its number."""
    return text.replace("\x00", "\N{SYMBOL FOR NULL}").encode("utf-8", "backslashreplace").decode("utf-8")
