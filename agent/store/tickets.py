"""Tickets that were used, so that each is good once, at whichever server."""

from __future__ import annotations

from datetime import datetime

from agent.store.database import Database
from agent.store.statements import statements


class UsedTickets:
    """The table `used_tickets`. Raises TransientError when the database cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("tickets")

    def use(self, ticket: str, expires_at: datetime) -> bool:
        """Whether nobody has used this one before; those that are over are forgotten on the way."""
        self._database.execute(self._sql["forget_tickets"], {})
        return self._database.execute(self._sql["use_ticket"], {"ticket": ticket, "expires_at": expires_at}) > 0
