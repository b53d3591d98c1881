"""Who may see a page. Until operators can sign in, that is who sends a bearer token."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from flask import g

from agent.store.rows import Role
from agent.web.pages.context import services
from agent.web.security import authorize

View = TypeVar("View", bound=Callable[..., Any])


def page(role: Role) -> Callable[[View], View]:
    """Let only those see the page who have `role`; sets `g.caller` and `g.csrf_token`."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*arguments: Any, **named: Any) -> Any:
            principal = authorize(services().tokens, role)
            g.principal = principal
            g.csrf_token = ""
            return view(*arguments, **named)

        return cast(View, guarded)

    return decorate
