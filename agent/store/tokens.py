"""Bearer tokens of the API: made, checked, revoked; only their digests are kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row, kwargs_row

from agent.core.errors import ConfigError
from agent.store.database import Database, first_line
from agent.store.rows import Principal, Role, TokenRow
from agent.store.statements import statements

PREFIX = "lm_"
"""Lets a person, and a scanner for leaked secrets, tell what a token is for."""
RANDOM_BYTES = 32
_TOKEN = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)


class Tokens:
    """The table `api_tokens`. All methods raise TransientError when the database cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("tokens")

    def create(self, name: str, role: Role, expires_at: datetime | None = None) -> str:
        """Make a token and return its text, which is never to be seen again.

        ConfigError when the name is taken (a revoked token keeps its name, for the audit log) or no name."""
        if not _NAME.fullmatch(name):
            raise ConfigError("a token's name has 1 to 64 letters, digits and ._@- and starts with a letter or digit")
        text = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
        parameters = {"name": name, "role": role.value, "token_hash": _digest(text), "expires_at": expires_at}
        try:
            self._database.execute(self._sql["create_token"], parameters)
        except psycopg.errors.UniqueViolation as exc:
            raise ConfigError(f"there is a token {name!r} already") from exc
        except (psycopg.DataError, psycopg.IntegrityError) as exc:
            raise ConfigError(f"the token is refused: {first_line(exc)}") from exc
        return text

    def verify(self, text: str) -> Principal | None:
        """Whose token this is; None when it is nobody's, has expired or was revoked."""
        if not _TOKEN.fullmatch(text):
            return None
        digest = _digest(text)
        found = self._database.fetch_one(self._sql["fetch_live_token"], {"token_hash": digest}, dict_row)
        # The index was searched by the digest, whose bytes a guesser cannot choose; the comparison is for the rest.
        if found is None or not hmac.compare_digest(bytes(found["token_hash"]), digest):
            return None
        if found["use_unrecorded"]:
            self._database.execute(self._sql["record_use"], {"token_hash": digest})
        return Principal(name=found["name"], role=Role(found["role"]))

    def list(self) -> tuple[TokenRow, ...]:
        """Every token, by name, the revoked and expired ones too."""
        return tuple(self._database.fetch(self._sql["fetch_tokens"], {}, kwargs_row(_make_token)))

    def revoke(self, name: str) -> bool:
        """End a token; False when there is no live one of that name."""
        return (
            _NAME.fullmatch(name) is not None and self._database.execute(self._sql["revoke_token"], {"name": name}) > 0
        )


def _digest(text: str) -> bytes:
    # A plain digest is right here, and a slow password hash would be wrong: a token is 256 random bits, so there is
    # nothing to guess from a stolen table, while every request pays for the check.
    return hashlib.sha256(text.encode("ascii")).digest()


def _make_token(**columns: Any) -> TokenRow:
    return TokenRow(**{**columns, "role": Role(columns["role"])})
