"""What pages find in the application that serves them."""

from __future__ import annotations

from flask import Flask, current_app, g

from agent.web.services import Services

_KEY = "lastmile.services"


def provide(app: Flask, services: Services) -> None:
    """Let the pages of `app` work with `services`."""
    app.extensions[_KEY] = services


def services() -> Services:
    """The store as whoever is signed in may see it (`guard.page`); all of it while nobody is known yet."""
    found: Services = g.services if "services" in g else all_services()
    return found


def all_services() -> Services:
    """The whole store; for what comes before anybody is known."""
    found: Services = current_app.extensions[_KEY]
    return found
