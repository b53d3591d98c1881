"""Live events: a stream of server-sent events (WHATWG HTML §9.2) or of a WebSocket's messages, resumable by id."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from flask import Response

from agent.core.clock import Deadline
from agent.web import live
from agent.web.endpoint import Answer, Call, NoBody, Query
from agent.web.errors import ApiError
from agent.web.events import StreamEnded, StreamsExhausted
from agent.web.handover import current_handover
from agent.web.identity import bearer_token
from agent.web.live import Feed, NotAllowedAnyMore, render_batch, render_ready
from agent.web.schemas import EventQuery, EventTicket, WebSocketQuery
from agent.web.tickets import make_ticket

FULL_RETRY_SECONDS = 10
EVENT_ID_MOST = 2**63 - 1


def stream_events(call: Call[EventQuery, NoBody]) -> Response:
    """Events as they happen, after the last one that the client has seen."""
    if call.head:
        return Response(mimetype="text/event-stream")
    feed = _open_feed(call)
    handover = current_handover()
    body: Iterable[bytes] = EventStream(feed)
    if handover is not None and not handover.websocket:
        handover.feed, body = feed, iter(())
    response = Response(body, mimetype="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"
    return response


def follow_events(call: Call[WebSocketQuery, NoBody]) -> Response:
    """The same as messages of a WebSocket, which the server makes of the connection when the feed is left to it."""
    handover = current_handover()
    if handover is None or not handover.websocket:
        message = "this is for WebSockets; /api/events has the same as server-sent events"
        raise ApiError(HTTPStatus.UPGRADE_REQUIRED, "upgrade_required", message, headers={"Upgrade": "websocket"})
    handover.feed = _open_feed(call)
    return Response(iter(()))


def issue_ticket(call: Call[Query, NoBody]) -> Answer:
    """A ticket for one WebSocket, for whoever asks with a bearer token."""
    made = make_ticket(call.services, bearer_token())
    if made is None:
        message = "a browser that has signed in needs no ticket: it sends its session's cookie"
        raise ApiError(HTTPStatus.CONFLICT, "ticket_needless", message)
    ticket, seconds = made
    return Answer(content=EventTicket(ticket=ticket, expires_in=seconds), status=HTTPStatus.CREATED)


def _open_feed(call: Call[EventQuery, NoBody]) -> Feed:
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
    return Feed(hub, subscription, call.known.still_valid)


def _start_after(call: Call[EventQuery, NoBody]) -> int | None:
    text = call.last_event_id
    if text is None:
        return call.query.after
    if not (text.isascii() and text.isdigit() and int(text) <= EVENT_ID_MOST):
        raise ApiError(HTTPStatus.BAD_REQUEST, "bad_request", "Last-Event-ID is not an id of an event")
    return int(text)


class EventStream:
    """The body of one stream, for a server that gives it a thread. A class, not a generator: a generator that was
    never begun would not be closed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._begun = False

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> bytes:
        if not self._begun:
            self._begun = True
            return render_ready(self._feed)
        try:
            if self._feed.check_due:
                self._feed.check()
            return render_batch(self._feed.take(Deadline.after(live.HEARTBEAT_SECONDS)))
        except (StreamEnded, NotAllowedAnyMore):
            raise StopIteration from None

    def close(self) -> None:
        """Give the place back."""
        self._feed.close()
