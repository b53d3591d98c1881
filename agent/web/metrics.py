"""Prometheus metrics of the fleet and of this server, in a registry of their own."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from agent.core.errors import TransientError
from agent.modem.model import ModemState
from agent.store.rows import HostRow, ModemRow
from agent.version import __version__
from agent.web.alert_metrics import AlertCollector, AlertSource
from agent.web.device_metrics import DeviceCollector, DeviceSource
from agent.web.events import EventHub

logger = logging.getLogger(__name__)

CONTENT_TYPE = CONTENT_TYPE_LATEST
_LABELS = ("serial", "host")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_GAUGES = (
    ("rssi_dbm", "Received signal strength indication."),
    ("rsrp_dbm", "LTE reference signal received power."),
    ("rsrq_db", "LTE reference signal received quality."),
    ("sinr_db", "Signal to interference and noise ratio."),
)
_COUNTERS = (
    ("rx_bytes", "receive_bytes", "Bytes the modem received from the carrier."),
    ("tx_bytes", "transmit_bytes", "Bytes the modem sent to the carrier."),
)


class FleetSource(Protocol):
    """What is asked at every scrape."""

    def fetch_modems(self) -> Sequence[ModemRow]: ...

    def fetch_hosts(self) -> Sequence[HostRow]: ...


class Metrics:
    """Everything that /metrics shows."""

    def __init__(self, fleet: FleetSource, events: EventHub, devices: DeviceSource, alerts: AlertSource) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_FleetCollector(fleet, events))
        self._registry.register(DeviceCollector(devices))
        self._registry.register(AlertCollector(alerts))
        self._requests = Counter(
            "lastmile_api_requests",
            "Requests answered by this server.",
            ("endpoint", "method", "status"),
            registry=self._registry,
        )
        self._durations = Histogram(
            "lastmile_api_request_duration_seconds",
            "Time until the answer's headers; live streams are left out.",
            ("endpoint",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._commands = Counter(
            "lastmile_api_commands",
            "Commands asked of modems through this server, by their outcome.",
            ("kind", "outcome"),
            registry=self._registry,
        )

    def count_request(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        """Take one request into account. `endpoint` is a name, never a path, so that labels stay few."""
        self._requests.labels(endpoint, method, str(status)).inc()
        self._durations.labels(endpoint).observe(seconds)

    def count_command(self, kind: str, outcome: str) -> None:
        """Take one command into account; `outcome` is done or an error code."""
        self._commands.labels(kind, outcome).inc()

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self._registry)


class _FleetCollector(Collector):
    def __init__(self, fleet: FleetSource, events: EventHub) -> None:
        self._fleet = fleet
        self._events = events

    def collect(self) -> Iterator[Metric]:
        build = InfoMetricFamily("lastmile_build", "The program that answers.")
        build.add_metric((), {"version": __version__})
        yield build
        yield _gauge("lastmile_event_streams", "Live event streams that are open.", self._events.streams)
        try:
            modems, hosts = self._fleet.fetch_modems(), self._fleet.fetch_hosts()
        except TransientError as error:
            logger.debug("metrics without the fleet", extra={"ERROR": str(error)})
            yield _gauge("lastmile_database_up", "Whether PostgreSQL answers.", 0)
            return
        yield _gauge("lastmile_database_up", "Whether PostgreSQL answers.", 1)
        yield from _host_metrics(hosts)
        yield from _modem_metrics(modems)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _host_metrics(hosts: Iterable[HostRow]) -> Iterator[Metric]:
    seen = GaugeMetricFamily(
        "lastmile_agent_last_seen_timestamp_seconds", "When the host's agent was last heard of.", labels=("host",)
    )
    for host in hosts:
        seen.add_metric((host.name,), host.last_seen.timestamp())
    yield seen


def _modem_metrics(modems: Sequence[ModemRow]) -> Iterator[Metric]:
    yield _info(modems)
    yield _states(modems)
    yield _flags("lastmile_modem_enabled", "Whether the modem is wanted to be up.", modems, "enabled")
    yield _flags("lastmile_proxy_up", "Whether the modem's proxy runs.", modems, "proxy_running")
    seen = GaugeMetricFamily(
        "lastmile_modem_last_seen_timestamp_seconds", "When the modem was last there.", labels=_LABELS
    )
    for modem in modems:
        seen.add_metric((modem.serial, modem.host), modem.last_seen.timestamp())
    yield seen
    for column, text in _GAUGES:
        gauge = GaugeMetricFamily(f"lastmile_modem_{column}", text, labels=_LABELS)
        for modem in modems:
            if (value := getattr(modem, column)) is not None:
                gauge.add_metric((modem.serial, modem.host), value)
        yield gauge
    for column, name, text in _COUNTERS:
        counter = CounterMetricFamily(f"lastmile_modem_{name}", text, labels=_LABELS)
        for modem in modems:
            if (value := getattr(modem, column)) is not None:
                counter.add_metric((modem.serial, modem.host), value)
        yield counter


def _info(modems: Iterable[ModemRow]) -> Metric:
    info = InfoMetricFamily("lastmile_modem", "What the modem is.", labels=_LABELS)
    for modem in modems:
        facts = {
            "slot": modem.slot,
            "model": modem.model,
            "revision": modem.revision,
            "operator": modem.operator,
            "access_technology": modem.access_technology,
            "proxy_port": str(modem.proxy_port),
        }
        info.add_metric((modem.serial, modem.host), {name: value or "" for name, value in facts.items()})
    return info


def _states(modems: Iterable[ModemRow]) -> Metric:
    states = GaugeMetricFamily(
        "lastmile_modem_state", "1 for the state the modem is in, 0 for the others.", labels=(*_LABELS, "state")
    )
    for modem in modems:
        for state in ModemState:
            states.add_metric((modem.serial, modem.host, state.value), int(modem.status is state))
    return states


def _flags(name: str, text: str, modems: Iterable[ModemRow], column: str) -> Metric:
    gauge = GaugeMetricFamily(name, text, labels=_LABELS)
    for modem in modems:
        gauge.add_metric((modem.serial, modem.host), int(getattr(modem, column)))
    return gauge
