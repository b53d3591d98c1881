"""The JSON of the API about devices that talk TR-069: what comes out. What goes in is in `device_requests`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from agent.acs.tasks import TaskStatus
from agent.store.device_rows import DeviceState, RequestState, SessionStatus
from agent.web.schemas import View

TAG_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63}$"
Outcome = Literal["completed", "timeout", "taken_over", "failed"]


class Session(View):
    """A session under way; `idle`, and all else empty, when there is none."""

    status: SessionStatus = Field(description="discovering: a tree of parameters is being read.")
    batch: int = Field(description="Batches of values that were asked.")
    batches: int = Field(description="How many there will be, as far as can be said; 0 before the names are known.")
    parameters: int = Field(description="Values that came in this session.")
    started_at: datetime | None
    touched_at: datetime | None = Field(description="Last message.")
    events: tuple[str, ...] = Field(description="Event codes of its Inform.")
    messages: int
    worker: str | None
    peer: str | None = Field(description="Address it comes from.")


class Device(View):
    """A CPE, and what is going on with it."""

    device_id: str = Field(description="Identity: OUI-ProductClass-SerialNumber, each part percent-encoded.")
    manufacturer: str
    oui: str
    product_class: str
    serial_number: str
    state: DeviceState = Field(description="held: an operator must accept it first.")
    online: bool = Field(description="Its last Inform is not overdue (2.5 intervals, or an hour), or it has a session.")
    ip_address: str | None
    connection_request_url: str | None
    software_version: str | None
    hardware_version: str | None
    inform_interval_seconds: int | None
    first_seen: datetime
    last_inform: datetime | None
    last_events: tuple[str, ...] = Field(description="Event codes of the last Inform.")
    parameter_count: int
    discovered_at: datetime | None = Field(description="When its tree was last read as a whole.")
    tags: tuple[str, ...]
    faults: int = Field(description="Open ones.")
    pending_tasks: int
    session: Session


class ListedDevice(Device):
    """A device in a list."""

    columns: dict[str, str] = Field(
        {}, description="Stored values that were asked for, by path; none it does not have."
    )


class DevicePage(View):
    """Some devices."""

    devices: tuple[ListedDevice | dict[str, Any], ...] = Field(
        description="With `fields` in the query each has these and no others."
    )
    total: int = Field(description="How many match the filters, on all pages.")
    next_cursor: str | None = Field(description="Value of `cursor` for the next page; null on the last one.")


class Parameter(View):
    """A value as it was last told by the device, or taken by it."""

    name: str
    value: str
    type: str | None = Field(description="Such as string or unsignedInt; null while unknown.")
    writable: bool | None = Field(description="Null while unknown.")
    last_updated: datetime


class ParameterList(View):
    """Some parameters, in the order of their paths."""

    parameters: tuple[Parameter, ...]
    total: int = Field(description="How many match, on all pages.")
    next_cursor: str | None = Field(description="Value of `cursor` for the next page; null on the last one.")


class ConnectionRequest(View):
    """Somebody asked that the device begin a session now."""

    id: int
    device_id: str
    state: RequestState = Field(description="done: it has begun one; asked: it was asked, and has not yet.")
    reason: str = Field(description="Why it failed, or what the last try came to.")
    requested_by: str
    requested_at: datetime
    attempts: int
    finished_at: datetime | None


class Task(View):
    """One request for one device."""

    id: int
    device_id: str
    kind: str
    arguments: dict[str, Any] = Field(description="With secrets hidden.")
    priority: int = Field(description="Lower goes first.")
    status: TaskStatus
    created_by: str
    created_at: datetime
    not_before: datetime | None = Field(description="After a fault it waits until then.")
    expires_at: datetime
    attempts: int
    sent_at: datetime | None
    awaits_transfer: bool = Field(description="The device has begun a transfer and will tell how it ended.")
    completed_at: datetime | None = Field(description="When it was over, however it ended.")
    result: dict[str, Any] | None = Field(description="What the device answered.")
    fault_code: str | None
    fault_message: str | None


class OrderedTask(Task):
    """A task that was just made, and how its device is being woken for it."""

    connection_request: ConnectionRequest | None


class TaskPage(View):
    """Tasks, newest first."""

    tasks: tuple[Task, ...]
    next_before_id: int | None = Field(description="Value of `before_id` for older ones; null when none are left.")


class Tags(View):
    """Every tag of a device, sorted."""

    tags: tuple[str, ...]


class Fault(View):
    """What a device has refused, as long as it stops something."""

    id: int
    device_id: str
    channel: str = Field(description="What it stops: task_ID or discovery.")
    code: str
    message: str
    detail: dict[str, Any]
    at: datetime
    retries: int
    retry_at: datetime | None = Field(description="Null: it is not tried again by itself.")


class FaultPage(View):
    """Faults, newest first."""

    faults: tuple[Fault, ...]
    next_before_id: int | None = Field(description="Value of `before_id` for older ones; null when none are left.")


class OpenSession(View):
    """A session under way, and whose it is."""

    device_id: str
    serial_number: str
    session: Session


class OpenSessions(View):
    """Sessions under way, the oldest first."""

    sessions: tuple[OpenSession, ...]
    total: int = Field(description="How many there are of all devices; those that match may be more than are shown.")


class PastSession(View):
    """A session that is over."""

    id: int
    device_id: str
    started_at: datetime
    ended_at: datetime
    inform_events: tuple[str, ...]
    messages_exchanged: int
    outcome: Outcome
    reason: str
    parameters: int = Field(description="Values that came in it.")
    worker: str
    peer: str | None
    tag: str = Field(description="Names the session among the recorded ones.")
    recorded: bool = Field(description="Whether messages of it were kept.")


class DeviceSessions(View):
    """The sessions of the devices of one serial number."""

    serial_number: str
    status: SessionStatus
    sessions: tuple[OpenSession, ...] = Field(description="Under way.")
    history: tuple[PastSession, ...] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Value of `cursor` for older ones; null when none are left.")


class SessionStatistics(View):
    """Sessions and discoveries in numbers."""

    active: int = Field(description="Under way, those that discover among them.")
    discovering: int
    completed_today: int = Field(description="Since midnight, UTC.")
    mean_duration_seconds: float | None = Field(description="Of those completed today.")
    active_workers: int = Field(description="Workers that have a session under way.")
    by_outcome: dict[str, int] = Field(description="Ended today.")
    total_devices: int
    completed_discoveries: int = Field(description="Devices whose tree was read as a whole.")


class DeviceStatistics(View):
    """Devices in numbers."""

    total: int
    online: int
    held: int
    refused: int


class Statistics(View):
    """Everything of TR-069 in numbers."""

    devices: DeviceStatistics
    tasks: dict[TaskStatus, int]
    faults: int
    sessions_active: int
    sessions_today: int = Field(description="Ended since midnight, UTC.")


class File(View):
    """A file for CPEs, or from one."""

    name: str
    kind: str = Field(description="1 firmware, 2 web content, 3 configuration, …; upload: a device has sent it.")
    oui: str = Field(description="Of the devices that it is for; empty: any.")
    product_class: str
    version: str
    size: int
    sha256: str
    created_by: str
    created_at: datetime


class FilePage(View):
    """Files, in the order of their names."""

    files: tuple[File, ...]
    next_after: str | None = Field(description="Value of `after` for the next page; null on the last one.")


class Credential(View):
    """What a CPE may log in with; never the password."""

    username: str
    realm: str
    device_id: str | None = Field(description="The only device that may use it; null: any.")
    created_at: datetime


class Credentials(View):
    """Every credential, by user name."""

    credentials: tuple[Credential, ...]
