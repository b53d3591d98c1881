"""The JSON of the API: what goes in and comes out, as pydantic models that also make the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field, model_validator

from agent.modem.commands import AT_LIMIT, QmiQuestion
from agent.modem.model import ModemState
from agent.store.rows import CommandState
from agent.web.endpoint import Body, Query


class View(BaseModel):
    """Something the API shows, made from a row of the store."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Modem(View):
    """An LTE modem, its SIM card, its connection and its proxy."""

    serial: str = Field(description="Identity: the IMEI, or what stands in for it. Never changes.")
    status: ModemState
    reason: str = Field(description="Why it is in this state, for people.")
    host: str = Field(description="The machine it is plugged into.")
    slot: str | None = Field(description="USB path.")
    path: str | None = Field(description="Folder of its device links on that machine, while it is there.")
    interface: str | None = Field(description="Network link.")
    enabled: bool = Field(description="Whether it is wanted to be up.")
    apn: str | None = Field(description="Access point name; null: the default of the settings.")
    imei: str | None
    iccid: str | None
    imsi: str | None
    model: str | None
    revision: str | None
    operator: str | None
    access_technology: str | None
    registration: str | None
    rssi_dbm: float | None
    rsrp_dbm: float | None
    rsrq_db: float | None
    sinr_db: float | None
    wan_address: str | None = Field(description="IPv4 address that the carrier gave it.")
    wan_address_ipv6: str | None
    proxy_port: int = Field(description="TCP port of its proxy; stays the same for ever.")
    proxy_address: str | None = Field(description="ADDRESS:TCP-PORT of its proxy.")
    proxy_running: bool
    rx_bytes: int | None
    tx_bytes: int | None
    first_seen: datetime
    last_seen: datetime
    changed_at: datetime = Field(description="Last change besides signal and counters.")
    reported_at: datetime | None

    @computed_field(description="The same as status.")  # type: ignore[prop-decorator]
    @property
    def state(self) -> ModemState:
        return self.status


class ModemPage(View):
    """Some modems, in the order of their serials."""

    modems: tuple[Modem, ...]
    total: int = Field(description="How many match the filters, on all pages.")
    next_after: str | None = Field(description="Value of `after` for the next page; null on the last one.")


class LogEntry(View):
    """One command and its answer, or one event, with secrets removed."""

    id: int
    at: datetime
    host: str
    serial: str | None
    channel: str
    command: str
    response: str
    outcome: str
    duration_seconds: float | None


class LogPage(View):
    """Log entries, newest first."""

    logs: tuple[LogEntry, ...]
    next_before_id: int | None = Field(description="Value of `before_id` for older ones; null when none are left.")


class CommandResult(View):
    """A command that the agent has carried out."""

    id: int
    serial: str
    kind: str
    state: CommandState
    result: dict[str, Any] = Field(
        description="What the modem said: for `at` its lines and final result, for the others named values."
    )
    requested_by: str
    requested_at: datetime
    finished_at: datetime | None


class Event(View):
    """A change of a modem or of a device that a person would care about."""

    id: int
    at: datetime
    kind: str = Field(
        description="Of a modem: modem_added, modem_changed, modem_removed. Of a device: device_added, device_held, "
        "device_accepted, device_refused, device_tagged, device_removed, task_ and its status, discovery_finished, "
        "discovery_failed, fault_deleted and more."
    )
    serial: str | None = Field(description="The modem; null for a device.")
    host: str | None
    device_id: str | None = Field(description="The device; null for a modem.")
    payload: dict[str, Any] = Field(
        description="Of a modem `status`, and for modem_changed `changes`: {column: {old, new}}; of a task `task`, "
        "`kind` and its fault."
    )


class Agents(View):
    """Hosts by whether their agent is alive."""

    fresh: int = Field(description="Hosts whose agent was heard of lately.")
    stale: int


class Health(View):
    """Whether lastmile can do its work."""

    status: Literal["ok", "unhealthy"]
    database: bool = Field(description="Whether PostgreSQL answers.")
    agents: Agents


class ErrorBody(View):
    """What went wrong."""

    code: str = Field(description="For programs; stable.")
    message: str = Field(description="For people.")
    details: dict[str, Any]


class Error(View):
    """Every answer that is not a success."""

    error: ErrorBody


class ModemQuery(Query):
    """Which modems."""

    status: tuple[ModemState, ...] = Field((), description="Only these states; may be given several times.")
    host: str | None = Field(None, description="Only modems of this host.", max_length=253)
    limit: int = Field(500, ge=1, le=1000, description="Most modems on a page.")
    after: str | None = Field(None, description="Serial after which the page begins.", max_length=64)


class LogQuery(Query):
    """Which log entries."""

    before_id: int | None = Field(None, ge=1, le=2**63 - 1, description="Only entries with a lower id.")
    limit: int = Field(100, ge=1, le=1000, description="Most entries on a page.")


class EventQuery(Query):
    """Which events."""

    after: int | None = Field(
        None, ge=0, le=2**63 - 1, description="Id after which to begin; the header Last-Event-ID goes before it."
    )
    serial: str | None = Field(None, description="Only events of this modem.", max_length=64)
    device: str | None = Field(None, description="Only events of this device.", max_length=1000)


class WebSocketQuery(EventQuery):
    """Which events, and by what right where the client can send no header."""

    ticket: str | None = Field(
        None, description="From POST /events/ticket, where no Authorization header can be sent.", max_length=1000
    )


class EventTicket(View):
    """What opens one WebSocket."""

    ticket: str = Field(description="Goes behind /events/ws?ticket=. Good once.")
    expires_in: int = Field(description="Seconds.")


class RestartBody(Body):
    """Nothing but how long to wait; the body may be left out."""

    timeout_seconds: float | None = Field(
        None,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="Longest wait for the result; at most (and by default) web.command_timeout_seconds.",
    )


class CommandBody(RestartBody):
    """What to ask of the modem: exactly one of `at`, `qmi` and `action`."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [key]} for key in ("at", "qmi", "action")]},
    )

    at: str = Field("", max_length=AT_LIMIT, description="One AT command line, such as AT+CSQ.")
    qmi: QmiQuestion | None = Field(None, description="A named QMI question.")
    action: Literal["reconnect", "restart", "plan"] | None = Field(
        None,
        description="reconnect: end the data connection and start a new one; restart: restart the modem; "
        "plan: say what the agent would do next, and do nothing.",
    )

    @model_validator(mode="after")
    def _one_thing(self) -> CommandBody:
        given = [name for name in ("at", "qmi", "action") if name in self.model_fields_set]
        if len(given) != 1 or not getattr(self, given[0]):
            raise ValueError("give exactly one of at, qmi and action")
        return self

    @property
    def request(self) -> tuple[str, dict[str, Any]]:
        """(kind, argument) as `modem_commands` holds them."""
        if self.qmi is not None:
            return "qmi", {"action": self.qmi.value}
        if self.action is not None:
            return self.action, {}
        return "at", {"command": self.at.strip()}
