"""Rows as the store gives them, for tests without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from agent.modem.model import ModemState
from agent.store.device_rows import DeviceCounts, DeviceState
from agent.store.rows import EventRow, HostRow, ModemRow

AT = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def make_modem(number: int = 1, **values: Any) -> ModemRow:
    """A modem that is online."""
    serial = f"8600000000{number:05d}"
    defaults: dict[str, Any] = {
        "serial": serial,
        "host": "farm-1",
        "slot": f"1-1.{number}",
        "path": f"/dev/modems/{serial}",
        "interface": f"modem-{serial}",
        "proxy_port": 3127 + number,
        "uid": 70_000 + number,
        "fib_table": 20_000 + number,
        "status": ModemState.ONLINE,
        "reason": "",
        "enabled": True,
        "apn": None,
        "imei": serial,
        "iccid": "8949020000000000001",
        "imsi": "262010000000001",
        "model": "EC25",
        "revision": "EC25EFAR06A06M4G",
        "operator": "Example Mobile",
        "access_technology": "lte",
        "registration": "home",
        "rssi_dbm": -60.0,
        "rsrp_dbm": -90.0,
        "rsrq_db": -10.0,
        "sinr_db": 12.0,
        "wan_address": f"100.64.0.{number}",
        "wan_address_ipv6": None,
        "proxy_running": True,
        "rx_bytes": 1000,
        "tx_bytes": 100,
        "first_seen": AT - timedelta(days=30),
        "last_seen": AT,
        "changed_at": AT - timedelta(hours=1),
        "reported_at": AT,
        "proxy_listen": "192.0.2.1",
    }
    return ModemRow(**{**defaults, **values})


def make_host(name: str = "farm-1", *, silent_seconds: float = 5.0, **values: Any) -> HostRow:
    """A host whose agent is well."""
    defaults: dict[str, Any] = {
        "version": "0.1.0",
        "pid": 1,
        "proxy_listen": "192.0.2.1",
        "started_at": AT - timedelta(days=1),
        "last_seen": AT - timedelta(seconds=silent_seconds),
        "modems": 1,
    }
    return HostRow(name=name, **{**defaults, **values})


def make_counts(**by_state: int) -> DeviceCounts:
    """Devices by state, all offline."""
    states = {(DeviceState(state), False): count for state, count in by_state.items()}
    return DeviceCounts(total=sum(by_state.values()), online=0, discovered=0, by_state=states)


def make_event(kind: str, /, *, serial: str | None = None, device_id: str | None = None, **payload: Any) -> EventRow:
    """An event of a modem or of a device."""
    return EventRow(id=1, at=AT, kind=kind, serial=serial, host=None, payload=payload, device_id=device_id)
