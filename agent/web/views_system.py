"""The server about itself: health, metrics, and the description of its API."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from flask import Response, jsonify

from agent.core.clock import wall
from agent.core.errors import TransientError
from agent.store.rows import HostRow
from agent.web.endpoint import Call, NoBody, Query
from agent.web.errors import ApiError
from agent.web.metrics import CONTENT_TYPE, Metrics
from agent.web.schemas import Agents, Health

AGENT_SILENT_AFTER = timedelta(seconds=90)


def show_health(call: Call[Query, NoBody]) -> Health:
    """Whether lastmile can do its work; ApiError 503 when it cannot. Tells a stranger no names."""
    try:
        hosts = call.services.fleet.fetch_hosts()
    except TransientError:
        health = Health(status="unhealthy", database=False, agents=Agents(fresh=0, stale=0))
        raise _unhealthy("the database cannot be reached", health) from None
    health = judge(hosts, wall())
    if health.status != "ok":
        raise _unhealthy("no agent was heard of lately", health)
    return health


def judge(hosts: Iterable[HostRow], at: datetime) -> Health:
    """Healthy when at least one agent is alive; hosts that were taken away must not spoil it for ever."""
    ages = [at - host.last_seen for host in hosts]
    fresh = sum(age <= AGENT_SILENT_AFTER for age in ages)
    agents = Agents(fresh=fresh, stale=len(ages) - fresh)
    return Health(status="ok" if fresh else "unhealthy", database=True, agents=agents)


def make_metrics_view(metrics: Metrics) -> Callable[[Call[Query, NoBody]], Response]:
    """The view that renders `metrics`."""

    def show_metrics(_call: Call[Query, NoBody]) -> Response:
        return Response(metrics.render(), content_type=CONTENT_TYPE)

    return show_metrics


def make_description_view(describe: Callable[[], dict[str, Any]]) -> Callable[[Call[Query, NoBody]], Response]:
    """The view that shows the OpenAPI document."""

    def show_description(_call: Call[Query, NoBody]) -> Response:
        return jsonify(describe())

    return show_description


def _unhealthy(message: str, health: Health) -> ApiError:
    details = health.model_dump(mode="json")
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "unhealthy", message, details=details)
