"""The data of charts: what was asked for, fetched once for all who look, and as JSON."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, jsonify, request

from agent.web.pages import series
from agent.web.pages.series import Metric
from agent.web.pages.sights import Asked, measurements


def asked_hours(default: int = 24) -> int:
    """The window that the address asks for; the default when it asks for none that there is."""
    text = request.args.get("hours", "")
    hours = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else default
    return hours if hours in series.HOURS else default


def chart(metric: Metric, serials: tuple[str, ...], hours: int) -> dict[str, Any]:
    """The chart's data."""
    measured = measurements(Asked(serials=serials, hours=hours))
    return series.columns(metric, measured.steps, measured.window)


def answer(metrics: dict[str, Metric], serials: tuple[str, ...]) -> Response:
    """The answer to a chart that asks for `metric` and `hours`."""
    metric = metrics.get(request.args.get("metric", ""))
    if metric is None:
        abort(404)
    return jsonify(chart(metric, serials, asked_hours()))
