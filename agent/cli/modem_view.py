"""A modem as the CLI shows it: a mapping for programs, a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agent.cli.context import plain
from agent.modem.model import ModemState

if TYPE_CHECKING:
    from rich.box import Box
    from rich.table import Table
    from rich.text import Text

    from agent.store.rows import ModemRow

STYLES = {
    ModemState.ONLINE: "green",
    ModemState.DEGRADED: "yellow",
    ModemState.RECOVERING: "yellow",
    ModemState.QUARANTINED: "red",
    ModemState.SIM_BLOCKED: "red",
    ModemState.OFFLINE: "dim",
}


def modem_mapping(row: ModemRow) -> dict[str, Any]:
    """Every field of a modem, with `state` and `proxy_address` first; the same names as in the API."""
    fields = plain(row)
    return {"serial": row.serial, "state": row.status.value, "proxy_address": row.proxy_address, **fields}


def modem_table(rows: Sequence[ModemRow], *, width: int, title: str | None = None, caption: str | None = None) -> Table:
    """The modems of a fleet, one a line; on a narrow terminal what matters least is left out."""
    from rich.table import Table

    columns = _columns(rows, width)
    table = Table(title=title, caption=caption, header_style="bold", box=_box(), padding=(0, 1))
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name not in ("why", "operator"))
    for row in rows:
        cells = _cells(row)
        table.add_row(*(cells[name] for name in columns))
    return table


def _box() -> Box:
    from rich.box import SIMPLE_HEAD

    return SIMPLE_HEAD


_OPTIONAL = ("seen", "traffic", "operator", "slot", "signal")
"""Columns in the order in which they are given up."""
_COLUMNS = ("host", "modem", "state", "slot", "operator", "signal", "WAN address", "proxy", "traffic", "seen", "why")
_WIDTHS = {"host": 12, "modem": 17, "state": 13, "slot": 9, "operator": 16, "signal": 9, "WAN address": 16, "proxy": 22}
_WIDTH = 12


def _columns(rows: Sequence[ModemRow], width: int) -> tuple[str, ...]:
    wanted = [name for name in _COLUMNS if name != "host" or len({row.host for row in rows}) > 1]
    if not any(row.reason for row in rows):
        wanted.remove("why")
    for name in _OPTIONAL:
        if sum(_WIDTHS.get(each, _WIDTH) + 2 for each in wanted) <= width:
            break
        wanted.remove(name)
    return tuple(wanted)


def _cells(row: ModemRow) -> dict[str, str | Text]:
    from rich.text import Text

    return {
        "host": row.host,
        "modem": row.serial,
        "state": Text(row.status.value, style=STYLES.get(row.status, "cyan")),
        "slot": row.slot or "–",
        "operator": _foreign(_operator(row)),
        "signal": _signal(row),
        "WAN address": row.wan_address or row.wan_address_ipv6 or "–",
        "proxy": Text(row.proxy_address or f":{row.proxy_port}", style="" if row.proxy_running else "dim"),
        "traffic": _traffic(row),
        "seen": age(row.last_seen),
        "why": _foreign(row.reason),
    }


def _foreign(text: str) -> Text:
    """What a network or a device says is no markup, and moves no cursor."""
    from rich.text import Text

    return Text("".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text))


def _operator(row: ModemRow) -> str:
    technology = (row.access_technology or "").upper()
    return f"{row.operator} {technology}".strip() if row.operator else "–"


def _signal(row: ModemRow) -> str:
    value = row.rsrp_dbm if row.rsrp_dbm is not None else row.rssi_dbm
    return f"{value:.0f} dBm" if value is not None else "–"


def _traffic(row: ModemRow) -> str:
    if row.rx_bytes is None or row.tx_bytes is None:
        return "–"
    return f"{human_bytes(row.rx_bytes)}↓ {human_bytes(row.tx_bytes)}↑"


def human_bytes(count: int) -> str:
    """1536 → 1.5 KiB"""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def age(moment: datetime, at: datetime | None = None) -> str:
    """How long ago, in one unit."""
    return duration(((at or datetime.now(UTC)) - moment).total_seconds())


def duration(length_seconds: float) -> str:
    """7500 → 2 h"""
    seconds = max(0, int(length_seconds))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
