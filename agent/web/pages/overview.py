"""The overview: whether all is well, what is not, and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response, render_template

from agent.core.clock import wall
from agent.modem.model import ModemState
from agent.store.device_rows import DeviceState
from agent.store.rows import ModemRow, Role
from agent.web.pages import charting, series
from agent.web.pages.attention import SILENT_AFTER, Concern, concerns
from agent.web.pages.guard import page
from agent.web.pages.sights import Standing, glances, standing, traffic_today
from agent.web.pages.telling import Told, tell
from agent.web.pages.tones import tone_of

blueprint = Blueprint("overview", __name__)
EVENTS = 24
HOURS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What the overview makes of how everything stands."""

    now: Standing
    silent: frozenset[str]
    """Hosts whose agent was not heard of lately."""
    apart: Sequence[tuple[str, int]]
    """How many modems that are not online are of which tone, the worst first."""
    online: int
    held: int
    ended_today: int
    rx_bytes: int
    tx_bytes: int
    concerns: Sequence[Concern]


@blueprint.get("/")
@page(Role.VIEWER)
def show() -> str:
    """The page."""
    glance = look()
    serials = tuple(modem.serial for modem in glance.now.modems)
    captions = {
        name: series.summary(metric, charting.chart(metric, serials, HOURS), HOURS)
        for name, metric in series.OF_FLEET.items()
    }
    return render_template(
        "overview.html",
        glance=glance,
        told=latest(),
        processes=glances().fetch_processes(),
        captions=captions,
        hours=HOURS,
    )


@blueprint.get("/_overview")
@page(Role.VIEWER)
def show_part() -> str:
    """What changes with every event."""
    return render_template("parts/overview.html", glance=look())


@blueprint.get("/_overview/events")
@page(Role.VIEWER)
def show_events() -> str:
    """The latest events."""
    return render_template("parts/events.html", told=latest())


@blueprint.get("/_overview/workers")
@page(Role.VIEWER)
def show_workers() -> str:
    """Hosts and processes."""
    return render_template("parts/workers.html", glance=look(), processes=glances().fetch_processes())


@blueprint.get("/_overview/series")
@page(Role.VIEWER)
def show_series() -> Response:
    """The data of the fleet's charts."""
    serials = tuple(modem.serial for modem in standing().modems)
    return charting.answer(series.OF_FLEET, serials)


def latest() -> tuple[tuple[datetime, int, Told], ...]:
    """The latest events in words, newest first."""
    return tuple((event.at, event.id, tell(event)) for event in glances().fetch_latest_events(EVENTS))


def look() -> Glance:
    """How everything stands now."""
    at, now, traffic = wall(), standing(), traffic_today()
    passed = [traffic[modem.serial] for modem in now.modems if modem.serial in traffic]
    return Glance(
        now=now,
        silent=frozenset(host.name for host in now.hosts if at - host.last_seen > SILENT_AFTER),
        apart=_apart(now.modems),
        online=sum(modem.status is ModemState.ONLINE for modem in now.modems),
        held=now.devices.in_state(DeviceState.HELD),
        ended_today=sum(now.ended.by_outcome.values()),
        rx_bytes=sum(row.rx_bytes for row in passed),
        tx_bytes=sum(row.tx_bytes for row in passed),
        concerns=concerns(modems=now.modems, hosts=now.hosts, devices=now.devices, faults=now.faults, at=at),
    )


def _apart(modems: Sequence[ModemRow]) -> tuple[tuple[str, int], ...]:
    counted = Counter(tone_of(modem.status) for modem in modems if modem.status is not ModemState.ONLINE)
    return tuple((tone, counted[tone]) for tone in ("bad", "warn", "busy", "off") if counted[tone])
