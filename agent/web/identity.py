"""Whose request this is: a bearer token's, a browser session's, or nobody's."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from flask import Response, request

from agent.acs.access.forwarded import peer_of
from agent.core.settings.schema import WebSettings
from agent.store.rows import Principal
from agent.store.tokens import PREFIX
from agent.web.services import Services
from agent.web.short_tokens import verify_short_token

TOKEN_LENGTH_MOST = 2000
COOKIE = "lastmile_session"
CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf_token"
FRAGMENT_HEADER = "X-Fragment"
"""Of what a page fetches by itself to stay up to date."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who asks, and by what."""

    principal: Principal
    still_valid: Callable[[], bool]
    """Asks anew; for what goes on for long. Raises TransientError."""
    session: int | None = None
    """The browser's session; None for a bearer token."""
    csrf_token: str = ""
    """What a change must carry; empty for a bearer token, which no web page can make a browser send."""


def identify(services: Services) -> Identity | None:
    """Who sends the current request. A bearer token counts before a cookie, also one that is wrong."""
    if "Authorization" in request.headers:
        text = bearer_token()
        principal = verify_bearer(services, text)
        if principal is None:
            return None
        return Identity(principal=principal, still_valid=lambda: verify_bearer(services, text) is not None)
    token = request.cookies.get(cookie_name(services.settings), "")
    if not token or not _is_own_origin():
        return None
    # What an open page fetches by itself is no use of the session: else nobody would ever be idle.
    return identify_session(services, token, counts=FRAGMENT_HEADER not in request.headers)


def identify_session(services: Services, token: str, *, counts: bool = True) -> Identity | None:
    """Whose browser session this is the token of; `counts`: this is a use of it. Needs no request."""
    sessions = services.access.sessions
    signed_in = sessions.verify(token, counts=counts)
    if signed_in is None:
        return None
    return Identity(
        principal=signed_in.principal,
        session=signed_in.session,
        csrf_token=csrf_token_of(token),
        still_valid=lambda: sessions.verify(token, counts=False) is not None,
    )


def verify_bearer(services: Services, text: str) -> Principal | None:
    """Whose API token or short-lived token this is."""
    if not text:
        return None
    return services.tokens.verify(text) if text.startswith(PREFIX) else verify_short_token(services, text)


def bearer_token() -> str:
    """The token of the request's Authorization header; empty when it has none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and len(token) <= TOKEN_LENGTH_MOST else ""


def is_forged(identity: Identity) -> bool:
    """Whether the current request could be another web page's: a change with a cookie, but without the session's
    token in the header or the form."""
    if not identity.csrf_token or request.method in SAFE_METHODS:
        return False
    given = request.headers.get(CSRF_HEADER)
    if given is None and request.mimetype == "application/x-www-form-urlencoded":
        given = request.form.get(CSRF_FIELD)
    return not hmac.compare_digest((given or "").encode("utf-8", "replace"), identity.csrf_token.encode())


def csrf_token_of(token: str) -> str:
    """The CSRF token of a session's token; tells nothing of it."""
    digest = hmac.new(token.encode(), b"lastmile csrf", hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def client_address(settings: WebSettings) -> str | None:
    """The address that the current request comes from, behind trusted proxies too."""
    headers = request.headers
    remote = request.remote_addr or ""
    return peer_of(remote, headers.get("Forwarded", ""), headers.get("X-Forwarded-For", ""), settings.trusted_proxies)


def cookie_name(settings: WebSettings) -> str:
    """`__Host-`: a browser takes it over TLS only, and from no neighbour of our domain."""
    return f"__Host-{COOKIE}" if settings.is_secure else COOKIE


def set_session_cookie(response: Response, settings: WebSettings, token: str) -> None:
    """Have the browser keep a session's token until it is closed, and send it to us only."""
    response.set_cookie(
        cookie_name(settings), token, httponly=True, secure=settings.is_secure, samesite="Strict", path="/"
    )


def clear_session_cookie(response: Response, settings: WebSettings) -> None:
    """Have the browser forget it."""
    response.delete_cookie(cookie_name(settings), httponly=True, secure=settings.is_secure, samesite="Strict", path="/")


def _is_own_origin() -> bool:
    # An origin that may call with a token of its own (web.allowed_origins) may not borrow the browser's session.
    origin = request.headers.get("Origin")
    return origin is None or origin.partition("://")[2].lower() == request.headers.get("Host", "").lower()
