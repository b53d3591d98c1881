"""What comes out of the database of devices that talk TR-069: one typed row per thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from agent.acs.tasks import TaskStatus


class DeviceState(StrEnum):
    """Whether a device may talk to us."""

    ACCEPTED = "accepted"
    HELD = "held"
    """New: an operator must accept it first."""
    REFUSED = "refused"


class SessionStatus(StrEnum):
    """What a device's session is at."""

    IDLE = "idle"
    """There is none."""
    ACTIVE = "active"
    DISCOVERING = "discovering"
    """A tree of parameters is being read, or will be at once."""


class RequestState(StrEnum):
    """Where a connection request stands."""

    PENDING = "pending"
    ASKED = "asked"
    """The device was asked, and has not begun its session yet."""
    DONE = "done"
    """It has begun a session."""
    FAILED = "failed"

    @property
    def finished(self) -> bool:
        return self in (RequestState.DONE, RequestState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """A session under way; idle, and all else empty, when there is none."""

    status: SessionStatus
    batch: int
    """Batches of values that were asked."""
    batches: int
    """How many there will be, as far as can be said; 0 before the names are known."""
    parameters: int
    """Values that came in this session."""
    started_at: datetime | None
    touched_at: datetime | None
    """Last message."""
    events: Sequence[str]
    messages: int
    worker: str | None
    peer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRow:
    """A device and what is going on with it."""

    device_id: str
    manufacturer: str
    oui: str
    product_class: str
    serial_number: str
    state: DeviceState
    online: bool
    """Its last Inform is not overdue, or it has a session now."""
    ip_address: str | None
    connection_request_url: str | None
    software_version: str | None
    hardware_version: str | None
    inform_interval_seconds: int | None
    first_seen: datetime
    last_inform: datetime | None
    last_events: Sequence[str]
    parameter_count: int
    discovered_at: datetime | None
    """When its tree was last read as a whole."""
    tags: Sequence[str]
    faults: int
    pending_tasks: int
    session: SessionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePage:
    """Some of the devices that match."""

    devices: tuple[DeviceRow, ...]
    total: int
    """How many match, on all pages."""
    next_cursor: tuple[str, str] | None
    """Where the next page begins; None on the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterRow:
    """A stored value of a device."""

    name: str
    value: str
    type: str | None
    """Without prefix, such as `string`; None while unknown."""
    writable: bool | None
    last_updated: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterPage:
    """Some of a device's values, in the order of their paths; instance numbers by their value."""

    parameters: tuple[ParameterRow, ...]
    total: int
    """How many match, on all pages."""
    next_after: str | None
    """The path after which the next page begins; None on the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTask:
    """A row of `tasks`. Its arguments may hold secrets: see `agent.acs.tasks.redact_arguments`."""

    id: int
    device_id: str
    kind: str
    arguments: dict[str, Any]
    priority: int
    status: TaskStatus
    created_by: str
    created_at: datetime
    not_before: datetime | None
    """It waits until then after a fault; None: it may be sent now."""
    expires_at: datetime
    attempts: int
    sent_at: datetime | None
    awaits_transfer: bool
    completed_at: datetime | None
    result: dict[str, Any] | None
    fault_code: str | None
    fault_message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """A row of `connection_requests`."""

    id: int
    device_id: str
    state: RequestState
    reason: str
    """Why it failed, or what the last try came to."""
    requested_by: str
    requested_at: datetime
    attempts: int
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """A row of `faults`: open."""

    id: int
    device_id: str
    channel: str
    """What it blocks: `task_ID` or `discovery`."""
    code: str
    message: str
    detail: dict[str, Any]
    at: datetime
    retries: int
    retry_at: datetime | None
    """None: not by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """A session under way, and whose it is."""

    device_id: str
    serial_number: str
    session: SessionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class PastSession:
    """A row of `sessions`."""

    id: int
    device_id: str
    started_at: datetime
    ended_at: datetime
    inform_events: Sequence[str]
    messages_exchanged: int
    outcome: str
    """completed, timeout, taken_over or failed"""
    reason: str
    parameters: int
    worker: str
    peer: str | None
    tag: str = ""
    """What its recorded messages have in common."""
    recorded: bool = False
    """Whether there are such."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCounts:
    """Sessions under way, in numbers."""

    active: int
    """All, those that discover among them."""
    discovering: int
    active_workers: int
    """Workers that have one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedCounts:
    """Sessions that have ended in some time, in numbers."""

    by_outcome: Mapping[str, int]
    mean_duration_seconds: float | None
    """Of those that were completed; None when there are none."""

    @property
    def completed(self) -> int:
        return self.by_outcome.get("completed", 0)

    @property
    def total(self) -> int:
        return sum(self.by_outcome.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCounts:
    """Devices in numbers."""

    total: int
    online: int
    discovered: int
    """Whose tree was read as a whole at least once."""
    by_state: Mapping[tuple[DeviceState, bool], int]
    """By state and whether online."""

    def in_state(self, state: DeviceState) -> int:
        return sum(count for (each, _), count in self.by_state.items() if each is state)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """A row of `files`."""

    name: str
    kind: str
    """The first digit of TR-069's FileType for what devices download; `upload` for what one has sent."""
    oui: str
    product_class: str
    version: str
    size: int
    sha256: str
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CpeCredential:
    """A row of `cpe_credentials`, without what could be used to log in."""

    username: str
    realm: str
    device_id: str | None
    """The only device that may use it; None: any."""
    created_at: datetime
