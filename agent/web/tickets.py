"""Tickets for live events (JWT, RFC 7519): what a script puts into a WebSocket's address, where it can send no header.

A ticket says whose it is, is good once and for half a minute, and is worth nothing anywhere else. It comes of a bearer
token, and what was opened with it ends when that does."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from agent.core.clock import wall
from agent.store.rows import Principal, PrincipalKind
from agent.store.tokens import PREFIX
from agent.web.services import Services
from agent.web.short_tokens import ALGORITHM, AUDIENCE, ISSUER, read_claims, whose

SECONDS = 30
TICKET_AUDIENCE = "lastmile-events"
LENGTH_MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One that was used."""

    principal: Principal
    claims: dict[str, Any]


def make_ticket(services: Services, bearer: str) -> tuple[str, int] | None:
    """A ticket for who has this token, and for how many seconds it is good; None when it is no bearer token."""
    if bearer.startswith(PREFIX):
        principal = services.tokens.verify(bearer)
        if principal is None:
            return None
        owner = {"sub": principal.name, "kind": PrincipalKind.TOKEN.value, "ver": 0, "until": None}
    else:
        claims = read_claims(services, bearer, AUDIENCE)
        if claims is None:
            return None
        owner = {"sub": claims["sub"], "kind": claims["kind"], "ver": claims["ver"], "until": claims["exp"]}
    key = services.access.keys.current()
    begins = wall()
    claims = {
        **owner,
        "iss": ISSUER,
        "aud": TICKET_AUDIENCE,
        "iat": begins,
        "exp": begins + timedelta(seconds=SECONDS),
        "jti": secrets.token_hex(16),
    }
    return jwt.encode(claims, key.key, algorithm=ALGORITHM, headers={"kid": str(key.id)}), SECONDS


def use_ticket(services: Services, text: str) -> Ticket | None:
    """Take a ticket; None when it is none, has ended or was taken before."""
    claims = read_claims(services, text, TICKET_AUDIENCE) if len(text) <= LENGTH_MOST else None
    if claims is None:
        return None
    ends = datetime.fromtimestamp(claims["exp"], UTC)
    if not services.access.tickets.use(str(claims.get("jti", "")), ends):
        return None
    principal = whose(services, claims)
    return None if principal is None else Ticket(principal=principal, claims=claims)


def is_still_good(services: Services, ticket: Ticket) -> bool:
    """Whether what the ticket came of would still be taken. Asks the database; raises TransientError."""
    until = ticket.claims["until"]
    if until is not None and wall().timestamp() >= until:
        return False
    return whose(services, ticket.claims) is not None
