"""What the ACS has in its database, as a person sees it in psql."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from agent.acs.access.credentials import make_credential
from agent.acs.tasks import PRIORITIES
from tests.acs_live.waiting import PATIENCE_SECONDS, until
from tests.store.farm import rows

_IGD = "InternetGatewayDevice."
_WLAN = f"{_IGD}LANDevice.1.WLANConfiguration."
EVERY_KIND: dict[str, dict[str, object]] = {
    "getRPCMethods": {},
    "refreshObject": {"path": f"{_IGD}Time."},
    "getParameterValues": {"names": [f"{_WLAN}1.Channel"]},
    "setParameterValues": {"values": [{"name": f"{_WLAN}1.SSID", "value": "x"}]},
    "setParameterAttributes": {"attributes": [{"name": f"{_WLAN}1.SSID", "notification": 1}]},
    "addObject": {"path": _WLAN},
    "deleteObject": {"path": f"{_WLAN}5."},
    "download": {"url": "http://192.0.2.1/firmware.bin"},
    "upload": {"url": "http://192.0.2.1/config"},
    "scheduleInform": {"delay_seconds": 60},
    "reboot": {},
    "factoryReset": {},
}
"""A task of every kind that a TR-098 device can do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """A row of `tasks`."""

    status: str
    attempts: int
    awaits_transfer: bool
    result: dict[str, Any] | None
    fault_code: str | None
    fault_message: str | None
    wait_seconds: float
    """Until it may be sent, from when it was last changed; negative: at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRecord:
    """A row of `faults`."""

    channel: str
    code: str
    message: str
    detail: dict[str, Any]
    retry_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """A row of `sessions`."""

    outcome: str
    reason: str
    messages_exchanged: int
    inform_events: list[str]
    worker: str
    peer: str


class Records:
    """One database."""

    def __init__(self, url: str) -> None:
        self.url = url

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        return rows(self.url, statement, *parameters)

    def one(self, statement: str, *parameters: object) -> Any:
        """The only column of the only row."""
        ((value,),) = self.rows(statement, *parameters)
        return value

    def row_of(self, device_id: str) -> int:
        found: int = self.one("SELECT id FROM devices WHERE device_id = %s", device_id)
        return found

    def is_known(self, device_id: str) -> bool:
        return bool(self.rows("SELECT 1 FROM devices WHERE device_id = %s", device_id))

    def state(self, device_id: str) -> str:
        found: str = self.one("SELECT state FROM devices WHERE device_id = %s", device_id)
        return found

    def is_discovered(self, device_id: str) -> bool:
        """Whether its whole tree has been read, and need not be again."""
        return bool(
            self.one(
                "SELECT discovered_at IS NOT NULL AND NOT discovery_wanted FROM devices WHERE device_id = %s", device_id
            )
        )

    def values(self, device_id: str) -> dict[str, str]:
        """All parameters."""
        return dict(self.rows("SELECT name, value FROM parameters WHERE device_id = %s", device_id))

    def add_task(self, device_id: str, kind: str, arguments: Mapping[str, Any] | None = None) -> int:
        """Ask something of a device."""
        number: int = self.one(
            "INSERT INTO tasks (device_id, kind, arguments, priority, expires_at)"
            " VALUES (%s, %s, %s, %s, now() + interval '1 day') RETURNING id",
            *(self.row_of(device_id), kind, json.dumps(arguments or {}), PRIORITIES[kind]),
        )
        return number

    def add_tasks(self, device_id: str, tasks: Mapping[str, Mapping[str, Any]]) -> None:
        """Ask many things of a device."""
        self.rows(
            "INSERT INTO tasks (device_id, kind, arguments, priority, expires_at)"
            " SELECT %s, kind, arguments::jsonb, priority, now() + interval '1 day'"
            " FROM unnest(%s::text[], %s::text[], %s::smallint[]) AS asked (kind, arguments, priority)",
            *(self.row_of(device_id), list(tasks), [json.dumps(each) for each in tasks.values()]),
            [PRIORITIES[kind] for kind in tasks],
        )

    def task(self, number: int) -> TaskRecord:
        statement = (
            "SELECT status, attempts, awaits_transfer, result, fault_code, fault_message,"
            " extract(epoch FROM greatest(not_before, '2000-01-01') - now())::double precision AS wait_seconds"
            " FROM tasks WHERE id = %s"
        )
        with psycopg.connect(self.url) as connection, connection.cursor(row_factory=class_row(TaskRecord)) as cursor:
            found = cursor.execute(statement.encode(), (number,)).fetchone()
        assert found is not None
        return found

    def retry_now(self, number: int) -> None:
        """Let a task that was put off be due."""
        self.rows("UPDATE tasks SET not_before = '-infinity' WHERE id = %s", number)

    def faults(self, device_id: str) -> list[FaultRecord]:
        statement = "SELECT channel, code, message, detail, retry_at FROM faults WHERE device_id = %s ORDER BY channel"
        with psycopg.connect(self.url) as connection, connection.cursor(row_factory=class_row(FaultRecord)) as cursor:
            return cursor.execute(statement.encode(), (self.row_of(device_id),)).fetchall()

    def sessions(self, device_id: str) -> list[SessionRecord]:
        """Those that are over, the oldest first."""
        statement = (
            "SELECT outcome, reason, messages_exchanged, inform_events, worker, host(peer) AS peer FROM sessions"
            " WHERE device_id = %s ORDER BY id"
        )
        with psycopg.connect(self.url) as connection, connection.cursor(row_factory=class_row(SessionRecord)) as cursor:
            return cursor.execute(statement.encode(), (self.row_of(device_id),)).fetchall()

    def outcomes(self, device_id: str) -> list[str]:
        return [session.outcome for session in self.sessions(device_id)]

    def is_in_session(self, device_id: str) -> bool:
        return bool(self.rows("SELECT 1 FROM cwmp_sessions WHERE device_id = %s", self.row_of(device_id)))

    def silence_session(self, device_id: str) -> None:
        """The session under way has been silent for an hour, as far as the ACS knows."""
        self.rows(
            "UPDATE cwmp_sessions SET touched_at = touched_at - interval '1 hour' WHERE device_id = %s",
            self.row_of(device_id),
        )

    def events(self, device_id: str) -> list[tuple[str, dict[str, Any]]]:
        """The device's line in the stream of events."""
        return [
            (kind, payload)
            for kind, payload in self.rows(
                "SELECT kind, payload FROM events WHERE device_id = %s ORDER BY id", device_id
            )
        ]

    def add_credential(self, username: str, password: str, device_id: str | None = None) -> None:
        made = make_credential(username, "lastmile", password)
        self.rows(
            "INSERT INTO cpe_credentials (username, realm, ha1_md5, ha1_sha256, device_id) VALUES (%s, %s, %s, %s, %s)",
            *(made.username, made.realm, made.ha1_md5, made.ha1_sha256, device_id),
        )

    def request_connection(self, device_id: str) -> int:
        number: int = self.one(
            "INSERT INTO connection_requests (device_id) VALUES (%s) RETURNING id", self.row_of(device_id)
        )
        return number

    def await_task(self, number: int, *statuses: str, seconds: float = PATIENCE_SECONDS) -> TaskRecord:
        """The task as soon as it has one of these statuses."""
        until(lambda: self.task(number).status in statuses, f"task {number} is {' or '.join(statuses)}", seconds)
        return self.task(number)
