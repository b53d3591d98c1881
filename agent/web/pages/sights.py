"""What pages look at: measurements, events and processes; what costs the database much is shared by all who look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import Flask, current_app, g

from agent.acs.tasks import TaskStatus
from agent.core.clock import wall
from agent.store.device_rows import DeviceCounts, EndedCounts, OpenCounts
from agent.store.glances import Glances, TrafficRow
from agent.store.history import History, ModemStep
from agent.store.history_steps import Window, choose_window
from agent.store.rows import HostRow, ModemRow, Scope
from agent.web.pages.context import services
from agent.web.pages.remembered import Remembered
from agent.web.services import Services

_KEY = "lastmile.sights"
TRAFFIC_SECONDS = 30.0
SERIES_SECONDS = 20.0
STANDING_SECONDS = 2.0
"""For what changes without an event: heartbeats, sessions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which modems' measurements, for how long back."""

    serials: tuple[str, ...]
    hours: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured, in which steps."""

    window: Window
    steps: tuple[ModemStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Who looks, and the latest event: after the next one it is another moment."""

    scope: Scope
    event: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the fleet and the devices stand."""

    modems: Sequence[ModemRow]
    hosts: Sequence[HostRow]
    devices: DeviceCounts
    tasks: Mapping[TaskStatus, int]
    faults: int
    open: OpenCounts
    ended: EndedCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sights:
    glances: Glances
    traffic: Remembered[datetime, dict[str, TrafficRow]]
    series: Remembered[Asked, Measured]
    standing: Remembered[Moment, Standing]


def provide_sights(app: Flask, whole: Services) -> None:
    """Let the pages of `app` look at what is in the database of `whole`."""
    everything = Glances(whole.database)
    app.extensions[_KEY] = _Sights(
        glances=everything,
        traffic=Remembered(everything.fetch_traffic, TRAFFIC_SECONDS),
        series=Remembered(lambda asked: _measure(whole.monitoring.history, asked), SERIES_SECONDS),
        standing=Remembered(lambda _moment: _look(), STANDING_SECONDS),
    )


def glances() -> Glances:
    """As whoever is signed in may see it; only inside a guarded view."""
    return _sights().glances.within(g.principal.scope)


def traffic_today() -> dict[str, TrafficRow]:
    """What has passed every modem since midnight in the server's time zone, also those out of sight."""
    midnight = wall().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    return _sights().traffic.get(midnight.astimezone(UTC))


def measurements(asked: Asked) -> Measured:
    """What was measured of modems that whoever is signed in may see."""
    return _sights().series.get(asked)


def _measure(history: History, asked: Asked) -> Measured:
    at = wall()
    window = choose_window(at - timedelta(hours=asked.hours), at, at=at, retention=history.retention)
    return Measured(window=window, steps=history.fetch_modems(window, asked.serials))


def standing() -> Standing:
    """As of the latest event, for whoever is signed in: fifty open pages ask the database once."""
    moment = Moment(scope=g.principal.scope, event=services().fleet.latest_event_id())
    return _sights().standing.get(moment)


def _look() -> Standing:
    found = services()
    statistics = found.acs.statistics
    return Standing(
        modems=found.fleet.fetch_modems(),
        hosts=found.fleet.fetch_hosts(),
        devices=statistics.count_devices(),
        tasks=statistics.count_tasks(),
        faults=statistics.count_faults(),
        open=statistics.count_open_sessions(),
        ended=statistics.count_sessions_today(),
    )


def _sights() -> _Sights:
    found: _Sights = current_app.extensions[_KEY]
    return found
