"""The table of endpoints: what the server serves and what its OpenAPI document says."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from agent.store.rows import Role
from agent.web import views_events, views_modems, views_system
from agent.web.endpoint import Endpoint, NoBody
from agent.web.metrics import CONTENT_TYPE, Metrics
from agent.web.routes_access import AUDIT, AUTH, OPERATORS
from agent.web.routes_acs import FILES_AND_CREDENTIALS, SESSIONS_AND_FAULTS
from agent.web.routes_alerts import ALERT_RULES, ALERTS
from agent.web.routes_device_pages import DEVICE_PAGES
from agent.web.routes_devices import DEVICES, TASKS
from agent.web.routes_history import HISTORY
from agent.web.schemas import (
    CommandBody,
    CommandResult,
    EventQuery,
    EventTicket,
    Health,
    LogPage,
    LogQuery,
    Modem,
    ModemPage,
    ModemQuery,
    RestartBody,
    WebSocketQuery,
)

_COMMAND_ERRORS = (
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.GATEWAY_TIMEOUT,
)


def make_endpoints(metrics: Metrics, describe: Callable[[], dict[str, Any]]) -> tuple[Endpoint, ...]:
    """Every endpoint, in the order of the documentation."""
    return (
        *_READING,
        *_CHANGING,
        *DEVICE_PAGES,
        *HISTORY,
        *ALERTS,
        *ALERT_RULES,
        *DEVICES,
        *TASKS,
        *SESSIONS_AND_FAULTS,
        *FILES_AND_CREDENTIALS,
        *AUTH,
        *OPERATORS,
        *AUDIT,
        *_system(metrics, describe),
    )


_READING = (
    Endpoint(
        name="listModems",
        method="GET",
        path="/modems",
        view=views_modems.list_modems,
        role=Role.VIEWER,
        summary="List modems",
        description="In the order of their serials. For the next page give `next_after` as `after`.",
        query=ModemQuery,
        answer=ModemPage,
    ),
    Endpoint(
        name="getModem",
        method="GET",
        path="/modems/{serial}",
        view=views_modems.show_modem,
        role=Role.VIEWER,
        summary="Show a modem",
        answer=Modem,
        errors=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        name="listModemLogs",
        method="GET",
        path="/modems/{serial}/logs",
        view=views_modems.list_logs,
        role=Role.VIEWER,
        summary="List a modem's log",
        description="Newest first. For older ones give `next_before_id` as `before_id`.",
        query=LogQuery,
        answer=LogPage,
        errors=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        name="streamEvents",
        method="GET",
        path="/events",
        view=views_events.stream_events,
        role=Role.VIEWER,
        summary="Follow events live",
        description=(
            "Server-sent events. The first is `ready`; then one for each change, named by its kind, its data an "
            "Event as JSON. A client that sends the id it saw last (header Last-Event-ID, or `after`) misses "
            "none. How far discoveries have come is told by `session_progress`, which has no id and is not repeated."
        ),
        query=EventQuery,
        media_type="text/event-stream",
    ),
    Endpoint(
        name="followEvents",
        method="GET",
        path="/events/ws",
        view=views_events.follow_events,
        role=Role.VIEWER,
        summary="Follow events live, by WebSocket",
        description=(
            "The same events as JSON messages: `event`, `data`, and `id` where one can resume from it; `heartbeat` "
            "when there was nothing else for a while. The server wants no messages. A request that asks for no "
            "WebSocket is answered 426."
        ),
        query=WebSocketQuery,
        successes=(HTTPStatus.SWITCHING_PROTOCOLS,),
        errors=(HTTPStatus.UPGRADE_REQUIRED,),
    ),
    Endpoint(
        name="issueEventTicket",
        method="POST",
        path="/events/ticket",
        view=views_events.issue_ticket,
        role=Role.VIEWER,
        summary="Get a ticket for a WebSocket",
        description=(
            "For scripts that have a bearer token and can send no header with a WebSocket: good once, for half a "
            "minute. The WebSocket ends when the token does."
        ),
        body=NoBody,
        answer=EventTicket,
        successes=(HTTPStatus.CREATED,),
        errors=(HTTPStatus.CONFLICT,),
    ),
)

_CHANGING = (
    Endpoint(
        name="commandModem",
        method="POST",
        path="/modems/{serial}/command",
        view=views_modems.run_command,
        role=Role.OPERATOR,
        summary="Send a command to a modem",
        description=(
            "Waits for the agent's answer. AT commands that do more than ask take an admin; PINs and passwords "
            "are never taken this way."
        ),
        body=CommandBody,
        answer=CommandResult,
        errors=_COMMAND_ERRORS,
    ),
    Endpoint(
        name="restartModem",
        method="POST",
        path="/modems/{serial}/restart",
        view=views_modems.restart_modem,
        role=Role.OPERATOR,
        summary="Restart a modem",
        description="Answers when the modem has been told; it is back about half a minute later.",
        body=RestartBody,
        answer=CommandResult,
        errors=_COMMAND_ERRORS,
    ),
    Endpoint(
        name="enableModem",
        method="POST",
        path="/modems/{serial}/enable",
        view=views_modems.enable_modem,
        role=Role.OPERATOR,
        summary="Wish a modem to be up",
        description="The agent acts on it at once; follow `state`.",
        body=NoBody,
        answer=Modem,
        errors=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        name="disableModem",
        method="POST",
        path="/modems/{serial}/disable",
        view=views_modems.disable_modem,
        role=Role.OPERATOR,
        summary="Wish a modem to be down",
        description="Its connection and its proxy end; its TCP port stays its own.",
        body=NoBody,
        answer=Modem,
        errors=(HTTPStatus.NOT_FOUND,),
    ),
)


def _system(metrics: Metrics, describe: Callable[[], dict[str, Any]]) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            name="getHealth",
            method="GET",
            path="/health",
            view=views_system.show_health,
            role=None,
            summary="Ask whether lastmile works",
            description="For load balancers and watchdogs: 503 while PostgreSQL is away or no agent is alive.",
            answer=Health,
        ),
        Endpoint(
            name="getDescription",
            method="GET",
            path="/openapi.json",
            view=views_system.make_description_view(describe),
            role=Role.VIEWER,
            summary="Get this description",
        ),
        Endpoint(
            name="getMetrics",
            method="GET",
            path="/metrics",
            view=views_system.make_metrics_view(metrics),
            role=Role.VIEWER,
            summary="Get metrics",
            description="In the text format of Prometheus.",
            of_everything=True,
            media_type=CONTENT_TYPE.partition(";")[0],
            at_root=True,
        ),
    )
