"""The SQL of `queries/*.sql`: one named statement each, read once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

from agent.core.errors import InvariantError

_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)$", re.MULTILINE)


@cache
def statements(file: str) -> Mapping[str, bytes]:
    """Return the statements of `queries/<file>.sql` by the name that a line `-- name: NAME` above each gives it.

    They are bytes since psycopg takes a str only when it is a literal, which keeps values out of SQL.
    """
    text = (resources.files("agent.store") / "queries" / f"{file}.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise InvariantError(f"queries/{file}.sql has two statements of one name")
    return MappingProxyType({name: body.strip().encode() for name, body in zip(names, bodies, strict=True)})
