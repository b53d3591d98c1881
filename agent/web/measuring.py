"""From what is stored of a step to what is shown of it. Pure."""

from __future__ import annotations

from agent.store.history import ModemStep
from agent.web.schemas_history import HistoryMetric

_SIGNALS = {
    HistoryMetric.RSSI: "rssi_dbm",
    HistoryMetric.RSRP: "rsrp_dbm",
    HistoryMetric.RSRP_LEAST: "rsrp_least_dbm",
    HistoryMetric.RSRQ: "rsrq_db",
    HistoryMetric.SINR: "sinr_db",
}
_BYTES = {
    HistoryMetric.RECEIVED: "rx_bytes",
    HistoryMetric.TRANSMITTED: "tx_bytes",
    HistoryMetric.RECEIVE_RATE: "rx_bytes",
    HistoryMetric.TRANSMIT_RATE: "tx_bytes",
}
_RATES = (HistoryMetric.RECEIVE_RATE, HistoryMetric.TRANSMIT_RATE)


def value_of(metric: HistoryMetric, step: ModemStep | None, covered_seconds: float) -> float | None:
    """The metric in one step; None when nothing was measured. A rate is over as much of the step as there was."""
    if step is None:
        return None
    if metric is HistoryMetric.ONLINE:
        return round(100 * step.online / step.samples, 1)
    if metric in _SIGNALS:
        signal: float | None = getattr(step, _SIGNALS[metric])
        return None if signal is None else round(signal, 1)
    passed: int | None = getattr(step, _BYTES[metric])
    if passed is None or metric not in _RATES:
        return passed
    return round(passed * 8 / covered_seconds) if covered_seconds > 0 else None
