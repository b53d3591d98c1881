"""Recorded sessions, and the history of sessions of all devices."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus

from flask import Response

from agent.core.clock import wall
from agent.web.cursors import parse_cursor, refuse_cursor, render_cursor
from agent.web.device_requests import MessageQuery, RecentQuery, RecordingBody
from agent.web.endpoint import Call, NoBody, Query
from agent.web.finding import find_device, no_such_device, not_found
from agent.web.schemas_device_pages import (
    RecordedMessage,
    RecordedMessages,
    RecordedSession,
    RecordedSessions,
    Recording,
    SessionHistory,
)
from agent.web.schemas_devices import PastSession

RECORDED_MOST = 200


def show_recording(call: Call[Query, NoBody]) -> Recording:
    """Whether a device's sessions are recorded now."""
    return _show(call, find_device(call).device_id)


def start_recording(call: Call[Query, RecordingBody]) -> Recording:
    """Record a device's sessions from now on for some time."""
    device_id = find_device(call).device_id
    until = wall() + timedelta(minutes=call.body.minutes)
    call.trail.write(call.caller, "device.recording.start", device_id, {"until": until.isoformat()})
    if not call.services.acs.recordings.start(device_id, until=until, by=call.caller.name):
        raise no_such_device()
    return _show(call, device_id)


def stop_recording(call: Call[Query, NoBody]) -> Recording:
    """Record a device's sessions no longer; what was recorded stays."""
    device_id = find_device(call).device_id
    call.trail.write(call.caller, "device.recording.stop", device_id)
    call.services.acs.recordings.stop(device_id)
    return _show(call, device_id)


def list_recorded(call: Call[Query, NoBody]) -> RecordedSessions:
    """A device's recorded sessions."""
    found = call.services.acs.recordings.fetch_recorded(find_device(call).device_id, limit=RECORDED_MOST)
    return RecordedSessions(sessions=tuple(RecordedSession.model_validate(each) for each in found))


def list_messages(call: Call[MessageQuery, NoBody]) -> RecordedMessages:
    """The messages of a recorded session."""
    query, device_id = call.query, find_device(call).device_id
    found = call.services.acs.recordings.fetch_messages(
        device_id, call.path["session_tag"], after_id=query.after_id, limit=query.limit + 1
    )
    if not found and not query.after_id:
        raise not_found("recording_not_found", "no messages of such a session were kept")
    page = found[: query.limit]
    return RecordedMessages(
        messages=tuple(RecordedMessage.model_validate(each) for each in page),
        next_after_id=page[-1].id if len(found) > query.limit else None,
    )


def delete_recorded(call: Call[Query, NoBody]) -> Response:
    """Forget everything that was recorded of a device."""
    device_id = find_device(call).device_id
    call.trail.write(call.caller, "device.recording.delete", device_id)
    call.services.acs.recordings.delete(device_id)
    return Response(status=HTTPStatus.NO_CONTENT)


def list_recent(call: Call[RecentQuery, NoBody]) -> SessionHistory:
    """Past sessions of all devices."""
    query = call.query
    found = call.services.acs.sessions.fetch_recent(
        outcomes=query.outcome, before=place_of(query.cursor), limit=query.limit + 1
    )
    page = found[: query.limit]
    last = page[-1] if len(found) > query.limit else None
    return SessionHistory(
        sessions=tuple(PastSession.model_validate(row) for row in page),
        next_cursor=render_cursor(last.ended_at.isoformat(), str(last.id)) if last is not None else None,
    )


def place_of(cursor: str | None) -> tuple[datetime, int] | None:
    """(end, id) of a cursor; ApiError 400 when it is none."""
    if cursor is None:
        return None
    at, number = parse_cursor(cursor, 2)
    try:
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise refuse_cursor() from error
    if moment.tzinfo is None or not (number.isascii() and number.isdigit() and len(number) < 19):
        raise refuse_cursor()
    return moment, int(number)


def _show(call: Call[Query, NoBody] | Call[Query, RecordingBody], device_id: str) -> Recording:
    found = call.services.acs.recordings.fetch(device_id)
    return Recording.model_validate({}) if found is None else Recording.model_validate(found)
