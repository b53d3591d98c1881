"""Alerts: what is wrong, who looks after it, and what nobody wants to be told of."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from flask import Response
from pydantic import BaseModel

from agent.alert.model import AlertState, Subject
from agent.core.clock import wall
from agent.core.errors import ConfigError
from agent.store.alert_rows import AlertRow
from agent.store.alerts import AlertFilter
from agent.web.endpoint import Answer, Call, NoBody, Query
from agent.web.errors import ApiError
from agent.web.finding import not_found
from agent.web.schemas_alerts import (
    AlertCounts,
    AlertPage,
    AlertQuery,
    AlertView,
    NoteBody,
    OpenAlerts,
    QuietBody,
    Silence,
    SilenceBody,
    SilenceList,
)


def list_alerts(call: Call[AlertQuery, NoBody]) -> AlertPage:
    """Some alerts."""
    query = call.query
    wanted = AlertFilter(
        states=query.state or (AlertState.OPEN,),
        severities=query.severity or None,
        kind=query.kind,
        subject=query.subject,
    )
    found = call.services.monitoring.alerts.fetch_page(wanted, before_id=query.before_id, limit=query.limit + 1)
    alerts = tuple(AlertView.model_validate(row) for row in found[: query.limit])
    return AlertPage(alerts=alerts, next_before_id=alerts[-1].id if len(found) > query.limit else None)


def count_alerts(call: Call[Query, NoBody]) -> AlertCounts:
    """Open alerts in numbers."""
    counts = call.services.monitoring.alerts.count_open()
    return AlertCounts(open=tuple(OpenAlerts.model_validate(count) for count in counts))


def show_alert(call: Call[Query, NoBody]) -> AlertView:
    """One alert."""
    return AlertView.model_validate(_find(call))


def acknowledge_alert(call: Call[Query, NoteBody]) -> AlertView:
    """Somebody looks after it."""
    row = _find(call)
    before = {"acknowledged_by": row.acknowledged_by}
    call.trail.write(call.caller, "alert.acknowledge", row.subject, _named(row), before=before)
    changed = call.services.monitoring.alerts.acknowledge(row.id, call.caller.name, call.body.note)
    return _changed(changed)


def withdraw_acknowledgement(call: Call[Query, NoBody]) -> AlertView:
    """Nobody looks after it any more."""
    row = _find(call)
    before = {"acknowledged_by": row.acknowledged_by}
    call.trail.write(
        call.caller, "alert.unacknowledge", row.subject, {"alert": row.id, "rule": row.rule}, before=before
    )
    return _changed(call.services.monitoring.alerts.withdraw_acknowledgement(row.id))


def silence_alert(call: Call[Query, QuietBody]) -> Answer:
    """Tell nobody of this rule and subject for a while."""
    row, body = _find(call), call.body
    call.trail.write(call.caller, "alert.silence", row.subject, {**_named(row), "minutes": body.minutes})
    made = call.services.monitoring.alerts.silence(
        rule_id=row.rule_id,
        subject=Subject(kind=row.subject_kind, name=row.subject, host=row.host),
        until=wall() + timedelta(minutes=body.minutes),
        reason=body.reason,
        by=call.caller.name,
    )
    return Answer(content=Silence.model_validate(made), status=HTTPStatus.CREATED)


def list_silences(call: Call[Query, NoBody]) -> SilenceList:
    """The silences in force."""
    rows = call.services.monitoring.alerts.list_silences()
    return SilenceList(silences=tuple(Silence.model_validate(row) for row in rows))


def add_silence(call: Call[Query, SilenceBody]) -> Answer:
    """Tell nobody of a rule, or of anything, for a while."""
    body = call.body
    call.trail.write(call.caller, "alert.silence", "", {"rule": body.rule_id, "minutes": body.minutes})
    try:
        made = call.services.monitoring.alerts.silence(
            rule_id=body.rule_id,
            subject=None,
            until=wall() + timedelta(minutes=body.minutes),
            reason=body.reason,
            by=call.caller.name,
        )
    except ConfigError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "silence_refused", str(error)) from error
    return Answer(content=Silence.model_validate(made), status=HTTPStatus.CREATED)


def end_silence(call: Call[Query, NoBody]) -> Response:
    """Tell people again, from now on."""
    alerts = call.services.monitoring.alerts
    row = alerts.fetch_silence(call.number("silence_id"))
    if row is not None:
        call.trail.write(call.caller, "alert.silence.end", row.subject or "", {"silence": row.id, "rule": row.rule})
    if row is None or not alerts.end_silence(row.id):
        raise not_found("silence_not_found", "there is no silence of this id in force")
    return Response(status=HTTPStatus.NO_CONTENT)


def _named(row: AlertRow) -> dict[str, Any]:
    return {"alert": row.id, "rule": row.rule}


def _find(call: Call[Query, BaseModel]) -> AlertRow:
    row = call.services.monitoring.alerts.fetch(call.number("alert_id"))
    if row is None:
        raise not_found("alert_not_found", "there is no alert of this id")
    return row


def _changed(row: AlertRow | None) -> AlertView:
    if row is None:
        raise ApiError(HTTPStatus.CONFLICT, "alert_not_open", "the alert is not open (any more)")
    return AlertView.model_validate(row)
