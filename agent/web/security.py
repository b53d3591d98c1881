"""Who may ask, from where, and what browsers are told: bearer tokens, Host, Origin, response headers."""

from __future__ import annotations

from http import HTTPStatus
from ipaddress import ip_address

from flask import Flask, Response, request
from werkzeug.datastructures import WWWAuthenticate

from agent.store.rows import Principal, Role
from agent.store.tokens import Tokens
from agent.web.errors import ApiError

TOKEN_LENGTH_MOST = 200
PREFLIGHT_SECONDS = 600

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def bearer_token() -> str:
    """The token of the request's Authorization header; empty when it has none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and len(token) <= TOKEN_LENGTH_MOST else ""


def authorize(tokens: Tokens, role: Role) -> Principal:
    """Whose request this is; ApiError 401 when it is nobody's, 403 when the role is too low."""
    token = bearer_token()
    principal = tokens.verify(token) if token else None
    if principal is None:
        challenge = WWWAuthenticate("bearer", {"realm": "lastmile"})
        if "Authorization" in request.headers:
            challenge["error"] = "invalid_token"
        raise ApiError(
            HTTPStatus.UNAUTHORIZED,
            "unauthorized",
            "a valid bearer token is needed; make one with: lastmile token create",
            headers={"WWW-Authenticate": challenge.to_header()},
        )
    require(principal, role)
    return principal


def require(principal: Principal, role: Role) -> None:
    """ApiError 403 unless `principal` may do what `role` may."""
    if not principal.role.allows(role):
        raise ApiError(
            HTTPStatus.FORBIDDEN,
            "forbidden",
            f"this takes the role {role.value}; the token's is {principal.role.value}",
            details={"needed": role.value, "role": principal.role.value},
        )


class BrowserGuard:
    """Refuses what another web site could make a browser send here; answers CORS for the origins that are
    allowed."""

    def __init__(self, host_names: tuple[str, ...], allowed_origins: tuple[str, ...]) -> None:
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
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
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
