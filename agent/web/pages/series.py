"""Measurements over time, in the columns that a chart draws, and in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.store.history import ModemStep
from agent.store.history_steps import Window
from agent.web.pages.formats import NOTHING, measured, quantity

HOURS = (6, 24, 168, 720, 8760)
"""The windows that a chart may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a chart."""

    label: str
    column: str
    """Of ModemStep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What one chart shows."""

    name: str
    title: str
    unit: str
    lines: tuple[Line, ...]

    @property
    def is_rate(self) -> bool:
        """Whether its columns are bytes, to be shown as bits a second."""
        return self.unit == "bit/s"


TRAFFIC = Metric(
    name="traffic",
    title="Traffic",
    unit="bit/s",
    lines=(Line(label="Down", column="rx_bytes"), Line(label="Up", column="tx_bytes")),
)
SIGNAL = Metric(name="signal", title="RSRP", unit="dBm", lines=(Line(label="RSRP", column="rsrp_dbm"),))
QUALITY = Metric(
    name="quality",
    title="RSRQ and SINR",
    unit="dB",
    lines=(Line(label="SINR", column="sinr_db"), Line(label="RSRQ", column="rsrq_db")),
)
FLEET_SIGNAL = Metric(
    name="signal",
    title="RSRP",
    unit="dBm",
    lines=(Line(label="Mean of all", column="rsrp_dbm"), Line(label="Weakest", column="rsrp_least_dbm")),
)
OF_MODEM = {metric.name: metric for metric in (SIGNAL, QUALITY, TRAFFIC)}
OF_FLEET = {metric.name: metric for metric in (TRAFFIC, FLEET_SIGNAL)}


def columns(metric: Metric, steps: Sequence[ModemStep], window: Window) -> dict[str, Any]:
    """The chart's JSON: times, and for each line its values; None in steps without a measurement."""
    by_time = {step.at: step for step in steps}
    # The step that is under way is not full yet: a rate of it would always dive.
    times = window.times[:-1] if metric.is_rate else window.times
    return {
        "unit": metric.unit,
        "step": window.step_seconds,
        "times": list(times),
        "lines": [
            {
                "label": line.label,
                "values": [_value(metric, line, by_time.get(at), window.step_seconds) for at in times],
            }
            for line in metric.lines
        ],
    }


def _value(metric: Metric, line: Line, row: ModemStep | None, step: int) -> float | None:
    value: float | None = getattr(row, line.column) if row is not None else None
    if value is None:
        return None
    return round(value * 8 / step) if metric.is_rate else round(value, 1)


def summary(metric: Metric, data: dict[str, Any], hours: int) -> str:
    """What the chart shows, in a sentence."""
    parts = []
    for line in data["lines"]:
        values = [value for value in line["values"] if value is not None]
        if values:
            low, high = show(metric, min(values)), show(metric, max(values))
            label = line["label"]
            parts.append(f"{label.lower()} at most {high}" if metric.is_rate else f"{label} from {low} to {high}")
    window = {168: "Last 7 days", 720: "Last 30 days", 8760: "Last year"}.get(hours, f"Last {hours} hours")
    return f"{window}: {', '.join(parts)}." if parts else f"{window}: nothing was measured."


def show(metric: Metric, value: float | None) -> str:
    """A value and its unit."""
    if value is None:
        return NOTHING
    return quantity(value, metric.unit) if metric.is_rate else measured(value, metric.unit)
