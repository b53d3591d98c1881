"""A host with modems, for the tests of the store."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from agent.core.identifiers import Serial, Slot
from agent.modem.model import ModemState, Signal
from agent.modem.ports import LogEntry, ModemReport
from agent.store.database import Database
from agent.store.wishes import AllocationRanges, DesiredDefaults, HostWishes

HOST = "farm-1"
SERIAL = Serial("860000000000001")
SLOT = Slot("1-1.1")
BEGIN = datetime.now(UTC).replace(microsecond=0)


def make_wishes(
    database: Database, cache: Path, *, host: str = HOST, modems: int = 100, pin: str | None = None
) -> HostWishes:
    ranges = AllocationRanges(tcp_port_first=3128, tcp_port_last=3127 + modems, uid_first=70_000, table_first=20_000)
    return HostWishes(database, host, DesiredDefaults(apn="internet", pin=pin), ranges, cache)


def serial_of(number: int) -> Serial:
    return Serial(f"8600000000{number:05d}")


def slot_of(number: int) -> Slot:
    return Slot(f"1-1.{number}")


def make_log(number: int, serial: Serial | None = SERIAL, response: str = "OK") -> LogEntry:
    return LogEntry(
        serial=serial,
        at=BEGIN + timedelta(milliseconds=number),
        channel="at",
        command=f"AT+N={number}",
        response=response,
        outcome="ok",
        duration_seconds=0.01,
    )


def make_report(serial: Serial = SERIAL, state: ModemState = ModemState.ONLINE, **values: Any) -> ModemReport:
    defaults: dict[str, Any] = {
        "at": BEGIN,
        "reason": "",
        "slot": SLOT,
        "path": f"/dev/modems/{serial}",
        "interface": f"modem-{serial}",
        "signal": Signal(rssi_dbm=-60.0, rsrp_dbm=-90.0),
    }
    return ModemReport(serial=serial, state=state, **{**defaults, **values})


def rows(url: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """What a person sees in psql."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []


def eventually(check: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until `check()` is true."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
