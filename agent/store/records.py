"""From what the agent reports to the values of rows: plain JSON, so that they can wait on disk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, assert_never

from agent.core.errors import ConfigError
from agent.modem.ports import CommandResult, LogEntry, ModemReport
from agent.store.documents import clean_text, render_object
from agent.store.outbox_file import RecordKind

TEXT_MOST = 65_536
"""Characters kept of one answer: more is a modem gone mad."""

Item = LogEntry | ModemReport | CommandResult


def kind_of(item: Item) -> RecordKind:
    """The kind of record that `item` becomes."""
    match item:
        case LogEntry():
            return RecordKind.LOG
        case ModemReport():
            return RecordKind.REPORT
        case CommandResult():
            return RecordKind.RESULT
        case _:
            assert_never(item)


def render_record(item: Item, at: datetime) -> dict[str, Any]:
    """The values of the row that `item` becomes; `at` is the time of an item that has none of its own."""
    match item:
        case LogEntry():
            return {
                "at": item.at.isoformat(),
                "serial": item.serial,
                "channel": _text(item.channel),
                "command": _text(item.command),
                "response": _text(item.response),
                "outcome": _text(item.outcome),
                "duration_seconds": item.duration_seconds,
            }
        case ModemReport():
            return _render_report(item)
        case CommandResult():
            return _render_result(item, at)
        case _:
            assert_never(item)


def _render_report(report: ModemReport) -> dict[str, Any]:
    signal = report.signal
    return {
        "serial": report.serial,
        "at": report.at.isoformat(),
        "state": report.state.value,
        "reason": _text(report.reason)[:2000],
        "slot": report.slot,
        "path": report.path,
        "interface": report.interface,
        "imei": report.imei,
        "iccid": report.iccid,
        "imsi": report.imsi,
        "model": _optional(report.model),
        "revision": _optional(report.revision),
        "operator": _optional(report.operator),
        "access_technology": _optional(report.access_technology),
        "registration": _optional(report.registration),
        "rssi_dbm": signal.rssi_dbm,
        "rsrp_dbm": signal.rsrp_dbm,
        "rsrq_db": signal.rsrq_db,
        "sinr_db": signal.sinr_db,
        "wan_address": report.wan_address,
        "wan_address_ipv6": report.wan_address_ipv6,
        "proxy_running": report.proxy_running,
        "rx_bytes": report.rx_bytes,
        "tx_bytes": report.tx_bytes,
        "sample": report.sample,
    }


def _render_result(result: CommandResult, at: datetime) -> dict[str, Any]:
    succeeded, code, message = result.succeeded, result.error_code, result.error_message
    try:
        text = render_object(_clean(result.result))
    except (ConfigError, RecursionError) as exc:
        succeeded, code, message, text = False, "bad_result", str(exc), "{}"
    return {
        "id": result.id,
        "at": at.isoformat(),
        "state": "done" if succeeded else "failed",
        "result": text,
        "error_code": _optional(code),
        "error_message": _optional(message),
    }


def coalesce(items: Sequence[Item]) -> list[Item]:
    """Leave out the reports that a later one of the same modem makes superfluous.

    A report stays when it is a sample, or when the next one of its modem differs in state or address: those are
    history."""
    newest: dict[str, ModemReport] = {}
    kept: list[Item] = []
    for item in reversed(items):
        if isinstance(item, ModemReport):
            later = newest.get(item.serial)
            newest[item.serial] = item
            if later is not None and not item.sample and _history(item) == _history(later):
                continue
        kept.append(item)
    kept.reverse()
    return kept


def _history(report: ModemReport) -> tuple[object, ...]:
    return (report.state, report.wan_address, report.wan_address_ipv6, report.slot, report.iccid, report.operator)


def _clean(value: Any) -> Any:
    """`value` with every text in it as jsonb can keep it."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_text(str(name)): _clean(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    return value


def _text(text: str) -> str:
    return clean_text(text[:TEXT_MOST])


def _optional(text: str | None) -> str | None:
    return None if text is None else _text(text)
