"""One database for many tests: making one takes longer than most tests do."""

from __future__ import annotations

from tests.store.farm import rows

_TABLES = (
    *("devices", "device_models", "cwmp_sessions", "cwmp_nonces", "sessions", "files", "cpe_credentials"),
    *("events", "connection_requests", "tasks"),
)


def without_devices(url: str) -> str:
    """The database at `url` with nothing left in it that an ACS has put there."""
    rows(url, "; ".join(f"DELETE FROM {table}" for table in _TABLES))
    return url
