"""Who asks, and short-lived tokens for who can say so."""

from __future__ import annotations

from http import HTTPStatus

from flask import request

from agent.core.clock import wall
from agent.store.audit import Outcome
from agent.store.rows import Principal
from agent.store.tokens import PREFIX
from agent.web.endpoint import Call, NoBody, Query
from agent.web.errors import ApiError
from agent.web.identity import bearer_token, client_address
from agent.web.schemas_access import Me, ShortToken, ShownScope, SignInBody
from agent.web.short_tokens import make_short_token
from agent.web.sign_in import Refusal, SignInRefusedError, sign_in


def show_me(call: Call[Query, NoBody]) -> Me:
    """Who asks."""
    principal = call.caller
    return Me(
        name=principal.name,
        kind=principal.kind,
        role=principal.role,
        scope=ShownScope.model_validate(principal.scope),
        csrf_token=call.known.csrf_token,
    )


def make_token(call: Call[Query, SignInBody]) -> ShortToken:
    """A short-lived token for a password, or for an API token."""
    principal, version = _by_api_token(call) if "Authorization" in request.headers else _by_password(call)
    call.trail.write(principal, "token.short", principal.name, outcome=Outcome.DONE)
    token, expires_at = make_short_token(call.services, principal, version)
    return ShortToken(token=token, expires_at=expires_at, expires_in=round((expires_at - wall()).total_seconds()))


def refuse_sign_in(error: SignInRefusedError) -> ApiError:
    """The failure as the API tells it."""
    if error.refusal is Refusal.TOO_MANY:
        headers = {"Retry-After": f"{error.retry_seconds:.0f}"}
        return ApiError(HTTPStatus.TOO_MANY_REQUESTS, error.refusal.value, str(error), headers=headers)
    return ApiError(HTTPStatus.UNAUTHORIZED, error.refusal.value, str(error))


def _by_api_token(call: Call[Query, SignInBody]) -> tuple[Principal, int]:
    text = bearer_token()
    # Not for a short-lived one: it would never end.
    principal = call.services.tokens.verify(text) if text.startswith(PREFIX) else None
    if principal is None:
        raise ApiError(HTTPStatus.UNAUTHORIZED, "unauthorized", "a valid API token is needed")
    return principal, 0


def _by_password(call: Call[Query, SignInBody]) -> tuple[Principal, int]:
    body, services = call.body, call.services
    try:
        found = sign_in(
            services.access,
            call.trail,
            name=body.name,
            password=body.password.get_secret_value(),
            code=body.code,
            address=client_address(services.settings),
        )
    except SignInRefusedError as error:
        raise refuse_sign_in(error) from error
    principal = services.access.operators.fetch_principal(found.name, found.version)
    if principal is None:
        raise refuse_sign_in(SignInRefusedError(Refusal.WRONG))
    return principal, found.version
