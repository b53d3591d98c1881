"""Keys that short-lived tokens are signed with: made when they are needed, replaced after a month."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from psycopg.rows import class_row, scalar_row

from agent.store.database import Database
from agent.store.statements import statements

KEY_BYTES = 32
DAYS = 30
"""After these a new one is made; the old one is good for a day more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key and its id. Not to be shown or logged."""

    id: int
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Newest:
    id: int
    key: bytes
    old: bool


class SigningKeys:
    """The table `signing_keys`. All methods raise TransientError when the database cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("sign_in")

    def current(self) -> SigningKey:
        """The key to sign with."""
        newest = self._newest()
        if newest is not None and not newest.old:
            return SigningKey(id=newest.id, key=newest.key)
        with self._database.transaction() as connection:
            connection.execute(self._sql["lock_keys"])
            with connection.cursor(row_factory=class_row(_Newest)) as cursor:
                newest = cursor.execute(self._sql["newest_key"], {"days": DAYS}).fetchone()
            if newest is not None and not newest.old:
                return SigningKey(id=newest.id, key=newest.key)
            key = secrets.token_bytes(KEY_BYTES)
            with connection.cursor(row_factory=scalar_row) as ids:
                made = ids.execute(self._sql["add_key"], {"key": key}).fetchone()
            connection.execute(self._sql["drop_keys"], {"days": DAYS + 1})
        assert isinstance(made, int)
        return SigningKey(id=made, key=key)

    def fetch(self, key_id: int) -> bytes | None:
        """A key by its id; None when there is none, or no more."""
        if not 0 < key_id < 2**63:
            return None
        return self._database.fetch_one(self._sql["fetch_key"], {"id": key_id}, scalar_row)

    def _newest(self) -> _Newest | None:
        return self._database.fetch_one(self._sql["newest_key"], {"days": DAYS}, class_row(_Newest))
