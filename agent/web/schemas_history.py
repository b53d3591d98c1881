"""The JSON of the API about measurements over time."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, Field

from agent.store.history_steps import POINTS, POINTS_MOST
from agent.web.endpoint import Query
from agent.web.schemas import View


class HistoryMetric(StrEnum):
    """What is measured of modems."""

    RSSI = "rssi"
    RSRP = "rsrp"
    RSRP_LEAST = "rsrp_least"
    RSRQ = "rsrq"
    SINR = "sinr"
    RECEIVE_RATE = "receive_rate"
    TRANSMIT_RATE = "transmit_rate"
    RECEIVED = "received"
    TRANSMITTED = "transmitted"
    ONLINE = "online"

    @property
    def unit(self) -> str:
        return _UNITS[self]


_UNITS = {
    HistoryMetric.RSSI: "dBm",
    HistoryMetric.RSRP: "dBm",
    HistoryMetric.RSRP_LEAST: "dBm",
    HistoryMetric.RSRQ: "dB",
    HistoryMetric.SINR: "dB",
    HistoryMetric.RECEIVE_RATE: "bit/s",
    HistoryMetric.TRANSMIT_RATE: "bit/s",
    HistoryMetric.RECEIVED: "B",
    HistoryMetric.TRANSMITTED: "B",
    HistoryMetric.ONLINE: "%",
}
MODEM_METRICS = tuple(HistoryMetric)


class HistoryQuery(Query):
    """Which time, and how finely."""

    begin: AwareDatetime | None = Field(
        None, alias="from", description="Begin of the time; 24 hours before its end when it is left out."
    )
    end: AwareDatetime | None = Field(None, alias="to", description="End of the time; now when it is left out.")
    points: int = Field(
        POINTS, ge=10, le=POINTS_MOST, description="Most steps that the time is cut into; fewer where they are long."
    )


class ModemHistoryQuery(HistoryQuery):
    """Which measurements."""

    metric: tuple[HistoryMetric, ...] = Field(
        (), description="Only these; may be given several times. All when it is left out."
    )


class FleetHistoryQuery(ModemHistoryQuery):
    """Which measurements of which modems."""

    host: str | None = Field(None, description="Only modems of this host.", max_length=253)


class HistoryLine(View):
    """One measurement over time."""

    name: str = Field(description="The metric; of sessions their outcome.")
    unit: str
    values: tuple[float | None, ...] = Field(
        description="One for each of `times`; null where nothing was measured. Of signals the mean of a step."
    )


class HistoryView(View):
    """Measurements over time, in columns."""

    begin: datetime = Field(serialization_alias="from")
    end: datetime = Field(serialization_alias="to")
    step_seconds: int
    source: Literal["samples", "5min", "hour", "day"] = Field(description="How fine the rows are that it is made of.")
    times: tuple[int, ...] = Field(description="When each step begins, in seconds since 1970.")
    lines: tuple[HistoryLine, ...]
