"""Prometheus metrics of devices that talk TR-069."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from agent.acs.tasks import TaskStatus
from agent.core.errors import TransientError
from agent.store.acs_counters import Count
from agent.store.device_rows import DeviceCounts, EndedCounts, OpenCounts
from agent.web.cwmp.counters import BUCKETS

logger = logging.getLogger(__name__)

OUTCOMES = ("completed", "timeout", "taken_over", "failed")
_COUNTERS = (
    ("requests_total", "status", "HTTP requests of CPEs that the ACS has answered, by the answer's status."),
    ("informs_total", "verdict", "Informs, by what became of them."),
    ("sessions_total", "outcome", "CWMP sessions that CPEs have brought to an end, by outcome."),
    ("rpcs_total", "method", "RPCs that CPEs were asked for."),
    ("faults_total", "code", "Faults that CPEs have answered."),
)
"""What the workers of the ACS count (agent.web.cwmp.exchange): name, label and meaning."""
_REQUEST_SECONDS = "request_seconds"


class DeviceSource(Protocol):
    """What is asked at every scrape."""

    def count_devices(self) -> DeviceCounts: ...

    def count_tasks(self) -> Mapping[TaskStatus, int]: ...

    def count_faults(self) -> int: ...

    def count_open_sessions(self) -> OpenCounts: ...

    def count_sessions_last_minute(self) -> EndedCounts: ...

    def fetch_counters(self) -> Sequence[Count]: ...


class DeviceCollector(Collector):
    """Asks at every scrape; nothing comes while PostgreSQL is away, which another metric tells."""

    def __init__(self, source: DeviceSource) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        try:
            devices, tasks, faults = (
                self._source.count_devices(),
                self._source.count_tasks(),
                self._source.count_faults(),
            )
            under_way, ended = self._source.count_open_sessions(), self._source.count_sessions_last_minute()
            counted = self._source.fetch_counters()
        except TransientError as error:
            logger.debug("metrics without the devices", extra={"ERROR": str(error)})
            return
        yield _devices(devices)
        yield _by_label(
            "lastmile_tasks", "Tasks, by status.", "status", {each.value: tasks[each] for each in TaskStatus}
        )
        yield _gauge("lastmile_faults", "Open faults of devices.", faults)
        yield _gauge("lastmile_cwmp_sessions_active", "CWMP sessions under way.", under_way.active)
        yield _gauge(
            "lastmile_cwmp_sessions_discovering", "Those that read a tree of parameters.", under_way.discovering
        )
        outcomes = {outcome: ended.by_outcome.get(outcome, 0) for outcome in OUTCOMES}
        text = "CWMP sessions that have ended in the last minute, by outcome."
        yield _by_label("lastmile_cwmp_sessions_last_minute", text, "outcome", outcomes)
        if ended.mean_duration_seconds is not None:
            text = "Mean duration of the CWMP sessions that were completed in the last minute."
            yield _gauge("lastmile_cwmp_session_mean_duration_seconds", text, ended.mean_duration_seconds)
        yield from _counted(counted)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _by_label(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for value, count in values.items():
        family.add_metric((value,), count)
    return family


def _devices(counts: DeviceCounts) -> Metric:
    family = GaugeMetricFamily("lastmile_devices", "Devices, by state and online.", labels=("state", "online"))
    for (state, online), count in counts.by_state.items():
        family.add_metric((state.value, "true" if online else "false"), count)
    return family


def _counted(counts: Sequence[Count]) -> Iterator[Metric]:
    for name, label, text in _COUNTERS:
        family = CounterMetricFamily(f"lastmile_cwmp_{name}", text, labels=(label,))
        for each in counts:
            if (each.name, each.label) == (name, label):
                family.add_metric((each.label_value,), each.value)
        yield family
    in_bucket = {each.label_value: each.value for each in counts if each.name == f"{_REQUEST_SECONDS}_bucket"}
    cumulative = 0.0
    buckets: list[tuple[str, float]] = []
    for bound in (*map(repr, BUCKETS), "+Inf"):
        cumulative += in_bucket.get(bound, 0.0)
        buckets.append((bound, cumulative))
    times = HistogramMetricFamily(f"lastmile_cwmp_{_REQUEST_SECONDS}", "Time until the answer to a CPE.")
    total = sum(each.value for each in counts if each.name == f"{_REQUEST_SECONDS}_sum")
    times.add_metric((), buckets=buckets, sum_value=total)
    yield times
