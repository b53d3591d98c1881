"""The JSON of the API about recordings, kept filters and summaries: what comes out."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from agent.web.schemas import View
from agent.web.schemas_devices import PastSession


class Recording(View):
    """Whether a device's sessions are recorded."""

    until: datetime | None = Field(None, description="When it ends by itself; null: it is off.")
    bytes_left: int | None = Field(None, description="It also ends when so much more has been kept.")
    created_by: str | None = None
    created_at: datetime | None = None


class RecordedSession(View):
    """A session of which messages were kept."""

    tag: str = Field(description="Names it.")
    first_at: datetime
    last_at: datetime
    messages: int
    size: int = Field(description="Bytes on the wire, all messages together.")


class RecordedSessions(View):
    """Recorded sessions of a device, newest first."""

    sessions: tuple[RecordedSession, ...]


class RecordedMessage(View):
    """A message as it was kept."""

    id: int
    at: datetime
    sender: str = Field(description="cpe or acs.")
    method: str = Field(description="Such as GetParameterValuesResponse; empty: no message in it.")
    http_status: int | None = Field(description="Of what the ACS answered.")
    body: str = Field(description="Without its secrets; cut when it is long.")
    size: int = Field(description="Bytes on the wire.")


class RecordedMessages(View):
    """Messages of a recorded session, in their order."""

    messages: tuple[RecordedMessage, ...]
    next_after_id: int | None = Field(description="Value of `after_id` for the next page; null on the last one.")


class SessionHistory(View):
    """Past sessions of all devices, newest first."""

    sessions: tuple[PastSession, ...]
    next_cursor: str | None = Field(description="Value of `cursor` for older ones; null when none are left.")


class SavedFilter(View):
    """A filter of the list of devices that somebody keeps."""

    id: int
    owner: str
    name: str
    shared: bool = Field(description="Whether everybody may use it.")
    query: str = Field(description="As behind the ? of the list of devices.")
    created_at: datetime


class SavedFilters(View):
    """Filters, by name."""

    filters: tuple[SavedFilter, ...]


class WanConnection(View):
    """A connection to the provider's side."""

    path: str = Field(description="The object it was read from.")
    name: str
    kind: str = Field(description="PPP or IP.")
    status: str
    up: bool
    address: str | None
    ipv6_address: str | None
    gateway: str | None
    dns_servers: tuple[str, ...]
    username: str | None
    uptime_seconds: int | None


class LanNetwork(View):
    """A network of the subscriber's."""

    path: str
    address: str | None
    subnet_mask: str | None
    dhcp_enabled: bool | None
    dhcp_first: str | None
    dhcp_last: str | None


class WifiNetwork(View):
    """A radio network."""

    path: str
    ssid: str
    ssid_path: str = Field(description="The parameter that the name is set by.")
    enabled: bool | None
    status: str
    up: bool
    band: str | None
    channel: int | None
    channel_is_automatic: bool | None
    standards: str | None
    security: str | None
    bssid: str | None
    clients: int | None


class LanHost(View):
    """A machine in the subscriber's network."""

    name: str
    address: str | None
    mac: str | None
    active: bool | None


class OpticalSide(View):
    """The optical side of a PON device."""

    path: str
    rx_power_dbm: float | None
    tx_power_dbm: float | None


class DslSide(View):
    """The DSL side."""

    path: str
    status: str
    down_kbps: int | None
    up_kbps: int | None
    down_margin_db: float | None
    up_margin_db: float | None
    modulation: str | None


class DeviceSummary(View):
    """What a device tells of itself, whether its data model is TR-098 or TR-181; null is what it does not tell."""

    root: str | None = Field(description="Of its data model.")
    manufacturer: str | None
    model: str | None
    description: str | None
    serial_number: str | None
    hardware_version: str | None
    software_version: str | None
    uptime_seconds: int | None = Field(description="When it last told.")
    memory_total_bytes: int | None
    memory_free_bytes: int | None
    cpu_percent: int | None
    wan: tuple[WanConnection, ...]
    lan: tuple[LanNetwork, ...]
    wifi: tuple[WifiNetwork, ...]
    hosts: tuple[LanHost, ...]
    optical: OpticalSide | None
    dsl: DslSide | None
