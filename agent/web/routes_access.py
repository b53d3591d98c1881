"""The endpoints about who may: operators, tokens, sessions, and what they did."""

from __future__ import annotations

from agent.store.rows import Role
from agent.web import views_auth
from agent.web.endpoint import Endpoint
from agent.web.schemas_access import Me

AUTH = (
    Endpoint(
        name="getMe",
        method="GET",
        path="/auth/me",
        view=views_auth.show_me,
        role=Role.VIEWER,
        summary="Say who I am",
        answer=Me,
    ),
)
