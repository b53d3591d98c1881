"""Who asks, and short-lived tokens."""

from __future__ import annotations

from agent.web.endpoint import Call, NoBody, Query
from agent.web.schemas_access import Me, ShownScope


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
