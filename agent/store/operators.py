"""Operators: people who sign in, what they may, and what is kept of their passwords and codes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row, kwargs_row, scalar_row

from agent.core.errors import ConfigError
from agent.store.database import Database, first_line
from agent.store.documents import clean_text
from agent.store.rows import EVERYTHING, Principal, PrincipalKind, Role, Scope
from agent.store.scoping import check_scope, take_scope
from agent.store.statements import statements

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)


class OperatorTakenError(ConfigError):
    """There is an operator of this name."""


class LastAdminError(ConfigError):
    """Without them nobody could administer any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRow:
    """An operator, without what could be used to sign in."""

    id: int
    name: str
    role: Role
    scope: Scope
    has_password: bool
    has_totp: bool
    disabled: bool
    version: int
    created_at: datetime
    password_changed_at: datetime | None
    signed_in_at: datetime | None
    sessions: int
    """How many browsers are signed in."""
    recovery_codes: int
    """How many are left."""

    @property
    def principal(self) -> Principal:
        return Principal(name=self.name, role=self.role, scope=self.scope, kind=PrincipalKind.OPERATOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSecrets:
    """What a sign-in is checked against. Not to be shown or logged."""

    id: int
    name: str
    password_hash: str | None
    totp_secret: str | None
    totp_confirmed: bool
    disabled: bool
    version: int


class Operators:
    """The table `operators`. All methods raise TransientError when the database cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("operators")

    def list(self) -> tuple[OperatorRow, ...]:
        """Every operator, by name."""
        return tuple(self._database.fetch(self._sql["fetch_operators"], {"name": None}, _OPERATOR))

    def fetch(self, name: str) -> OperatorRow | None:
        """One operator; None when there is none of that name."""
        return self._database.fetch_one(self._sql["fetch_operators"], {"name": clean_text(name)}, _OPERATOR)

    def fetch_secrets(self, name: str) -> OperatorSecrets | None:
        """What their sign-in is checked against; None when there is none of that name."""
        return self._database.fetch_one(
            self._sql["fetch_secrets"], {"name": clean_text(name)}, class_row(OperatorSecrets)
        )

    def fetch_principal(self, name: str, version: int) -> Principal | None:
        """Who this is, if nothing has changed of them since `version`."""
        parameters = {"name": clean_text(name), "version": version}
        return self._database.fetch_one(self._sql["fetch_version"], parameters, kwargs_row(make_operator_principal))

    def has_admin(self) -> bool:
        """Whether somebody can sign in as admin."""
        return bool(self._database.fetch_one(self._sql["has_admin"], {}, scalar_row))

    def create(self, name: str, role: Role, scope: Scope = EVERYTHING, password_hash: str | None = None) -> OperatorRow:
        """Make an operator; without a password they sign in after a setup link was used.

        Raises OperatorTakenError, and ConfigError for a name that is none or an admin with a scope."""
        with self._database.transaction() as connection:
            return self.create_within(connection, name, role, scope, password_hash)

    def create_within(
        self,
        connection: psycopg.Connection[Any],
        name: str,
        role: Role,
        scope: Scope = EVERYTHING,
        password_hash: str | None = None,
    ) -> OperatorRow:
        """As `create`, in the caller's transaction; for this room only."""
        if not NAME.fullmatch(name):
            raise ConfigError("a name has 1 to 64 letters, digits and ._@- and starts with a letter or digit")
        check_scope(role, scope)
        parameters = {"name": name, "role": role.value, "password_hash": password_hash, **scope.parameters}
        try:
            connection.execute(self._sql["create_operator"], parameters)
        except psycopg.errors.UniqueViolation as exc:
            raise OperatorTakenError(f"there is an operator {name!r} already") from exc
        except (psycopg.DataError, psycopg.IntegrityError) as exc:
            raise ConfigError(f"the operator is refused: {first_line(exc)}") from exc
        with connection.cursor(row_factory=_OPERATOR) as cursor:
            row = cursor.execute(self._sql["fetch_operators"], {"name": name}).fetchone()
        assert row is not None
        return row

    def change(
        self, name: str, *, role: Role | None = None, scope: Scope | None = None, disabled: bool | None = None
    ) -> OperatorRow | None:
        """Change what is given; whoever is signed in under that name is out when something has changed.

        None when there is none of that name. Raises LastAdminError, and ConfigError for an admin with a scope."""
        with self._database.transaction() as connection:
            admins = self._lock_admins(connection)
            row = self._fetch_within(connection, name)
            if row is None:
                return None
            wanted = role if role is not None else row.role
            # Who becomes an admin sees everything, unless a scope was asked for, which is then refused.
            kept = EVERYTHING if wanted is Role.ADMIN and scope is None else scope if scope is not None else row.scope
            out = row.disabled if disabled is None else disabled
            check_scope(wanted, kept)
            if wanted is not Role.ADMIN or out:
                _keep_an_admin(admins, row.name)
            parameters = {"name": row.name, "role": wanted.value, "disabled": out, **kept.parameters}
            connection.execute(self._sql["change_operator"], parameters)
            return self._fetch_within(connection, name)

    def remove(self, name: str) -> bool:
        """Forget an operator; False when there is none of that name. Raises LastAdminError."""
        parameters = {"name": clean_text(name)}
        with self._database.transaction() as connection:
            _keep_an_admin(self._lock_admins(connection), parameters["name"])
            return connection.execute(self._sql["remove_operator"], parameters).rowcount > 0

    def set_password(self, name: str, password_hash: str) -> bool:
        """Set a password; whoever is signed in under that name is out. False when there is none of that name."""
        parameters = {"name": clean_text(name), "password_hash": password_hash}
        return self._database.execute(self._sql["set_password"], parameters) > 0

    def renew_hash(self, operator: int, old_hash: str, password_hash: str) -> None:
        """Keep the same password at other costs."""
        parameters = {"operator": operator, "old_hash": old_hash, "password_hash": password_hash}
        self._database.execute(self._sql["rehash_password"], parameters)

    def begin_totp(self, name: str, secret: str) -> bool:
        """Keep a secret that the operator is to prove by a code; False when they have one that counts."""
        return self._database.execute(self._sql["begin_totp"], {"name": clean_text(name), "secret": secret}) > 0

    def use_totp(self, operator: int, secret: str, counter: int) -> bool:
        """Take a code by its counter (RFC 6238 §4.2), once; False when it, or a later one, was taken before.

        The first makes the secret count."""
        parameters = {"operator": operator, "secret": secret, "counter": counter}
        return self._database.execute(self._sql["use_totp"], parameters) > 0

    def end_totp(self, name: str) -> bool:
        """Ask this operator for no codes any more; False when they had none. Whoever is signed in is out."""
        parameters = {"name": clean_text(name)}
        with self._database.transaction() as connection:
            connection.execute(self._sql["drop_recovery_codes"], parameters)
            return connection.execute(self._sql["end_totp"], parameters).rowcount > 0

    def replace_recovery_codes(self, name: str, operator: int, digests: Sequence[bytes]) -> None:
        """Give an operator these recovery codes and no others."""
        with self._database.transaction() as connection:
            connection.execute(self._sql["drop_recovery_codes"], {"name": clean_text(name)})
            connection.execute(self._sql["add_recovery_codes"], {"operator": operator, "codes": [*digests]})

    def use_recovery_code(self, operator: int, code: bytes) -> bool:
        """Take a recovery code, once."""
        return self._database.execute(self._sql["use_recovery_code"], {"operator": operator, "code": code}) > 0

    def _lock_admins(self, connection: psycopg.Connection[Any]) -> tuple[str, ...]:
        with connection.cursor(row_factory=scalar_row) as cursor:
            return tuple(cursor.execute(self._sql["lock_admins"]).fetchall())

    def _fetch_within(self, connection: psycopg.Connection[Any], name: str) -> OperatorRow | None:
        with connection.cursor(row_factory=_OPERATOR) as cursor:
            return cursor.execute(self._sql["fetch_operators"], {"name": clean_text(name)}).fetchone()


def make_operator_principal(**columns: Any) -> Principal:
    """The principal of an operator's row."""
    return Principal(
        name=columns["name"], role=Role(columns["role"]), scope=take_scope(columns), kind=PrincipalKind.OPERATOR
    )


def _keep_an_admin(admins: Sequence[str], name: str) -> None:
    if tuple(admins) == (name,):
        raise LastAdminError(f"{name} is the only admin")


def _make_operator(**columns: Any) -> OperatorRow:
    scope = take_scope(columns)
    return OperatorRow(**{**columns, "role": Role(columns["role"]), "scope": scope})


_OPERATOR = kwargs_row(_make_operator)
