"""What pages look at: measurements, events and processes; what costs the database much is shared by all who look."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import Flask, current_app, g

from agent.core.clock import wall
from agent.store.glances import Glances, SeriesRow, TrafficRow
from agent.web.pages.remembered import Remembered
from agent.web.services import Services

_KEY = "lastmile.sights"
TRAFFIC_SECONDS = 30.0
SERIES_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which modems' measurements, for how long back, in which steps."""

    serials: tuple[str, ...]
    hours: int
    step_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sights:
    glances: Glances
    traffic: Remembered[datetime, dict[str, TrafficRow]]
    series: Remembered[Window, tuple[SeriesRow, ...]]


def provide_sights(app: Flask, services: Services) -> None:
    """Let the pages of `app` look at what is in the database of `services`."""
    whole = Glances(services.database)
    app.extensions[_KEY] = _Sights(
        glances=whole,
        traffic=Remembered(whole.fetch_traffic, TRAFFIC_SECONDS),
        series=Remembered(
            lambda window: whole.fetch_series(
                window.serials, wall() - timedelta(hours=window.hours), window.step_seconds
            ),
            SERIES_SECONDS,
        ),
    )


def glances() -> Glances:
    """As whoever is signed in may see it; only inside a guarded view."""
    return _sights().glances.within(g.principal.scope)


def traffic_today() -> dict[str, TrafficRow]:
    """What has passed every modem since midnight in the server's time zone, also those out of sight."""
    midnight = wall().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    return _sights().traffic.get(midnight.astimezone(UTC))


def measurements(window: Window) -> tuple[SeriesRow, ...]:
    """What was measured of modems that whoever is signed in may see."""
    return _sights().series.get(window)


def _sights() -> _Sights:
    found: _Sights = current_app.extensions[_KEY]
    return found
