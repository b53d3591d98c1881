"""Modems: the list, and all about one."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from flask import Blueprint, render_template, request
from werkzeug.wrappers import Response

from agent.core.clock import wall
from agent.core.errors import ProtocolError
from agent.core.identifiers import Serial
from agent.modem.commands import QmiQuestion
from agent.store.rows import LogRow, ModemRow, Role
from agent.web.errors import ApiError
from agent.web.pages import charting, series
from agent.web.pages.attention import SILENT_AFTER
from agent.web.pages.context import services
from agent.web.pages.guard import page
from agent.web.pages.modem_list import ModemLines, select
from agent.web.pages.proxy_access import rules_of
from agent.web.pages.sights import glances, standing, traffic_today
from agent.web.pages.way import look

blueprint = Blueprint("modems", __name__)
CHANNELS = ("at", "qmi", "urc", "agent")
LOG_ROWS = 100
ADDRESSES = 12


@blueprint.get("/modems")
@page(Role.VIEWER)
def show_list() -> str:
    """The list."""
    return render_template("modems.html", found=_select())


@blueprint.get("/modems/_list")
@page(Role.VIEWER)
def show_list_part() -> str:
    """What changes of the list."""
    return render_template("parts/modem_list.html", found=_select())


@blueprint.get("/modems/<serial>")
@page(Role.VIEWER)
def show(serial: str) -> str:
    """All about one modem."""
    modem = _find(serial)
    hours = charting.asked_hours()
    captions = {
        name: series.summary(metric, charting.chart(metric, (modem.serial,), hours), hours)
        for name, metric in series.OF_MODEM.items()
    }
    return render_template(
        "modem.html",
        **_about(modem),
        hours=hours,
        windows=series.HOURS,
        captions=captions,
        rules=rules_of(services().in_force, modem.host, services().machine_name),
        log=_log(modem.serial),
        channels=CHANNELS,
        channel=_channel(),
        questions=tuple(question.value for question in QmiQuestion),
    )


@blueprint.get("/modems/<serial>/_state")
@page(Role.VIEWER)
def show_state(serial: str) -> str:
    """Its way and its facts."""
    return render_template("parts/modem_state.html", **_about(_find(serial)))


@blueprint.get("/modems/<serial>/_addresses")
@page(Role.VIEWER)
def show_addresses(serial: str) -> str:
    """The addresses it had."""
    return render_template("parts/modem_addresses.html", **_about(_find(serial)))


@blueprint.get("/modems/<serial>/_head")
@page(Role.VIEWER)
def show_head(serial: str) -> str:
    """Its name and state."""
    return render_template("parts/modem_head.html", **_about(_find(serial)))


@blueprint.get("/modems/<serial>/_controls")
@page(Role.VIEWER)
def show_controls(serial: str) -> str:
    """What may be done with it now."""
    return render_template("parts/modem_controls.html", **_about(_find(serial)))


@blueprint.get("/modems/<serial>/_log")
@page(Role.VIEWER)
def show_log(serial: str) -> str:
    """Its latest log entries."""
    modem = _find(serial)
    return render_template("parts/modem_log.html", log=_log(modem.serial))


@blueprint.get("/modems/<serial>/_series")
@page(Role.VIEWER)
def show_series(serial: str) -> Response:
    """The data of its charts."""
    return charting.answer(series.OF_MODEM, (_find(serial).serial,))


def _select() -> ModemLines:
    at, now = wall(), standing()
    silent = frozenset(host.name for host in now.hosts if at - host.last_seen > SILENT_AFTER)
    given = {name: request.args.getlist(name) for name in request.args}
    return select(now.modems, traffic_today(), silent, given)


def _about(modem: ModemRow) -> dict[str, object]:
    fleet = services().fleet
    return {
        "modem": modem,
        "way": look(modem),
        "agent": fleet.fetch_agent(modem.serial),
        "addresses": fleet.fetch_addresses(modem.serial, ADDRESSES),
        "traffic": traffic_today().get(modem.serial),
        "silent_after": SILENT_AFTER.total_seconds(),
    }


def _channel() -> str:
    channel = request.args.get("channel", "")
    return channel if channel in CHANNELS else ""


def _log(serial: str) -> Sequence[LogRow]:
    channel = _channel()
    return glances().fetch_log(serial, (channel,) if channel else CHANNELS, limit=LOG_ROWS)


def _find(text: str) -> ModemRow:
    try:
        row = services().fleet.fetch_modem(Serial.parse(text))
    except ProtocolError:
        row = None
    if row is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "modem_not_found", "there is no modem of this serial")
    return row
