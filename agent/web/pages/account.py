"""One's own account: who one is, password, second factor, and the browsers in which one is signed in."""

from __future__ import annotations

from flask import Blueprint, g, render_template

from agent.store.rows import PrincipalKind, Role
from agent.web.pages.context import services
from agent.web.pages.guard import page, signed_in

blueprint = Blueprint("account", __name__)


@blueprint.get("/account")
@page(Role.VIEWER)
def show() -> str:
    """The page; a token, which has no account, sees what it may."""
    principal, access = signed_in(), services().access
    is_person = principal.kind is PrincipalKind.OPERATOR
    return render_template(
        "account.html",
        me=principal,
        operator=access.operators.fetch(principal.name) if is_person else None,
        sessions=access.sessions.list(principal.name) if is_person else (),
        current=g.identity.session,
    )
