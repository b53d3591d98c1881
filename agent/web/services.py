"""What the web process is built from; `agent.cli` makes one of these in the process that serves."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass, field, fields
from typing import TypeVar

from agent.core.settings.load import EffectiveRow
from agent.core.settings.schema import AcsSettings, WebSettings
from agent.store.acs_statistics import AcsStatistics
from agent.store.alert_rules import AlertRules
from agent.store.alert_targets import AlertTargets
from agent.store.alerts import Alerts
from agent.store.audit import AuditLog, AuditTrail
from agent.store.connection_requests import ConnectionRequests
from agent.store.credentials import Credentials
from agent.store.database import Database
from agent.store.device_parameters import DeviceParameters
from agent.store.devices import Devices
from agent.store.faults import Faults
from agent.store.files import Files
from agent.store.fleet import Fleet
from agent.store.history import History
from agent.store.listen import Listener
from agent.store.operator_sessions import OperatorSessions
from agent.store.operators import Operators
from agent.store.passwords import Passwords
from agent.store.recordings import Recordings
from agent.store.rows import Scope
from agent.store.saved_filters import SavedFilters
from agent.store.scoping import Scoped
from agent.store.search_parameters import SearchParameters
from agent.store.session_history import SessionHistory
from agent.store.setup_links import SetupLinks
from agent.store.sign_in_attempts import SignInAttempts
from agent.store.signing_keys import SigningKeys
from agent.store.tasks import Tasks
from agent.store.tickets import UsedTickets
from agent.store.tokens import Tokens
from agent.store.waiting import Waiters
from agent.web.events import EventHub

Parts = TypeVar("Parts", "DeviceServices", "Monitoring")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceServices:
    """The store of devices that talk TR-069, as the views use it."""

    settings: AcsSettings
    waiters: Waiters
    """Those of `tasks` and `requests`."""
    devices: Devices
    parameters: DeviceParameters
    tasks: Tasks
    requests: ConnectionRequests
    sessions: SessionHistory
    faults: Faults
    files: Files
    credentials: Credentials
    statistics: AcsStatistics
    search: SearchParameters
    saved_filters: SavedFilters
    recordings: Recordings

    def within(self, scope: Scope) -> DeviceServices:
        """The same, as somebody of this scope may see and change it."""
        return _scoped(self, scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may sign in, and how."""

    operators: Operators
    sessions: OperatorSessions
    links: SetupLinks
    attempts: SignInAttempts
    keys: SigningKeys
    passwords: Passwords
    tickets: UsedTickets


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitoring:
    """What was measured, and what people are told of by themselves."""

    history: History
    alerts: Alerts
    rules: AlertRules
    targets: AlertTargets

    def within(self, scope: Scope) -> Monitoring:
        """The same, as somebody of this scope may see and change it."""
        return _scoped(self, scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The store and the live events, as the views use them."""

    settings: WebSettings
    database: Database
    fleet: Fleet
    acs: DeviceServices
    monitoring: Monitoring
    tokens: Tokens
    access: Access
    audit: AuditLog
    events: EventHub
    listener: Listener
    """Listens to the CHANNELS of events, and calls `events.hear` and `events.resync`."""
    machine_name: str = "localhost"
    """Name that clients may call this server by, besides localhost and settings.host_names."""
    in_force: tuple[EffectiveRow, ...] = ()
    """The settings as they are, secrets hidden, and where each comes from; for people to see."""
    command_slots: threading.BoundedSemaphore = field(init=False)
    """Threads that may wait for an answer or a file at once; the rest serves everything else."""

    def __post_init__(self) -> None:
        slots = max(1, self.settings.threads // 2)
        object.__setattr__(self, "command_slots", threading.BoundedSemaphore(slots))

    def of_request(self, scope: Scope, trail: AuditTrail) -> Services:
        """The same, as one request works with it: what is outside of `scope` is as if it were not there."""
        other = copy.copy(self)
        object.__setattr__(other, "audit", trail)
        if not scope.is_everything:
            object.__setattr__(other, "fleet", self.fleet.within(scope))
            object.__setattr__(other, "acs", self.acs.within(scope))
            object.__setattr__(other, "monitoring", self.monitoring.within(scope))
        return other

    def start(self) -> None:
        """Start the threads behind live events; returns at once, also while the database is away."""
        self.events.start()
        self.listener.start()

    def close(self) -> None:
        """End live streams, then every connection; bounded in time."""
        self.events.close()
        self.listener.stop()
        self.fleet.close()
        self.acs.waiters.close()
        self.monitoring.targets.close()
        self.database.close()


def _scoped(parts: Parts, scope: Scope) -> Parts:
    other = copy.copy(parts)
    for each in fields(parts):
        part = getattr(parts, each.name)
        if isinstance(part, Scoped):
            object.__setattr__(other, each.name, part.within(scope))
    return other
