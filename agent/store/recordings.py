"""Recorded sessions: of which devices the messages are kept, and what was kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row, tuple_row

from agent.store.database import Database
from agent.store.documents import clean_text
from agent.store.statements import statements

CHANNEL = "session_recording"
RECORDING_BYTES_MOST = 32 * 1024 * 1024
"""What is kept of one device before its recording ends by itself."""
LIMIT_MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A recording that is on."""

    until: datetime
    bytes_left: int
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message to keep, without its secrets."""

    sender: str
    """cpe or acs"""
    method: str
    """Such as GetParameterValuesResponse; empty when there is no message in it."""
    http_status: int | None
    body: str
    """Perhaps only its beginning."""
    size: int
    """Bytes of the whole message, as it was on the wire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedMessage:
    """A row of `session_messages`."""

    id: int
    at: datetime
    sender: str
    method: str
    http_status: int | None
    body: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSession:
    """A session of which messages were kept."""

    tag: str
    first_at: datetime
    last_at: datetime
    messages: int
    size: int


class Recordings:
    """All methods raise TransientError when PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("recordings")

    def fetch(self, device_id: str) -> Recording | None:
        """A device's recording; None when it is off, has come to its end, or there is no such device."""
        return self._database.fetch_one(self._sql["fetch"], {"device_id": clean_text(device_id)}, class_row(Recording))

    def start(self, device_id: str, *, until: datetime, by: str, bytes_most: int = RECORDING_BYTES_MOST) -> bool:
        """Keep a device's messages from now until then; False when there is no such device."""
        parameters = {
            "device_id": clean_text(device_id),
            "until": until,
            "bytes": bytes_most,
            "by": clean_text(by),
        }
        with self._database.transaction() as connection:
            known = connection.execute(self._sql["start"], parameters).rowcount > 0
            connection.execute(self._sql["announce"])
        return known

    def stop(self, device_id: str) -> bool:
        """Keep no more of a device's messages; False when nothing was to be kept."""
        with self._database.transaction() as connection:
            was_on = connection.execute(self._sql["stop"], {"device_id": clean_text(device_id)}).rowcount > 0
            connection.execute(self._sql["announce"])
        return was_on

    def fetch_active(self) -> dict[int, datetime]:
        """Of which devices (by their rows) messages are to be kept, and until when."""
        return dict(self._database.fetch(self._sql["fetch_active"], {}, tuple_row))

    def save(self, device: int, tag: str, messages: Sequence[NewMessage]) -> bool:
        """Keep messages of a session; False when the device's recording has come to its end."""
        parameters = {
            "device": device,
            "tag": tag,
            "bytes": sum(len(each.body.encode("utf-8", "replace")) for each in messages),
            "senders": [each.sender for each in messages],
            "methods": [clean_text(each.method) for each in messages],
            "statuses": [each.http_status for each in messages],
            "bodies": [clean_text(each.body) for each in messages],
            "sizes": [each.size for each in messages],
        }
        return self._database.execute(self._sql["save"], parameters) > 0

    def fetch_recorded(self, device_id: str, *, limit: int = 100) -> tuple[RecordedSession, ...]:
        """A device's sessions of which messages were kept, the newest first."""
        parameters = {"device_id": clean_text(device_id), "limit": min(max(1, limit), LIMIT_MOST)}
        return tuple(self._database.fetch(self._sql["fetch_recorded"], parameters, class_row(RecordedSession)))

    def fetch_messages(
        self, device_id: str, tag: str, *, after_id: int = 0, limit: int = 100
    ) -> tuple[RecordedMessage, ...]:
        """The messages of one recorded session in their order, from behind one on."""
        parameters = {
            "device_id": clean_text(device_id),
            "tag": clean_text(tag),
            "after_id": after_id,
            "limit": min(max(1, limit), LIMIT_MOST + 1),
        }
        return tuple(self._database.fetch(self._sql["fetch_messages"], parameters, class_row(RecordedMessage)))

    def delete(self, device_id: str) -> int:
        """Forget what was kept of a device; returns how many messages that were."""
        return self._database.execute(self._sql["delete_of_device"], {"device_id": clean_text(device_id)})
