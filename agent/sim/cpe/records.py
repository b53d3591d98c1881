"""What an emulated CPE tells of itself and of its sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant: monotonic seconds for waiting, and the time of day (aware) for messages."""

    at: float
    wall: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """An EventStruct of an Inform; `command_key` is for the `M` events."""

    code: str
    command_key: str = ""


class Outcome(Enum):
    """How a session ended; every other than COMPLETED is retried with the standard's back-off."""

    COMPLETED = "completed"
    REFUSED = "refused"
    """An HTTP status that ends the session, 401 after authentication included."""
    OVERLOADED = "overloaded"
    """HTTP 503."""
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed out"
    BROKEN = "broken"
    """The connection ended where an answer was due."""
    ACS_FAULT = "ACS fault"
    NONSENSE = "nonsense"
    """The ACS sent what is no answer here, or no SOAP."""
    CRASHED = "crashed"
    """The CPE's own doing: a mishap that it was told to have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReport:
    """One session as the CPE saw it, in order where there is an order."""

    serial_number: str
    events: tuple[Event, ...]
    retry_count: int
    outcome: Outcome
    detail: str = ""
    statuses: tuple[int, ...] = ()
    """HTTP statuses, those of repeated requests (401, 307) included."""
    rpcs: tuple[str, ...] = ()
    """RPCs that the ACS asked for."""
    requests: tuple[str, ...] = ()
    """The CPE's own requests that were answered: `Inform`, `TransferComplete`, …"""
    faults: tuple[int, ...] = ()
    """Fault codes that the CPE answered with."""
    acs_faults: tuple[int, ...] = ()
    complaints: tuple[str, ...] = ()
    """Where the ACS was not true to TR-069, in words."""
    duplicate_statuses: tuple[int, ...] = ()
    """HTTP statuses of the second session of `Behaviour.duplicate_inform`."""
    connections: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    seconds: float = 0.0
    retry_after_seconds: float | None = None

    @property
    def completed(self) -> bool:
        return self.outcome is Outcome.COMPLETED


@dataclass(frozen=True, slots=True, kw_only=True)
class CpeStatus:
    """A CPE of a fleet."""

    serial_number: str
    device_id: str
    model: str
    software_version: str
    connection_request_url: str
    online: bool
    in_session: bool
    sessions_completed: int
    sessions_failed: int
    rpcs_answered: int
    retry_count: int
    last_outcome: Outcome | None
    last_events: tuple[str, ...]
    complaints: tuple[str, ...]
    """Of the last session that had any."""
    due_seconds: float
    """When the next session is, from now; never negative."""
