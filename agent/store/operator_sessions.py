"""Browsers in which an operator is signed in: a random token each, of which only the digest is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row, kwargs_row

from agent.store.database import Database
from agent.store.digests import digest, make_token
from agent.store.documents import clean_text
from agent.store.operators import make_operator_principal
from agent.store.rows import Principal
from agent.store.statements import statements

SESSIONS_MOST = 20
"""Of one operator; the ones that were not used for longest go."""
AGENT_MOST = 300
TOKEN_LENGTH = 43


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSessionRow:
    """A row of `operator_sessions`, without what could be used to sign in."""

    id: int
    operator: str
    address: str | None
    agent: str
    """What the browser calls itself."""
    created_at: datetime
    used_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Whose session a token is of."""

    session: int
    principal: Principal


class OperatorSessions:
    """The table `operator_sessions`. All methods raise TransientError when the database cannot be reached in time.

    A session ends `idle_seconds` after its last use, `most_seconds` after it was opened, and with every change of its
    operator's password, role, scope or state."""

    def __init__(self, database: Database, *, idle_seconds: float, most_seconds: float) -> None:
        self._database = database
        self._idle_seconds = idle_seconds
        self._most_seconds = most_seconds
        self._sql = statements("operator_sessions")

    def open(self, operator: int, version: int, address: str | None, agent: str) -> str | None:
        """Sign an operator in and return the session's token; None when they have changed since `version`."""
        token = make_token()
        parameters = {
            "operator": operator,
            "version": version,
            "token_hash": digest(token),
            "address": address,
            "agent": clean_text(agent[:AGENT_MOST])[:AGENT_MOST],
            "seconds": self._most_seconds,
            "most": SESSIONS_MOST,
        }
        with self._database.transaction() as connection:
            if not connection.execute(self._sql["open_session"], parameters).rowcount:
                return None
            connection.execute(self._sql["limit_sessions"], parameters)
        return token

    def verify(self, token: str, *, counts: bool = True) -> SignedIn | None:
        """Whose session this is; None when it is nobody's, or over. `counts`: this is a use of it."""
        if len(token) != TOKEN_LENGTH:
            return None
        parameters = {"token_hash": digest(token), "idle": self._idle_seconds}
        found = self._database.fetch_one(self._sql["fetch_session"], parameters, kwargs_row(_make_signed_in))
        if found is None:
            return None
        signed_in, use_unrecorded = found
        if counts and use_unrecorded:
            self._database.execute(self._sql["record_use"], {"session": signed_in.session})
        return signed_in

    def list(self, name: str | None = None) -> tuple[OperatorSessionRow, ...]:
        """Sessions that are open, of one operator or of all; the one used last first."""
        parameters = {"idle": self._idle_seconds, "name": None if name is None else clean_text(name)}
        return tuple(self._database.fetch(self._sql["fetch_sessions"], parameters, class_row(OperatorSessionRow)))

    def end(self, session: int, name: str | None = None) -> bool:
        """Sign a browser out; False when there is no such session (of that operator)."""
        parameters = {"session": session, "name": None if name is None else clean_text(name)}
        return self._database.execute(self._sql["end_session"], parameters) > 0

    def end_all(self, name: str, *, keep: int | None = None) -> int:
        """Sign an operator out everywhere, but for session `keep`; how many there were."""
        return self._database.execute(self._sql["end_sessions"], {"name": clean_text(name), "keep": keep})

    def forget_ended(self) -> int:
        """Delete sessions that are over."""
        return self._database.execute(self._sql["forget_sessions"], {"idle": self._idle_seconds})


def _make_signed_in(**columns: Any) -> tuple[SignedIn, bool]:
    session, use_unrecorded = columns.pop("id"), columns.pop("use_unrecorded")
    return SignedIn(session=session, principal=make_operator_principal(**columns)), use_unrecorded
