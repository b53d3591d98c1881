"""The store of who may sign in, put together for the web process and for commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.core.settings.schema import WebSettings
    from agent.store.database import Database
    from agent.store.passwords import Passwords
    from agent.web.services import Access


def access_services(database: Database, settings: WebSettings, passwords: Passwords | None = None) -> Access:
    """Who may sign in; nothing connects before it is used."""
    from agent.store.operator_sessions import OperatorSessions
    from agent.store.operators import Operators
    from agent.store.passwords import Passwords
    from agent.store.setup_links import SetupLinks
    from agent.store.sign_in_attempts import SignInAttempts
    from agent.store.signing_keys import SigningKeys
    from agent.store.tickets import UsedTickets
    from agent.web.services import Access

    operators = Operators(database)
    return Access(
        operators=operators,
        sessions=OperatorSessions(
            database, idle_seconds=settings.session_idle_minutes * 60, most_seconds=settings.session_hours * 3600
        ),
        links=SetupLinks(database, operators),
        attempts=SignInAttempts(database),
        keys=SigningKeys(database),
        passwords=passwords or Passwords(),
        tickets=UsedTickets(database),
    )
