"""Operators and API tokens, for admins."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, render_template

from agent.core.clock import wall
from agent.store.rows import Role, TokenRow
from agent.web.errors import ApiError
from agent.web.pages.context import services
from agent.web.pages.guard import page

blueprint = Blueprint("operators", __name__)


@blueprint.get("/operators")
@page(Role.ADMIN)
def show_list() -> str:
    """Everybody who may do something."""
    tokens = services().tokens.list()
    return render_template(
        "operators.html",
        operators=services().access.operators.list(),
        tokens=tuple(token for token in tokens if _is_live(token)),
        ended=tuple(token for token in tokens if not _is_live(token)),
        roles=tuple(Role),
    )


@blueprint.get("/operators/<name>")
@page(Role.ADMIN)
def show_one(name: str) -> str:
    """One operator: what they may, and where they are signed in."""
    operator = services().access.operators.fetch(name)
    if operator is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "operator_not_found", "there is no operator of this name")
    return render_template(
        "operator.html", operator=operator, sessions=services().access.sessions.list(operator.name), roles=tuple(Role)
    )


def _is_live(token: TokenRow) -> bool:
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > wall())
