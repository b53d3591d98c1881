"""Who may see a page: `@page(Role.VIEWER)` above a view, and nobody else comes in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import ParamSpec
from urllib.parse import quote

from flask import Response, g, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from agent.store.rows import Principal, Role
from agent.web.errors import ApiError
from agent.web.identity import FRAGMENT_HEADER, SAFE_METHODS, client_address, identify
from agent.web.pages.context import all_services
from agent.web.security import require, require_own_page

P = ParamSpec("P")
Page = AnyResponse | str


def page(role: Role = Role.VIEWER) -> Callable[[Callable[P, Page]], Callable[P, Page]]:
    """A view for people who are signed in and have at least this role.

    Sets `g.principal`, `g.identity` and `g.csrf_token` (for `<meta name="csrf-token">` and forms), and makes
    `context.services()` the store as this person may see it. Whoever is not signed in is sent to the login page and
    comes back from there; what a page fetches by itself (a fragment) gets 401 instead. ApiError 403 when the role is
    too low."""

    def guard(view: Callable[P, Page]) -> Callable[P, Page]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Page:
            services = all_services()
            identity = identify(services)
            if identity is None:
                return _ask_to_sign_in()
            require_own_page(identity)
            require(identity.principal, role)
            trail = services.audit.trail(client_address(services.settings))
            g.principal = identity.principal
            g.csrf_token = identity.csrf_token
            g.identity = identity
            g.services = services.of_request(identity.principal.scope, trail)
            return view(*args, **kwargs)

        return guarded

    return guard


def signed_in() -> Principal:
    """Who is signed in; only inside a guarded view."""
    principal = g.principal
    assert isinstance(principal, Principal)
    return principal


def safe_next(text: str) -> str:
    """Where to go after signing in: a path of ours, never another site."""
    ours = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and len(text) <= 2000
    return text if ours and not text.startswith("/login") else "/"


def _ask_to_sign_in() -> Response | AnyResponse:
    by_script = (
        any(name in request.headers for name in ("HX-Request", FRAGMENT_HEADER))
        or request.headers.get("Sec-Fetch-Dest", "document") == "empty"
    )
    if by_script or request.method not in SAFE_METHODS:
        raise ApiError(HTTPStatus.UNAUTHORIZED, "unauthorized", "you are signed out; sign in again")
    wanted = request.full_path.removesuffix("?")
    return redirect(f"/login?next={quote(wanted, safe='/')}" if wanted != "/" else "/login", HTTPStatus.SEE_OTHER)
