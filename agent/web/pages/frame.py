"""What every page has in common: the templates and their helpers, navigation, headers, and errors as pages."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, make_response, render_template, request
from jinja2 import StrictUndefined

from agent.core.clock import wall
from agent.core.errors import DeadlineExceeded, TransientError
from agent.core.templates import templates_directory
from agent.store.rows import Role
from agent.version import __version__
from agent.web.errors import ERROR_PAGE, ApiError
from agent.web.identity import identify
from agent.web.pages import device_formats, formats, tones
from agent.web.pages.assets import PREFIX, Assets
from agent.web.pages.context import all_services, provide
from agent.web.pages.families import FAMILIES
from agent.web.pages.navigation import groups_for
from agent.web.pages.sights import provide_sights
from agent.web.services import Services

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_NO_PAGES = ("/api/", "/health", "/metrics", f"{PREFIX}/")


def install_pages(app: Flask, services: Services) -> None:
    """Serve the pages of every family from `app`."""
    folder = templates_directory() / "web"
    assets = Assets(folder / "static")
    app.template_folder = str(folder)
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update({**formats.FILTERS, **device_formats.FILTERS})
    app.jinja_env.globals.update(url_static=assets.url, tone_of=tones.tone_of, product_version=__version__)
    provide(app, services)
    provide_sights(app, services)
    app.register_blueprint(assets.blueprint())
    for blueprint in FAMILIES:
        app.register_blueprint(blueprint)
    served = frozenset(rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ()))
    app.context_processor(lambda: _surroundings(served))
    app.after_request(_dress)
    app.extensions[ERROR_PAGE] = render_error_page


def wants_page() -> bool:
    """Whether the request is for a page: then a failure is told as one."""
    path = request.path
    if any(path.startswith(prefix) or path == prefix.rstrip("/") for prefix in _NO_PAGES):
        return False
    return request.accept_mimetypes.best_match(("application/json", "text/html")) == "text/html"


def render_error_page(error: ApiError) -> Response | None:
    """The failure as a page; None when the request was for none."""
    if not wants_page():
        return None
    if error.status == HTTPStatus.NOT_FOUND and "principal" not in g:
        _recognise()
    try:
        status = HTTPStatus(error.status)
        title = _TITLES.get(status, status.phrase)
    except ValueError:
        title = "Something is wrong"
    text = render_template("error.html", error=error, title=title, advice=_ADVICE.get(error.status, ""))
    response = make_response(text, error.status)
    response.headers.extend(error.headers)
    return response


def _recognise() -> None:
    """No guard stands before a path that there is not: who is signed in keeps the navigation all the same."""
    try:
        identity = identify(all_services())
    except (TransientError, DeadlineExceeded):
        return
    if identity is not None:
        g.principal, g.csrf_token = identity.principal, identity.csrf_token


_TITLES = {
    HTTPStatus.UNAUTHORIZED: "Please sign in",
    HTTPStatus.FORBIDDEN: "Not for your role",
    HTTPStatus.NOT_FOUND: "Nothing is here",
    HTTPStatus.INTERNAL_SERVER_ERROR: "This page has failed",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database is away",
}
_ADVICE = {
    401: "Your sign-in has ended, or you have not signed in yet.",
    403: "An administrator can give you another role, or a wider scope.",
    404: "It may have been removed, or the address has a slip of the pen in it.",
    500: "The server's log has more. Other pages go on working.",
    503: "This page loads itself again every few seconds until all is well.",
}


def _surroundings(served: frozenset[str]) -> dict[str, Any]:
    principal = g.get("principal")
    role = getattr(principal, "role", None)
    return {
        "navigation": groups_for(role, served) if role is not None else (),
        "principal": principal if role is not None else None,
        "csrf_token": g.get("csrf_token", ""),
        "here": request.path,
        "now": wall(),
        "may": lambda needed: role is not None and role.allows(Role(needed)),
        "epoch": datetime.fromtimestamp(0, UTC),
    }


def _dress(response: Response) -> Response:
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.vary.add("Cookie")
    return response
