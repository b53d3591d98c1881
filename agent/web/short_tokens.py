"""Short-lived tokens (JWT, RFC 7519; HS256): what a program gets for a password or an API token.

They say who it is, not what they may: that is looked up, so that a role that was taken away is gone at once."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import jwt

from agent.core.clock import wall
from agent.store.rows import Principal, PrincipalKind
from agent.web.services import Services

MINUTES = 15
ISSUER = "lastmile"
AUDIENCE = "lastmile-api"
ALGORITHM = "HS256"
_CLAIMS = ["sub", "kind", "ver", "iat", "exp", "iss", "aud"]


def make_short_token(services: Services, principal: Principal, version: int) -> tuple[str, datetime]:
    """A token for this principal, and when it ends; `version` is the operator's, 0 for an API token."""
    key = services.access.keys.current()
    now = wall()
    ends = now + timedelta(minutes=MINUTES)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": principal.name,
        "kind": principal.kind.value,
        "ver": version,
        "iat": now,
        "exp": ends,
        "jti": secrets.token_hex(8),
    }
    return jwt.encode(claims, key.key, algorithm=ALGORITHM, headers={"kid": str(key.id)}), ends.replace(microsecond=0)


def verify_short_token(services: Services, text: str) -> Principal | None:
    """Whose token this is; None when it is nobody's, has ended, or its owner has changed since."""
    claims = read_claims(services, text, AUDIENCE)
    return None if claims is None else whose(services, claims)


def whose(services: Services, claims: Mapping[str, Any]) -> Principal | None:
    """Whom these claims are of; None when they have changed since."""
    name, version = str(claims["sub"]), claims["ver"]
    if claims["kind"] == PrincipalKind.TOKEN:
        return services.tokens.fetch_principal(name)
    if claims["kind"] == PrincipalKind.OPERATOR and isinstance(version, int):
        return services.access.operators.fetch_principal(name, version)
    return None


def read_claims(services: Services, text: str, audience: str) -> dict[str, Any] | None:
    """What a token of ours says, made for `audience`; None when it is none, or has ended."""
    try:
        key_id = str(jwt.get_unverified_header(text).get("kid", ""))
        if not (key_id.isascii() and key_id.isdigit() and len(key_id) < 20):
            return None
        key = services.access.keys.fetch(int(key_id))
        if key is None:
            return None
        claims: dict[str, Any] = jwt.decode(
            text, key, algorithms=[ALGORITHM], audience=audience, issuer=ISSUER, options={"require": _CLAIMS}
        )
    except jwt.PyJWTError:
        return None
    return claims
