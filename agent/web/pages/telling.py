"""Events in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from agent.store.rows import EventRow
from agent.web.pages.formats import technology, words
from agent.web.pages.tones import BUSY, GOOD, OFF, WARN, tone_of

_COLUMNS = {
    "wan_address": "address",
    "wan_address_ipv6": "IPv6 address",
    "proxy_running": "proxy",
    "proxy_port": "TCP port",
    "access_technology": "technology",
    "apn": "APN",
    "iccid": "ICCID",
    "imsi": "IMSI",
    "imei": "IMEI",
    "fib_table": "table",
    "uid": "uid",
}
_UNSAID = frozenset({"reason", "path", "interface", "registration", "uid", "fib_table"})
"""Columns that only repeat what another one says better."""
_TEXTS = {
    "modem_added": ("met for the first time", BUSY),
    "modem_removed": ("forgotten", OFF),
    "device_added": ("called for the first time", BUSY),
    "device_held": ("called for the first time, and waits to be let in", WARN),
    "device_accepted": ("let in", GOOD),
    "device_refused": ("refused", OFF),
    "device_tagged": ("tags changed", OFF),
    "device_removed": ("forgotten", OFF),
    "discovery_finished": ("all parameters read", GOOD),
    "discovery_failed": ("its parameters could not be read", "bad"),
    "fault_deleted": ("fault deleted", OFF),
    "transfer_complete": ("transfer complete", GOOD),
}
VALUE_MOST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event as a line."""

    about: str
    path: str
    """Where there is more about it."""
    text: str
    tone: str
    state: str
    """The state that it has led to; empty when it is about something else."""


def tell(event: EventRow) -> Told:
    """An event in words."""
    about, path = _subject(event)
    text, tone, state = _words(event)
    return Told(about=about, path=path, text=text, tone=tone, state=state)


def _subject(event: EventRow) -> tuple[str, str]:
    if event.serial is not None:
        return event.serial, f"/modems/{quote(event.serial, safe='')}"
    if event.device_id is not None:
        return event.device_id, f"/devices/{quote(event.device_id, safe='')}"
    return event.host or "", ""


def _words(event: EventRow) -> tuple[str, str, str]:
    payload = event.payload
    if event.kind == "modem_changed":
        return _change(payload.get("changes") or {})
    if event.kind.startswith("task_"):
        status = event.kind.removeprefix("task_")
        fault = payload.get("fault_message")
        text = f"{payload.get('kind', 'task')} {words(status)}" + (f": {_brief(fault)}" if fault else "")
        return text, tone_of(status), ""
    text, tone = _TEXTS.get(event.kind, (words(event.kind), OFF))
    return text, tone, ""


def _change(changes: dict[str, dict[str, object]]) -> tuple[str, str, str]:
    status = changes.get("status")
    parts = [_one(name, change) for name, change in changes.items() if name not in _UNSAID and name != "status"]
    reason = (changes.get("reason") or {}).get("new")
    if status is not None:
        state = str(status.get("new"))
        said = ([_brief(reason)] if reason else []) + parts
        return "; ".join(said), tone_of(state), state
    if not parts and reason:
        parts = [_brief(reason)]
    return "; ".join(parts) or "changed", OFF, ""


def _one(name: str, change: dict[str, object]) -> str:
    value = change.get("new")
    if name == "enabled":
        return "enabled" if value else "disabled"
    if name == "proxy_running":
        return "proxy started" if value else "proxy closed"
    label = _COLUMNS.get(name, words(name))
    if value is None:
        return f"{label} gone"
    return f"{label} {technology(str(value)) if name == 'access_technology' else _brief(value)}"


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= VALUE_MOST else text[: VALUE_MOST - 1] + "…"
