"""Live events as a stream of server-sent events (WHATWG HTML §9.2), resumable by id."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Response

from agent.core.clock import Deadline, now
from agent.core.errors import TransientError
from agent.store.rows import EventRow
from agent.web.endpoint import Call, NoBody
from agent.web.errors import ApiError
from agent.web.events import EventHub, StreamEnded, StreamsExhausted, Subscription
from agent.web.schemas import Event, EventQuery

HEARTBEAT_SECONDS = 15.0
RECHECK_SECONDS = 60.0
"""How long a stream may outlive its token."""
RECONNECT_MILLISECONDS = 3000
FULL_RETRY_SECONDS = 10
EVENT_ID_MOST = 2**63 - 1


def stream_events(call: Call[EventQuery, NoBody]) -> Response:
    """Events as they happen, after the last one that the client has seen."""
    if call.head:
        return Response(mimetype="text/event-stream")
    hub = call.services.events
    try:
        scoped = None if call.caller.scope.is_everything else call.services.fleet
        subscription = hub.subscribe(_start_after(call), call.query.serial, call.query.device, scoped)
    except StreamsExhausted as error:
        message = "as many live event streams are open as web.event_streams allows"
        headers = {"Retry-After": str(FULL_RETRY_SECONDS)}
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "too_many_streams", message, headers=headers) from error
    except StreamEnded as error:
        message = "the server is stopping"
        headers = {"Retry-After": str(FULL_RETRY_SECONDS)}
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "stopping", message, headers=headers) from error
    stream = EventStream(hub, subscription, call.known.still_valid)
    response = Response(stream, mimetype="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _start_after(call: Call[EventQuery, NoBody]) -> int | None:
    text = call.last_event_id
    if text is None:
        return call.query.after
    if not (text.isascii() and text.isdigit() and int(text) <= EVENT_ID_MOST):
        raise ApiError(HTTPStatus.BAD_REQUEST, "bad_request", "Last-Event-ID is not an id of an event")
    return int(text)


class EventStream:
    """The body of one stream. A class, not a generator: a generator that was never begun would not be
    closed."""

    def __init__(self, hub: EventHub, subscription: Subscription, still_allowed: Callable[[], bool]) -> None:
        self._hub = hub
        self._subscription = subscription
        self._still_allowed = still_allowed
        self._checked_at = now()
        self._begun = False

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> bytes:
        if not self._begun:
            self._begun = True
            return self._render_ready()
        if not self._may_go_on():
            raise StopIteration
        try:
            rows = self._subscription.receive(Deadline.after(HEARTBEAT_SECONDS))
        except StreamEnded:
            raise StopIteration from None
        progress = (render_progress(each) for each in self._subscription.take_progress())
        return b"".join((*progress, *(render_event(row) for row in rows))) or b": heartbeat\n\n"

    def close(self) -> None:
        """Give the place back."""
        self._hub.unsubscribe(self._subscription)

    def _render_ready(self) -> bytes:
        # With its id a client that is cut off before the first event resumes without a gap.
        position = self._subscription.position
        text = f'retry: {RECONNECT_MILLISECONDS}\nid: {position}\nevent: ready\ndata: {{"after":{position}}}\n\n'
        return text.encode()

    def _may_go_on(self) -> bool:
        if now() - self._checked_at < RECHECK_SECONDS:
            return True
        self._checked_at = now()
        try:
            return self._still_allowed()
        except TransientError:
            # Nobody can be asked; nothing is to be read either.
            return True


def render_event(row: EventRow) -> bytes:
    """One event in the format of the stream; JSON holds no bare line end, so one `data` line is enough."""
    data = json.dumps(Event.model_validate(row).model_dump(mode="json"), separators=(",", ":"))
    return f"id: {row.id}\nevent: {row.kind}\ndata: {data}\n\n".encode()


def render_progress(progress: dict[str, Any]) -> bytes:
    """How far a discovery has come; without an id, since nobody can resume from it."""
    return f"event: session_progress\ndata: {json.dumps(progress, separators=(',', ':'))}\n\n".encode()
