"""Who may ask, from where, and what browsers are told: roles, Host, Origin, response headers."""

from __future__ import annotations

from http import HTTPStatus
from ipaddress import ip_address

from flask import Flask, Response, request
from werkzeug.datastructures import WWWAuthenticate

from agent.store.audit import AuditTrail, Outcome
from agent.store.rows import Principal, Role
from agent.web.errors import ApiError
from agent.web.identity import SAFE_METHODS, Identity, identify, is_forged
from agent.web.services import Services

PREFLIGHT_SECONDS = 600
HSTS_SECONDS = 31_536_000

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
_PAGE_HEADERS = {
    # Without a referrer browsers would call the origin of our own forms "null".
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
}


def authorize(services: Services, role: Role, trail: AuditTrail, what: str) -> Identity:
    """Whose request this is; ApiError 401 when it is nobody's, 403 when the role is too low or the request may be
    another web page's.

    A change (`what`) that is refused to somebody whom we know is accounted for in `trail`."""
    identity = identify(services)
    if identity is None:
        challenge = WWWAuthenticate("bearer", {"realm": "lastmile"})
        if "Authorization" in request.headers:
            challenge["error"] = "invalid_token"
        raise ApiError(
            HTTPStatus.UNAUTHORIZED,
            "unauthorized",
            "a valid bearer token is needed; make one with: lastmile token create",
            headers={"WWW-Authenticate": challenge.to_header()},
        )
    try:
        require_own_page(identity)
        require(identity.principal, role)
    except ApiError:
        if request.method not in SAFE_METHODS:
            trail.write(identity.principal, what, request.path[:500], outcome=Outcome.REFUSED)
        raise
    return identity


def require_own_page(identity: Identity) -> None:
    """ApiError 403 when the current request is a change that another web page may have made the browser send."""
    if is_forged(identity):
        message = "a change with a session's cookie needs its token in the header X-CSRF-Token; load the page anew"
        raise ApiError(HTTPStatus.FORBIDDEN, "csrf_refused", message)


def require(principal: Principal, role: Role) -> None:
    """ApiError 403 unless `principal` may do what `role` may."""
    if not principal.role.allows(role):
        raise ApiError(
            HTTPStatus.FORBIDDEN,
            "forbidden",
            f"this takes the role {role.value}; yours is {principal.role.value}",
            details={"needed": role.value, "role": principal.role.value},
        )


def require_everything(principal: Principal) -> None:
    """ApiError 403 when `principal` may only see a part of the fleet."""
    if not principal.scope.is_everything:
        message = "this tells of the whole fleet, and you may see a part of it only"
        raise ApiError(HTTPStatus.FORBIDDEN, "outside_scope", message)


class BrowserGuard:
    """Refuses what another web site could make a browser send here; answers CORS for the origins that are
    allowed."""

    def __init__(self, host_names: tuple[str, ...], allowed_origins: tuple[str, ...], *, secure: bool = False) -> None:
        """`secure`: browsers come by TLS, and are told to come no other way."""
        self._secure = secure
        self._host_names = {"localhost", *(name.lower().rstrip(".") for name in host_names if name)}
        self._allowed_origins = frozenset(allowed_origins)

    def install(self, app: Flask) -> None:
        """Check every request of `app` before anything else, and add headers to every response."""
        app.before_request(self._check)
        app.after_request(self._dress)

    def _check(self) -> Response | None:
        host = request.headers.get("Host", "")
        if not self._is_ours(host):
            # A page of a foreign name that was made to resolve to this machine (DNS rebinding) ends here.
            message = "this server is not called so; see web.host_names in the settings"
            raise ApiError(HTTPStatus.MISDIRECTED_REQUEST, "unknown_host", message)
        origin = request.headers.get("Origin")
        if origin is None or origin.partition("://")[2].lower() == host.lower():
            return None
        if origin not in self._allowed_origins:
            message = "web pages of other origins may not call this server; see web.allowed_origins"
            raise ApiError(HTTPStatus.FORBIDDEN, "origin_refused", message)
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return Response(status=HTTPStatus.NO_CONTENT)
        return None

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and ":" in host else host
        try:
            ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return name.lower().rstrip(".") in self._host_names
        return True

    def _dress(self, response: Response) -> Response:
        of_page = _PAGE_HEADERS if response.mimetype == "text/html" else {}
        for name, value in {**_HEADERS, **of_page}.items():
            response.headers.setdefault(name, value)
        if self._secure:
            response.headers.setdefault("Strict-Transport-Security", f"max-age={HSTS_SECONDS}")
        if self._allowed_origins:
            response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin in self._allowed_origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = "Retry-After"
            response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            if request.method == "OPTIONS":
                response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, DELETE"
                response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, Last-Event-ID"
                response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
        return response
