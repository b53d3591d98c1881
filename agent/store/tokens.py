"""Bearer tokens of the API: made, checked, revoked; only their digests are kept."""

from __future__ import annotations

import hmac
import re
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row, kwargs_row

from agent.core.errors import ConfigError
from agent.store.database import Database, first_line
from agent.store.digests import digest, make_token
from agent.store.documents import clean_text
from agent.store.rows import EVERYTHING, Principal, Role, Scope, TokenRow
from agent.store.scoping import check_scope, take_scope
from agent.store.statements import statements

PREFIX = "lm_"
"""Lets a person, and a scanner for leaked secrets, tell what a token is for."""
_TOKEN = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)


class TokenTakenError(ConfigError):
    """There is, or was, a token of this name."""


class Tokens:
    """The table `api_tokens`. All methods raise TransientError when the database cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("tokens")

    def create(
        self,
        name: str,
        role: Role,
        expires_at: datetime | None = None,
        *,
        scope: Scope = EVERYTHING,
        created_by: str = "",
    ) -> str:
        """Make a token and return its text, which is never to be seen again.

        TokenTakenError when the name is taken (a revoked token keeps its name, for the audit log); ConfigError when it
        is no name, or an admin's token is to have a scope."""
        if not _NAME.fullmatch(name):
            raise ConfigError("a token's name has 1 to 64 letters, digits and ._@- and starts with a letter or digit")
        check_scope(role, scope)
        text = make_token(PREFIX)
        parameters = {
            "name": name,
            "role": role.value,
            "token_hash": digest(text),
            "expires_at": expires_at,
            "created_by": clean_text(created_by),
            **scope.parameters,
        }
        try:
            self._database.execute(self._sql["create_token"], parameters)
        except psycopg.errors.UniqueViolation as exc:
            raise TokenTakenError(f"there is a token {name!r} already") from exc
        except (psycopg.DataError, psycopg.IntegrityError) as exc:
            raise ConfigError(f"the token is refused: {first_line(exc)}") from exc
        return text

    def verify(self, text: str) -> Principal | None:
        """Whose token this is; None when it is nobody's, has expired or was revoked."""
        if not _TOKEN.fullmatch(text):
            return None
        key = digest(text)
        found = self._database.fetch_one(self._sql["fetch_live_token"], {"token_hash": key}, dict_row)
        # The index was searched by the digest, whose bytes a guesser cannot choose; the comparison is for the rest.
        if found is None or not hmac.compare_digest(bytes(found["token_hash"]), key):
            return None
        if found["use_unrecorded"]:
            self._database.execute(self._sql["record_use"], {"token_hash": key})
        return Principal(name=found["name"], role=Role(found["role"]), scope=take_scope(found))

    def fetch_principal(self, name: str) -> Principal | None:
        """Whose a token of this name is; None when there is no live one."""
        found = self._database.fetch_one(self._sql["fetch_live_name"], {"name": clean_text(name)}, dict_row)
        if found is None:
            return None
        return Principal(name=found["name"], role=Role(found["role"]), scope=take_scope(found))

    def list(self) -> tuple[TokenRow, ...]:
        """Every token, by name, the revoked and expired ones too."""
        return tuple(self._database.fetch(self._sql["fetch_tokens"], {}, kwargs_row(_make_token)))

    def revoke(self, name: str) -> bool:
        """End a token; False when there is no live one of that name."""
        return (
            _NAME.fullmatch(name) is not None and self._database.execute(self._sql["revoke_token"], {"name": name}) > 0
        )


def _make_token(**columns: Any) -> TokenRow:
    scope = take_scope(columns)
    return TokenRow(**{**columns, "role": Role(columns["role"]), "scope": scope})
