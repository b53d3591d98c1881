"""One-time links by which a password is set: the first admin's, a new operator's, or one that was forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row, scalar_row

from agent.core.errors import ConfigError
from agent.store.database import Database
from agent.store.digests import digest, make_token
from agent.store.documents import clean_text
from agent.store.operators import OperatorRow, Operators
from agent.store.rows import Role
from agent.store.statements import statements

HOURS = 24


class LinkSpentError(ConfigError):
    """The link was used, has expired, or a newer one was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupLink:
    """A link that can be used."""

    name: str | None
    """The operator whose password it sets; None: it makes the first admin."""
    created_by: str
    expires_at: datetime


class SetupLinks:
    """The table `setup_links`. All methods raise TransientError when the database cannot be reached in time."""

    def __init__(self, database: Database, operators: Operators) -> None:
        self._database = database
        self._operators = operators
        self._sql = statements("sign_in")
        self._operator_sql = statements("operators")

    def create(self, name: str | None, created_by: str) -> str:
        """Make a link for an operator (None: for the first admin) and return its token; earlier ones are void.

        Raises ConfigError when there is no such operator, or there is an admin already."""
        if name is None and self._operators.has_admin():
            raise ConfigError("there is an admin already; name the operator whose password is to be set")
        if name is not None and self._operators.fetch(name) is None:
            raise ConfigError(f"there is no operator {name!r}")
        token = make_token()
        parameters = {
            "name": None if name is None else clean_text(name),
            "token_hash": digest(token),
            "created_by": clean_text(created_by),
            "seconds": HOURS * 3600,
        }
        with self._database.transaction() as connection:
            connection.execute(self._sql["drop_links"], parameters)
            connection.execute(self._sql["create_link"], parameters)
        return token

    def waits_for_first_admin(self) -> bool:
        """Whether a link that makes the first admin can still be used."""
        return bool(self._database.fetch_one(self._sql["has_first_link"], {}, scalar_row))

    def fetch(self, token: str) -> SetupLink | None:
        """What a link is for; None when it cannot be used any more."""
        link = self._database.fetch_one(self._sql["fetch_link"], {"token_hash": digest(token)}, class_row(SetupLink))
        return None if link is not None and link.name is None and self._operators.has_admin() else link

    def use(self, token: str, name: str, password_hash: str) -> OperatorRow:
        """Use a link up: set its operator's password, or make admin `name`.

        Raises LinkSpentError, OperatorTakenError, or ConfigError for a name that is none."""
        link = self.fetch(token)
        if link is None:
            raise LinkSpentError("this link was used, has expired, or was replaced by a newer one")
        with self._database.transaction() as connection:
            if not connection.execute(self._sql["use_link"], {"token_hash": digest(token)}).rowcount:
                raise LinkSpentError("this link was used already")
            if link.name is None:
                return self._operators.create_within(connection, name, Role.ADMIN, password_hash=password_hash)
            parameters = {"name": link.name, "password_hash": password_hash}
            connection.execute(self._operator_sql["set_password"], parameters)
        row = self._operators.fetch(link.name)
        if row is None:
            raise LinkSpentError("the operator of this link is no more")
        return row
