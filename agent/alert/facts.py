"""What rules are judged by, as the database has it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agent.modem.model import ModemState


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemFacts:
    """A modem."""

    serial: str
    host: str
    slot: str | None
    present: bool
    """Whether it sits in its slot."""
    enabled: bool
    status: ModemState
    reason: str
    registration: str | None
    rsrp_dbm: float | None
    rsrq_db: float | None
    sinr_db: float | None
    wan_address: str | None
    rotated_at: datetime | None
    """When it was last asked for another address, and did connect again; None: never lately."""
    address_before: str | None
    """What it had before that."""
    host_seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """A host that runs the agent."""

    name: str
    seen_at: datetime
    modems: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OverdueDevice:
    """A device that should have informed."""

    device_id: str
    last_inform: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """How the database fares."""

    connections_used: int
    connections_most: int
    transaction_seconds: float
    """How long the oldest transaction has been open."""
