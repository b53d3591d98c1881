"""What pages find in the application that serves them."""

from __future__ import annotations

from flask import Flask, current_app

from agent.web.services import Services

_KEY = "lastmile.services"


def provide(app: Flask, services: Services) -> None:
    """Let the pages of `app` work with `services`."""
    app.extensions[_KEY] = services


def services() -> Services:
    """What the pages work with; only while a request is answered."""
    found: Services = current_app.extensions[_KEY]
    return found
