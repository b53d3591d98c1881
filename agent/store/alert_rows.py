"""What comes out of the tables about alerts: one typed row per thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from agent.alert.model import AlertState, Event, RuleKind, Severity, SubjectKind


class TargetKind(StrEnum):
    """How a target is told."""

    WEBHOOK = "webhook"
    EMAIL = "email"
    SYSLOG = "syslog"


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """A row of `alerts`."""

    id: int
    rule_id: int | None
    rule: str
    kind: RuleKind
    severity: Severity
    subject_kind: SubjectKind
    subject: str
    host: str | None
    state: AlertState
    summary: str
    value: float | None
    since: datetime
    opened_at: datetime | None
    closed_at: datetime | None
    notified_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    acknowledgement: str | None
    silenced: bool
    """Whether a silence keeps it quiet now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCount:
    """Alerts of one severity that are open."""

    severity: Severity
    alerts: int
    acknowledged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceRow:
    """A row of `alert_silences` that is in force."""

    id: int
    rule_id: int | None
    rule: str | None
    subject_kind: SubjectKind | None
    subject: str | None
    until: datetime
    reason: str
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """A row of `alert_rules`."""

    id: int
    name: str
    kind: RuleKind
    parameters: Mapping[str, float | None]
    duration_seconds: int
    clear_seconds: int
    repeat_seconds: int
    severity: Severity
    enabled: bool
    hosts: Sequence[str] | None
    tags: Sequence[str] | None
    targets: Sequence[int] | None
    """Who is told; None: every target that takes this severity."""
    created_by: str
    created_at: datetime
    updated_at: datetime
    open_alerts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRow:
    """A row of `alert_targets`; `secret` is for who sends, and is shown to nobody."""

    id: int
    name: str
    kind: TargetKind
    settings: Mapping[str, Any]
    secret: str | None
    least_severity: Severity
    enabled: bool
    created_by: str
    created_at: datetime
    updated_at: datetime
    waiting: int
    """Deliveries that were not made yet."""
    last_at: datetime | None
    last_state: DeliveryState | None
    last_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """A row of `alert_deliveries`."""

    id: int
    target_id: int
    alert_id: int | None
    event: Event
    state: DeliveryState
    attempts: int
    reason: str
    created_at: datetime
    finished_at: datetime | None
