"""Scopes in rows and statements."""

from __future__ import annotations

import copy
import re
from typing import Any, Self

from agent.core.errors import ConfigError
from agent.store.rows import EVERYTHING, Role, Scope

ENTRIES_MOST = 100
_HOST = re.compile(r"[^\x00-\x20\x7f]{1,63}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63}", re.ASCII)


class Scoped:
    """Part of the store whose statements look at `scope_hosts` and `scope_tags`."""

    _scope: Scope = EVERYTHING

    def within(self, scope: Scope) -> Self:
        """The same, as somebody of this scope may see and change it: the rest is as if it were not there."""
        if scope == self._scope:
            return self
        other = copy.copy(self)
        other._scope = scope  # noqa: SLF001  # our own copy
        return other


def check_scope(role: Role, scope: Scope) -> None:
    """Raise ConfigError when it is no scope, or not one for this role."""
    if role is Role.ADMIN and not scope.is_everything:
        raise ConfigError("an admin sees everything: who may give rights may give them to themselves")
    for what, entries, pattern in (("host", scope.hosts, _HOST), ("tag", scope.tags, _TAG)):
        if entries is None:
            continue
        if len(entries) > ENTRIES_MOST:
            raise ConfigError(f"a scope can have {ENTRIES_MOST} {what}s")
        for entry in entries:
            if not pattern.fullmatch(entry):
                raise ConfigError(f"{entry[:70]!r} is no {what}")


def take_scope(columns: dict[str, Any]) -> Scope:
    """The scope of a row, from its columns `scope_hosts` and `scope_tags`, which are taken out."""
    hosts, tags = columns.pop("scope_hosts"), columns.pop("scope_tags")
    return Scope(hosts=None if hosts is None else tuple(hosts), tags=None if tags is None else tuple(tags))
