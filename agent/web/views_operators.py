"""Operators and API tokens, as admins look after them."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from flask import Response
from pydantic import BaseModel

from agent.core.clock import wall
from agent.core.errors import ConfigError
from agent.store.operators import LastAdminError, OperatorRow, OperatorTakenError
from agent.store.rows import Role, Scope
from agent.store.setup_links import HOURS
from agent.store.tokens import TokenTakenError
from agent.web.endpoint import Answer, Call, NoBody, Query
from agent.web.errors import ApiError
from agent.web.finding import not_found
from agent.web.schemas_access import (
    ApiToken,
    Operator,
    OperatorBody,
    OperatorChange,
    OperatorList,
    OperatorMade,
    OperatorSession,
    OperatorSessions,
    SetupLinkShown,
    TokenBody,
    TokenList,
    TokenMade,
)


def list_operators(call: Call[Query, NoBody]) -> OperatorList:
    """Every operator."""
    rows = call.services.access.operators.list()
    return OperatorList(operators=tuple(Operator.model_validate(row) for row in rows))


def add_operator(call: Call[Query, OperatorBody]) -> Answer:
    """A new operator, and the link by which they set their password."""
    body = call.body
    details = describe_rights(body.role, body.scope.scope)
    call.trail.write(call.caller, "operator.add", body.name, details)
    try:
        row = call.services.access.operators.create(body.name, body.role, body.scope.scope)
    except OperatorTakenError as error:
        raise ApiError(HTTPStatus.CONFLICT, "operator_exists", str(error)) from error
    except ConfigError as error:
        raise _refused(error) from error
    made = OperatorMade(operator=Operator.model_validate(row), setup_link=_make_link(call, row.name))
    return Answer(content=made, status=HTTPStatus.CREATED)


def change_operator(call: Call[Query, OperatorChange]) -> Operator:
    """Another role, another scope, or nobody any more; whoever is signed in under that name is out."""
    row, body = _find(call), call.body
    call.trail.write(call.caller, "operator.change", row.name, before=_state(row))
    scope = body.scope.scope if body.scope is not None else None
    try:
        changed = call.services.access.operators.change(row.name, role=body.role, scope=scope, disabled=body.disabled)
    except LastAdminError as error:
        raise _last_admin(error) from error
    except ConfigError as error:
        raise _refused(error) from error
    if changed is None:
        raise _no_such_operator()
    call.trail.after(_state(changed))
    return Operator.model_validate(changed)


def remove_operator(call: Call[Query, NoBody]) -> Response:
    """Forget an operator."""
    row = _find(call)
    call.trail.write(call.caller, "operator.remove", row.name, before=_state(row))
    try:
        removed = call.services.access.operators.remove(row.name)
    except LastAdminError as error:
        raise _last_admin(error) from error
    if not removed:
        raise _no_such_operator()
    return Response(status=HTTPStatus.NO_CONTENT)


def make_setup_link(call: Call[Query, NoBody]) -> Answer:
    """A link by which an operator sets their password."""
    row = _find(call)
    call.trail.write(call.caller, "operator.setup_link", row.name)
    return Answer(content=_make_link(call, row.name), status=HTTPStatus.CREATED)


def reset_totp(call: Call[Query, NoBody]) -> Response:
    """Ask an operator for no codes any more: their telephone is lost."""
    row = _find(call)
    call.trail.write(call.caller, "operator.totp.remove", row.name, before={"totp": row.has_totp})
    if not call.services.access.operators.end_totp(row.name):
        raise not_found("totp_not_found", "this operator has no authenticator")
    return Response(status=HTTPStatus.NO_CONTENT)


def list_sessions(call: Call[Query, NoBody]) -> OperatorSessions:
    """The browsers in which an operator is signed in."""
    rows = call.services.access.sessions.list(_find(call).name)
    return OperatorSessions(sessions=tuple(OperatorSession.model_validate(row) for row in rows))


def end_sessions(call: Call[Query, NoBody]) -> Response:
    """Sign an operator out everywhere."""
    row = _find(call)
    call.trail.write(call.caller, "session.close", row.name, {"session": "all"})
    call.trail.after({"ended": call.services.access.sessions.end_all(row.name)})
    return Response(status=HTTPStatus.NO_CONTENT)


def list_tokens(call: Call[Query, NoBody]) -> TokenList:
    """Every API token."""
    return TokenList(tokens=tuple(ApiToken.model_validate(row) for row in call.services.tokens.list()))


def add_token(call: Call[Query, TokenBody]) -> Answer:
    """A new API token."""
    body = call.body
    expires_at = wall() + timedelta(days=body.days) if body.days is not None else None
    details = {**describe_rights(body.role, body.scope.scope), "days": body.days}
    call.trail.write(call.caller, "token.create", body.name, details)
    try:
        text = call.services.tokens.create(
            body.name, body.role, expires_at, scope=body.scope.scope, created_by=call.caller.name
        )
    except TokenTakenError as error:
        raise ApiError(HTTPStatus.CONFLICT, "token_exists", str(error)) from error
    except ConfigError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "token_refused", str(error)) from error
    made = TokenMade(token=text, name=body.name, expires_at=expires_at)
    return Answer(content=made, status=HTTPStatus.CREATED)


def revoke_token(call: Call[Query, NoBody]) -> Response:
    """Make an API token useless, for ever."""
    name = call.path["token_name"]
    call.trail.write(call.caller, "token.revoke", name)
    if not call.services.tokens.revoke(name):
        raise not_found("token_not_found", "there is no live token of this name")
    return Response(status=HTTPStatus.NO_CONTENT)


def describe_rights(role: Role, scope: Scope) -> dict[str, Any]:
    """What somebody may, as the audit log keeps it."""
    return {"role": role.value, "hosts": scope.hosts, "tags": scope.tags}


def _state(row: OperatorRow) -> dict[str, Any]:
    return {**describe_rights(row.role, row.scope), "disabled": row.disabled}


def _find(call: Call[Query, BaseModel]) -> OperatorRow:
    row = call.services.access.operators.fetch(call.path["operator"])
    if row is None:
        raise _no_such_operator()
    return row


def _make_link(call: Call[Query, BaseModel], name: str) -> SetupLinkShown:
    token = call.services.access.links.create(name, call.caller.name)
    return SetupLinkShown(operator=name, path=f"/setup/{token}", expires_at=wall() + timedelta(hours=HOURS))


def _refused(error: ConfigError) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, "operator_refused", str(error))


def _last_admin(error: LastAdminError) -> ApiError:
    return ApiError(HTTPStatus.CONFLICT, "last_admin", f"{error}: make another one first")


def _no_such_operator() -> ApiError:
    return not_found("operator_not_found", "there is no operator of this name")
