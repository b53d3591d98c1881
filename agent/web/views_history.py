"""Measurements and sessions over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from http import HTTPStatus

from agent.core.clock import wall
from agent.core.errors import ProtocolError
from agent.core.identifiers import Serial
from agent.store.history import ModemStep
from agent.store.history_steps import Tier, Window, choose_window
from agent.web.endpoint import Call, NoBody
from agent.web.errors import ApiError
from agent.web.finding import not_found
from agent.web.measuring import value_of
from agent.web.schemas_history import (
    MODEM_METRICS,
    FleetHistoryQuery,
    HistoryLine,
    HistoryMetric,
    HistoryQuery,
    HistoryView,
    ModemHistoryQuery,
)

OUTCOMES = ("completed", "timeout", "taken_over", "failed")
DEFAULT_SPAN = timedelta(hours=24)


def show_modem_history(call: Call[ModemHistoryQuery, NoBody]) -> HistoryView:
    """What was measured of one modem."""
    try:
        serial = Serial.parse(call.path["serial"])
    except ProtocolError:
        serial = None
    if serial is None or call.services.fleet.fetch_modem(serial) is None:
        raise not_found("modem_not_found", "there is no modem of this serial")
    window = _window(call)
    return _view(window, call.query.metric, call.services.monitoring.history.fetch_modems(window, (serial,)))


def show_fleet_history(call: Call[FleetHistoryQuery, NoBody]) -> HistoryView:
    """What was measured of all modems together."""
    window = _window(call)
    return _view(window, call.query.metric, call.services.monitoring.history.fetch_modems(window, host=call.query.host))


def show_session_history(call: Call[HistoryQuery, NoBody]) -> HistoryView:
    """The sessions that have ended, by outcome."""
    window = _window(call, finest=Tier.FINE)
    counted = {(step.at, step.outcome): step for step in call.services.monitoring.history.fetch_sessions(window)}
    times = tuple(window.times)

    def line(name: str, unit: str, value: Callable[[int], float | None]) -> HistoryLine:
        return HistoryLine(name=name, unit=unit, values=tuple(value(at) for at in times))

    def count(outcome: str) -> Callable[[int], float | None]:
        return lambda at: counted[at, outcome].sessions if (at, outcome) in counted else 0

    def duration(at: int) -> float | None:
        step = counted.get((at, OUTCOMES[0]))
        return round(step.seconds / step.sessions, 3) if step is not None and step.sessions else None

    lines = (*(line(outcome, "sessions", count(outcome)) for outcome in OUTCOMES), line("duration", "s", duration))
    return _answer(window, lines)


def _window(call: Call[HistoryQuery, NoBody], finest: Tier = Tier.SAMPLES) -> Window:
    query, at = call.query, wall()
    end = query.end or at
    try:
        return choose_window(
            query.begin or end - DEFAULT_SPAN,
            end,
            at=at,
            points=query.points,
            retention=call.services.monitoring.history.retention,
            finest=finest,
        )
    except (ValueError, OverflowError) as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "bad_request", f"no such time: {error}") from error


def _view(window: Window, metrics: Sequence[HistoryMetric], steps: Sequence[ModemStep]) -> HistoryView:
    by_time = {step.at: step for step in steps}
    lines = tuple(
        HistoryLine(
            name=metric.value,
            unit=metric.unit,
            values=tuple(value_of(metric, by_time.get(at), window.covered_seconds(at)) for at in window.times),
        )
        for metric in dict.fromkeys(metrics or MODEM_METRICS)
    )
    return _answer(window, lines)


def _answer(window: Window, lines: tuple[HistoryLine, ...]) -> HistoryView:
    return HistoryView(
        begin=window.begun,
        end=window.stop,
        step_seconds=window.step_seconds,
        source=window.tier.label,  # type: ignore[arg-type]  # its labels are the literals
        times=tuple(window.times),
        lines=lines,
    )
