"""Prometheus metrics of alerts."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agent.alert.model import Severity
from agent.core.errors import TransientError
from agent.store.alert_rows import OpenCount

logger = logging.getLogger(__name__)


class AlertSource(Protocol):
    """What is asked at every scrape."""

    def count_open(self) -> Sequence[OpenCount]: ...

    def count_waiting(self) -> int: ...


class AlertCollector(Collector):
    """Asks at every scrape; nothing comes while PostgreSQL is away, which another metric tells."""

    def __init__(self, source: AlertSource) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        try:
            counted, waiting = self._source.count_open(), self._source.count_waiting()
        except TransientError as error:
            logger.debug("metrics without the alerts", extra={"ERROR": str(error)})
            return
        numbers = {count.severity: count for count in counted}
        alerts = GaugeMetricFamily("lastmile_alerts", "Open alerts, by severity.", labels=("severity",))
        acknowledged = GaugeMetricFamily(
            "lastmile_alerts_acknowledged", "Those that somebody looks after.", labels=("severity",)
        )
        for severity in Severity:
            count = numbers.get(severity)
            alerts.add_metric((severity.value,), count.alerts if count is not None else 0)
            acknowledged.add_metric((severity.value,), count.acknowledged if count is not None else 0)
        yield alerts
        yield acknowledged
        text = "Messages about alerts that were not delivered yet."
        yield GaugeMetricFamily("lastmile_alert_deliveries_waiting", text, value=waiting)
