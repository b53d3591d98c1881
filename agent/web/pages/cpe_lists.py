"""Sessions, faults and files of all devices."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, render_template, request

from agent.store.device_rows import SessionStatus
from agent.store.rows import Role
from agent.web.cursors import render_cursor
from agent.web.pages.context import services
from agent.web.pages.guard import page
from agent.web.views_recordings import place_of

blueprint = Blueprint("cpe_lists", __name__)
OPEN_ROWS = 100
PAST_ROWS = 50
FAULT_ROWS = 100
FILE_ROWS = 500
OUTCOMES = ("completed", "timeout", "taken_over", "failed")
KINDS = (
    ("1", "Firmware upgrade image"),
    ("2", "Web content"),
    ("3", "Vendor configuration"),
    ("4", "Tone file"),
    ("5", "Ringer file"),
    ("6", "Stored firmware image"),
)


@blueprint.get("/sessions")
@page(Role.VIEWER)
def show_sessions() -> str:
    """Sessions under way, and past ones."""
    return render_template("sessions.html", **_open(), **_past())


@blueprint.get("/sessions/_open")
@page(Role.VIEWER)
def show_open() -> str:
    """Sessions under way."""
    return render_template("parts/sessions_open.html", **_open())


@blueprint.get("/sessions/_past")
@page(Role.VIEWER)
def show_past() -> str:
    """Past sessions."""
    return render_template("parts/sessions_past.html", **_past())


@blueprint.get("/faults")
@page(Role.VIEWER)
def show_faults() -> str:
    """Open faults."""
    return render_template("faults.html", **_faults())


@blueprint.get("/faults/_list")
@page(Role.VIEWER)
def show_faults_part() -> str:
    """What changes of them."""
    return render_template("parts/faults.html", of_all=True, **_faults())


@blueprint.get("/files")
@page(Role.VIEWER)
def show_files() -> str:
    """Files for CPEs, and from them."""
    return render_template("files.html", files=_files(), kinds=KINDS, bytes_most=services().acs.files.bytes_most)


@blueprint.get("/files/_list")
@page(Role.VIEWER)
def show_files_part() -> str:
    """What changes of them."""
    return render_template("parts/files.html", files=_files(), kinds=KINDS)


def _open() -> dict[str, object]:
    acs = services().acs
    found = acs.sessions.fetch_open(limit=OPEN_ROWS)
    today = acs.statistics.count_sessions_today()
    return {
        "sessions": found,
        "open": acs.statistics.count_open_sessions(),
        "today": today,
        "missed": today.total - today.completed,
        "discovering": SessionStatus.DISCOVERING,
    }


def _past() -> dict[str, object]:
    outcome = request.args.get("outcome", "")
    outcomes = (outcome,) if outcome in OUTCOMES else ()
    cursor = request.args.get("cursor")
    found = services().acs.sessions.fetch_recent(outcomes=outcomes, before=place_of(cursor), limit=PAST_ROWS + 1)
    shown = found[:PAST_ROWS]
    given = {"outcome": outcome} if outcomes else {}
    last = shown[-1] if len(found) > PAST_ROWS else None
    return {
        "past": shown,
        "outcome": outcome if outcomes else "",
        "outcomes": OUTCOMES,
        "cursor": cursor,
        "first_url": f"?{urlencode(given)}" if cursor else None,
        "next_url": f"?{urlencode({**given, 'cursor': render_cursor(last.ended_at.isoformat(), str(last.id))})}"
        if last is not None
        else None,
    }


def _faults() -> dict[str, object]:
    before = request.args.get("before", "")
    before_id = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    code = request.args.get("code", "").strip()[:64]
    found = services().acs.faults.fetch_page(code=code or None, before_id=before_id, limit=FAULT_ROWS + 1)
    shown = found[:FAULT_ROWS]
    given = {"code": code} if code else {}
    older = shown[-1].id if len(found) > FAULT_ROWS else None
    return {
        "faults": shown,
        "code": code,
        "before": before_id,
        "total": services().acs.statistics.count_faults(),
        "first_url": f"?{urlencode(given)}" if before_id else None,
        "next_url": f"?{urlencode({**given, 'before': str(older)})}" if older is not None else None,
    }


def _files() -> object:
    return services().acs.files.fetch_page(limit=FILE_ROWS)
