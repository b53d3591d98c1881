"""The overview: whether all is well, what is not, and what to do."""

from __future__ import annotations

from flask import Blueprint, render_template

from agent.store.rows import Role
from agent.web.pages.guard import page

blueprint = Blueprint("overview", __name__)


@blueprint.get("/")
@page(Role.VIEWER)
def show() -> str:
    """The page."""
    return render_template("overview.html")
