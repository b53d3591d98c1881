"""Rules, alerts and what is seen: the words of this room. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class RuleKind(StrEnum):
    """What a rule looks at."""

    MODEM_OFFLINE = "modem_offline"
    MODEM_QUARANTINED = "modem_quarantined"
    MODEM_OUT_OF_CREDIT = "modem_out_of_credit"
    SIGNAL_BELOW = "signal_below"
    ADDRESS_UNCHANGED = "address_unchanged"
    HOST_SILENT = "host_silent"
    ENDPOINT_BUDGET = "endpoint_budget"
    DEVICE_NOT_SEEN = "device_not_seen"
    FAULT_RATE = "fault_rate"
    QUEUE_DEPTH = "queue_depth"
    DATABASE = "database"


class Severity(StrEnum):
    """How bad it is; a later one is worse."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return tuple(Severity).index(self)

    def reaches(self, least: Severity) -> bool:
        """Whether this is at least as bad as `least`."""
        return self.rank >= least.rank


class AlertState(StrEnum):
    """Where an alert stands."""

    PENDING = "pending"
    """Seen, but not for long enough yet; nobody is told."""
    OPEN = "open"
    CLOSED = "closed"


class SubjectKind(StrEnum):
    """What an alert is about."""

    MODEM = "modem"
    HOST = "host"
    DEVICE = "device"
    FLEET = "fleet"


class Event(StrEnum):
    """What people are told of an alert."""

    OPENED = "opened"
    REMINDER = "reminder"
    CLOSED = "closed"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an alert is about; one of a rule's alerts at a time is about it."""

    kind: SubjectKind
    name: str
    """Serial, host, device id; what of the fleet."""
    host: str | None = field(default=None, compare=False)
    """Where it is, for modems and hosts: who may see them follows from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When an alert opens and closes, and who is told."""

    id: int
    name: str
    kind: RuleKind
    parameters: Mapping[str, float | None]
    """As `agent.alert.parameters` knows them; all are there."""
    duration: timedelta
    """How long something must be seen before the alert opens."""
    clear: timedelta
    """How long it must be gone before the alert closes."""
    repeat: timedelta
    """After which people are reminded; zero: never."""
    severity: Severity
    enabled: bool = True
    hosts: frozenset[str] | None = None
    """Only modems and hosts of these names; None: all."""
    tags: frozenset[str] | None = None
    """Only devices with one of these tags; None: all."""

    def number(self, name: str) -> float:
        """A parameter that is never left out."""
        value = self.parameters[name]
        if value is None:
            raise ValueError(f"{name} of the rule {self.name!r} is not set")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What a rule is about is the case."""

    subject: Subject
    summary: str
    """For people: what, of what, and how much. No secret."""
    value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Everything that one rule sees at a time."""

    sightings: tuple[Sighting, ...] = ()
    unknown: frozenset[Subject] = frozenset()
    """Of which nothing can be said: their alerts stay as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert that is not closed."""

    id: int
    rule_id: int | None
    """None: its rule was deleted."""
    subject: Subject
    state: AlertState
    summary: str
    since: datetime
    """When it was first seen."""
    seen_at: datetime
    """When its summary was last written."""
    cleared_since: datetime | None = None
    """Since when it has not been seen any more."""
    notified_at: datetime | None = None
    """When people were last told."""
    acknowledged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Nobody is told while it lasts; what is left out matches everything."""

    until: datetime
    rule_id: int | None = None
    subject: Subject | None = None

    def covers(self, alert: Alert, at: datetime) -> bool:
        """Whether it keeps `alert` quiet."""
        return (
            at < self.until
            and self.rule_id in (None, alert.rule_id)
            and (self.subject is None or self.subject == alert.subject)
        )
