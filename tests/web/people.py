"""People for the tests: operators with passwords, and browsers in which they sign in."""

from __future__ import annotations

import re

from flask import Flask
from flask.testing import FlaskClient

from agent.store.rows import EVERYTHING, Role, Scope
from agent.web.services import Services

PASSWORD = "correct horse battery"


def add_operator(services: Services, name: str, role: Role, scope: Scope = EVERYTHING) -> None:
    """An operator with PASSWORD."""
    access = services.access
    access.operators.create(name, role, scope, access.passwords.hash(PASSWORD))


def browser(app: Flask) -> FlaskClient:
    """A browser of its own, with its own cookies."""
    return app.test_client()


def sign_in(client: FlaskClient, name: str, password: str = PASSWORD, code: str = "", **more: str) -> int:
    """Fill in the form; the status."""
    form = {"name": name, "password": password, "code": code, **more}
    return client.post("/login", data=form).status_code


def csrf_of(client: FlaskClient) -> str:
    """The CSRF token that pages carry."""
    answer = client.get("/api/auth/me")
    token = answer.get_json()["csrf_token"]
    assert re.fullmatch(r"[\w-]{43}", token)
    return str(token)
