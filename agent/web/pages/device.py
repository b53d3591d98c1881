"""One device: at a glance, its parameters, tasks, faults and sessions."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, render_template, request

from agent.store.device_rows import DeviceRow, DeviceTask, PastSession
from agent.store.rows import Role
from agent.web.cursors import render_cursor
from agent.web.finding import no_such_device, not_found
from agent.web.pages.context import services
from agent.web.pages.formats import segment
from agent.web.pages.guard import page, signed_in
from agent.web.tasking import show_task
from agent.web.views_device_pages import summary_of
from agent.web.views_recordings import RECORDED_MOST, place_of

blueprint = Blueprint("device", __name__)
TASKS = 50
FAULTS = 100
SESSIONS = 50
MESSAGES = 100


@blueprint.get("/devices/<device_id>")
@page(Role.VIEWER)
def show(device_id: str) -> str:
    """The device at a glance."""
    return render_template("device.html", **about(device_id, ""), summary=summary_of(services().acs, device_id))


@blueprint.get("/devices/<device_id>/_head")
@page(Role.VIEWER)
def show_head(device_id: str) -> str:
    """Its name and state."""
    return render_template("parts/device_head.html", device=find(device_id))


@blueprint.get("/devices/<device_id>/_progress")
@page(Role.VIEWER)
def show_progress(device_id: str) -> str:
    """How far the reading of its values has come."""
    return render_template("parts/device_progress.html", device=find(device_id))


@blueprint.get("/devices/<device_id>/_summary")
@page(Role.VIEWER)
def show_summary(device_id: str) -> str:
    """What it tells of itself."""
    return render_template(
        "parts/device_summary.html", **about(device_id, ""), summary=summary_of(services().acs, device_id)
    )


@blueprint.get("/devices/<device_id>/tasks")
@page(Role.VIEWER)
def show_tasks(device_id: str) -> str:
    """Its tasks."""
    return render_template("device_tasks.html", **about(device_id, "tasks"), **_tasks(device_id))


@blueprint.get("/devices/<device_id>/tasks/_list")
@page(Role.VIEWER)
def show_tasks_part(device_id: str) -> str:
    """What changes of its tasks."""
    return render_template("parts/device_tasks.html", device=find(device_id), **_tasks(device_id))


@blueprint.get("/devices/<device_id>/faults")
@page(Role.VIEWER)
def show_faults(device_id: str) -> str:
    """Its open faults."""
    return render_template("device_faults.html", **about(device_id, "faults"), faults=_faults(device_id))


@blueprint.get("/devices/<device_id>/faults/_list")
@page(Role.VIEWER)
def show_faults_part(device_id: str) -> str:
    """What changes of its faults."""
    find(device_id)
    return render_template("parts/faults.html", faults=_faults(device_id), of_all=False)


@blueprint.get("/devices/<device_id>/sessions")
@page(Role.VIEWER)
def show_sessions(device_id: str) -> str:
    """Its sessions, and those that were recorded."""
    return render_template("device_sessions.html", **about(device_id, "sessions"), **_sessions(device_id))


@blueprint.get("/devices/<device_id>/sessions/_list")
@page(Role.VIEWER)
def show_sessions_part(device_id: str) -> str:
    """What changes of its sessions."""
    return render_template("parts/device_sessions.html", device=find(device_id), **_sessions(device_id))


@blueprint.get("/devices/<device_id>/sessions/<tag>")
@page(Role.VIEWER)
def show_recorded(device_id: str, tag: str) -> str:
    """The messages of one recorded session."""
    text = request.args.get("after", "0")
    after = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
    shared = about(device_id, "sessions")
    found = services().acs.recordings.fetch_messages(device_id, tag, after_id=after, limit=MESSAGES + 1)
    if not found:
        raise not_found("recording_not_found", "no messages of such a session were kept")
    shown = found[:MESSAGES]
    return render_template(
        "device_recorded.html",
        **shared,
        tag=tag,
        messages=shown,
        first=after == 0,
        next_after=shown[-1].id if len(found) > MESSAGES else None,
    )


def find(device_id: str) -> DeviceRow:
    """The device, as the viewer may see it; ApiError 404."""
    row = services().acs.devices.fetch(device_id)
    if row is None:
        raise no_such_device()
    return row


def about(device_id: str, here: str) -> dict[str, object]:
    """What every tab of a device needs."""
    device = find(device_id)
    base = f"/devices/{segment(device.device_id)}"
    tabs = [("Summary", base), ("Parameters", f"{base}/parameters"), ("Tasks", f"{base}/tasks")]
    tabs += [("Faults", f"{base}/faults"), ("Sessions", f"{base}/sessions")]
    return {"device": device, "base": base, "tabs": tabs, "tab": f"{base}/{here}" if here else base}


def _tasks(device_id: str) -> dict[str, object]:
    before = request.args.get("before", "")
    before_id = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    found = services().acs.tasks.fetch_of_device(device_id, statuses=(), before_id=before_id, limit=TASKS + 1)
    role = signed_in().role
    shown: Sequence[DeviceTask] = found[:TASKS]
    return {
        "tasks": tuple(show_task(row, role) for row in shown),
        "older": shown[-1].id if len(found) > TASKS else None,
        "before": before_id,
    }


def _faults(device_id: str) -> object:
    return services().acs.faults.fetch_page(device_id=device_id, limit=FAULTS)


def _sessions(device_id: str) -> dict[str, object]:
    acs, device = services().acs, find(device_id)
    cursor = request.args.get("cursor")
    place = place_of(cursor)
    before = None if place is None else (place[0].isoformat(), place[1])
    found = acs.sessions.fetch_past(device.serial_number, before=before, limit=SESSIONS + 1) or ()
    # One serial number may be several devices'.
    own: Sequence[PastSession] = [each for each in found if each.device_id == device.device_id]
    last = found[SESSIONS - 1] if len(found) > SESSIONS else None
    return {
        "open": [
            each
            for each in acs.sessions.fetch_open(serial_number=device.serial_number)
            if each.device_id == device.device_id
        ],
        "past": own[:SESSIONS],
        "next_cursor": render_cursor(last.ended_at.isoformat(), str(last.id)) if last is not None else None,
        "cursor": cursor,
        "recording": acs.recordings.fetch(device_id),
        "recorded": acs.recordings.fetch_recorded(device_id, limit=RECORDED_MOST),
    }
