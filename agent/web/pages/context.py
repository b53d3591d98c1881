"""What pages find in the application that serves them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import Flask, current_app

from agent.core.clock import wall
from agent.store.glances import Glances, SeriesRow, TrafficRow
from agent.web.pages.remembered import Remembered
from agent.web.services import Services

_KEY = "lastmile.services"
_SIGHTS = "lastmile.sights"
TRAFFIC_SECONDS = 30.0
SERIES_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which modems' measurements, for how long back, in which steps."""

    serials: tuple[str, ...]
    hours: int
    step_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sights:
    """What the pages look at; what costs the database much is shared by all who look."""

    glances: Glances
    traffic: Remembered[datetime, dict[str, TrafficRow]]
    """What has passed since that time."""
    series: Remembered[Window, tuple[SeriesRow, ...]]


def provide(app: Flask, services: Services) -> None:
    """Let the pages of `app` work with `services`."""
    glances = Glances(services.database)
    app.extensions[_KEY] = services
    app.extensions[_SIGHTS] = Sights(
        glances=glances,
        traffic=Remembered(glances.fetch_traffic, TRAFFIC_SECONDS),
        series=Remembered(
            lambda window: glances.fetch_series(
                window.serials, wall() - timedelta(hours=window.hours), window.step_seconds
            ),
            SERIES_SECONDS,
        ),
    )


def services() -> Services:
    """What the pages work with; only while a request is answered."""
    found: Services = current_app.extensions[_KEY]
    return found


def sights() -> Sights:
    """What the pages look at; only while a request is answered."""
    found: Sights = current_app.extensions[_SIGHTS]
    return found


def traffic_today() -> dict[str, TrafficRow]:
    """What has passed every modem since midnight, in the server's time zone."""
    midnight = wall().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    return sights().traffic.get(midnight.astimezone(UTC))
