"""What comes out of the database: one typed row per thing, its fields named as the columns are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from agent.modem.model import ModemState


class Role(StrEnum):
    """What a token may do; a later role may do everything that an earlier one may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def allows(self, needed: Role) -> bool:
        """Whether this role may do what `needed` may."""
        order = tuple(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What of the fleet somebody may see and change; None: all of it."""

    hosts: tuple[str, ...] | None = None
    """Modems of these hosts."""
    tags: tuple[str, ...] | None = None
    """Devices that have one of these tags."""

    @property
    def is_everything(self) -> bool:
        return self.hosts is None and self.tags is None

    @property
    def parameters(self) -> dict[str, Any]:
        """As statements take it: `scope_hosts` and `scope_tags`."""
        return {
            "scope_hosts": None if self.hosts is None else list(self.hosts),
            "scope_tags": None if self.tags is None else list(self.tags),
        }


EVERYTHING = Scope()


class PrincipalKind(StrEnum):
    """By what somebody is known."""

    TOKEN = "token"  # noqa: S105  # a word, no secret
    """An API token: a program."""
    OPERATOR = "operator"
    """A person who has signed in."""
    LOCAL = "local"
    """A user of the command line on a host."""
    NOBODY = "nobody"
    """Somebody who has not signed in yet."""


class CommandState(StrEnum):
    """Where a row of `modem_commands` stands."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"

    @property
    def finished(self) -> bool:
        return self not in (CommandState.PENDING, CommandState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemRow:
    """A row of `modems`, and the address its host's proxies listen on (`hosts.proxy_listen`)."""

    serial: str
    host: str
    slot: str | None
    path: str | None
    interface: str | None
    proxy_port: int
    uid: int
    fib_table: int
    status: ModemState
    reason: str
    enabled: bool
    apn: str | None
    """None: the default of the settings."""
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
    wan_address: str | None
    wan_address_ipv6: str | None
    proxy_running: bool
    rx_bytes: int | None
    tx_bytes: int | None
    first_seen: datetime
    last_seen: datetime
    changed_at: datetime
    """Last change that a person would care about (signal and counters are none)."""
    reported_at: datetime | None
    """Time of the agent's last report; None before the first."""
    proxy_listen: str | None

    @property
    def proxy_address(self) -> str | None:
        """ADDRESS:TCP-PORT of the modem's proxy; None while its host has not said where it listens."""
        if self.proxy_listen is None:
            return None
        return (
            f"[{self.proxy_listen}]:{self.proxy_port}"
            if ":" in self.proxy_listen
            else f"{self.proxy_listen}:{self.proxy_port}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """A row of `modem_logs`: one command and its answer, or one event."""

    id: int
    at: datetime
    host: str
    serial: str | None
    channel: str
    command: str
    response: str
    outcome: str
    duration_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """A row of `events`; ids become visible in their order, so `id > last` never misses one."""

    id: int
    at: datetime
    kind: str
    """modem_added, modem_changed or modem_removed; of a device: device_added, task_completed, discovery_finished, …"""
    serial: str | None
    """The modem; None for a device."""
    host: str | None
    payload: dict[str, Any]
    """Of a modem: `status`, and for modem_changed `changes`: {column: {"old": …, "new": …}}."""
    device_id: str | None = None
    """The device; None for a modem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    """A row of `modem_commands`."""

    id: int
    serial: str
    kind: str
    argument: dict[str, Any]
    state: CommandState
    result: dict[str, Any]
    error_code: str | None
    error_message: str | None
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRow:
    """A row of `hosts`: one machine that runs the agent."""

    name: str
    version: str | None
    pid: int | None
    proxy_listen: str | None
    started_at: datetime | None
    last_seen: datetime
    modems: int
    """How many modems belong to it."""
    notices: Sequence[str] = ()
    """What its agent wants people to know, one sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRow:
    """The agent of a modem's host."""

    host: str
    silent_seconds: float
    """Since its last heartbeat."""
    holds_lock: bool
    """Whether a session holds the host's lock (`agent.store.presence`): a stopped agent gives it back at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRow:
    """A row of `modem_samples`."""

    serial: str
    at: datetime
    status: ModemState
    access_technology: str | None
    rssi_dbm: float | None
    rsrp_dbm: float | None
    rsrq_db: float | None
    sinr_db: float | None
    rx_bytes: int | None
    tx_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRow:
    """A row of `address_history`: a modem had this address from then until then (None: it still has it)."""

    serial: str
    address: str
    valid_from: datetime
    valid_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """A row of `api_tokens`, without what could be used to log in."""

    name: str
    role: Role
    scope: Scope
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """A row of `audit_log`, and how it went."""

    id: int
    at: datetime
    principal: str
    kind: str
    """By what they were known: `PrincipalKind`."""
    role: str
    address: str | None
    """Where the request came from; None for the command line."""
    action: str
    target: str
    details: dict[str, Any]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    outcome: str
    """`agent.store.audit.Outcome`"""
    code: str
    """Of the error, when there was one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks, and what they may do to what."""

    name: str
    role: Role
    scope: Scope = EVERYTHING
    kind: PrincipalKind = PrincipalKind.TOKEN
