"""Sessions with CPEs: those under way, those that are over, and everything of TR-069 in numbers."""

from __future__ import annotations

from agent.store.device_errors import PlaceError
from agent.store.device_rows import DeviceState, SessionStatus
from agent.web.cursors import parse_cursor, refuse_cursor, render_cursor
from agent.web.device_requests import HistoryQuery, SessionQuery
from agent.web.endpoint import Call, NoBody, Query
from agent.web.finding import not_found
from agent.web.schemas_devices import (
    DeviceSessions,
    DeviceStatistics,
    OpenSession,
    OpenSessions,
    PastSession,
    SessionStatistics,
    Statistics,
)


def list_sessions(call: Call[SessionQuery, NoBody]) -> OpenSessions:
    """Sessions under way."""
    query, sessions = call.query, call.services.acs.sessions
    rows = sessions.fetch_open(serial_number=query.serial_number, discovering=query.discovering, limit=query.limit)
    return OpenSessions(
        sessions=tuple(OpenSession.model_validate(row) for row in rows), total=sessions.count_open().active
    )


def show_sessions_of(call: Call[HistoryQuery, NoBody]) -> DeviceSessions:
    """Sessions of the devices of one serial number."""
    query, sessions, serial_number = call.query, call.services.acs.sessions, call.path["serial_number"]
    try:
        past = sessions.fetch_past(serial_number, before=_place(query.cursor), limit=query.limit + 1)
    except PlaceError as error:
        raise refuse_cursor() from error
    if past is None:
        raise not_found("device_not_found", "there is no device of this serial number")
    under_way = tuple(OpenSession.model_validate(row) for row in sessions.fetch_open(serial_number=serial_number))
    history = past[: query.limit]
    last = history[-1] if len(past) > query.limit else None
    return DeviceSessions(
        serial_number=serial_number,
        status=_status_of(under_way),
        sessions=under_way,
        history=tuple(PastSession.model_validate(row) for row in history),
        next_cursor=render_cursor(last.ended_at.isoformat(), str(last.id)) if last is not None else None,
    )


def show_session_statistics(call: Call[Query, NoBody]) -> SessionStatistics:
    """Sessions and discoveries in numbers."""
    statistics = call.services.acs.statistics
    open_, today, devices = (
        statistics.count_open_sessions(),
        statistics.count_sessions_today(),
        statistics.count_devices(),
    )
    return SessionStatistics(
        active=open_.active,
        discovering=open_.discovering,
        completed_today=today.completed,
        mean_duration_seconds=today.mean_duration_seconds,
        active_workers=open_.active_workers,
        by_outcome=dict(today.by_outcome),
        total_devices=devices.total,
        completed_discoveries=devices.discovered,
    )


def show_statistics(call: Call[Query, NoBody]) -> Statistics:
    """Everything of TR-069 in numbers."""
    statistics = call.services.acs.statistics
    devices = statistics.count_devices()
    return Statistics(
        devices=DeviceStatistics(
            total=devices.total,
            online=devices.online,
            held=devices.in_state(DeviceState.HELD),
            refused=devices.in_state(DeviceState.REFUSED),
        ),
        tasks=statistics.count_tasks(),
        faults=statistics.count_faults(),
        sessions_active=statistics.count_open_sessions().active,
        sessions_today=statistics.count_sessions_today().total,
    )


def _place(cursor: str | None) -> tuple[str, int] | None:
    if cursor is None:
        return None
    at, number = parse_cursor(cursor, 2)
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise refuse_cursor()
    return at, int(number)


def _status_of(sessions: tuple[OpenSession, ...]) -> SessionStatus:
    """The liveliest of them."""
    order = (SessionStatus.DISCOVERING, SessionStatus.ACTIVE)
    found = {each.session.status for each in sessions}
    return next((status for status in order if status in found), SessionStatus.IDLE)
