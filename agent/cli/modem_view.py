"""A modem as the CLI shows it: a mapping for programs, a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agent.cli.context import plain
from agent.modem.model import ModemState

if TYPE_CHECKING:
    from rich.table import Table

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


def modem_table(rows: Sequence[ModemRow], *, title: str | None = None, caption: str | None = None) -> Table:
    """The modems of a fleet, one a line."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, caption=caption, header_style="bold", expand=False)
    several_hosts = len({row.host for row in rows}) > 1
    columns = [
        "modem",
        "state",
        "slot",
        "operator",
        "signal",
        "WAN address",
        "proxy",
        "traffic",
        "seen",
        "why",
    ]
    for name in (["host"] if several_hosts else []) + columns:
        table.add_column(name, overflow="fold" if name == "why" else "ellipsis", no_wrap=name != "why")
    for row in rows:
        cells: list[str | Text] = [row.host] if several_hosts else []
        cells += [
            row.serial,
            Text(row.status.value, style=STYLES.get(row.status, "cyan")),
            row.slot or "–",
            _operator(row),
            _signal(row),
            row.wan_address or row.wan_address_ipv6 or "–",
            Text(row.proxy_address or f":{row.proxy_port}", style="" if row.proxy_running else "dim"),
            _traffic(row),
            age(row.last_seen),
            row.reason,
        ]
        table.add_row(*cells)
    return table


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
    seconds = max(0, int(((at or datetime.now(UTC)) - moment).total_seconds()))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
