"""What the web process is built from; `agent.cli` makes one of these in the process that serves."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from agent.core.settings.schema import WebSettings
from agent.store.audit import AuditLog
from agent.store.database import Database
from agent.store.fleet import Fleet
from agent.store.listen import Listener
from agent.store.tokens import Tokens
from agent.web.events import EventHub


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The store and the live events, as the views use them."""

    settings: WebSettings
    database: Database
    fleet: Fleet
    tokens: Tokens
    audit: AuditLog
    events: EventHub
    listener: Listener
    """Listens to `modem_change` and calls `events.wake` and `events.resync`."""
    machine_name: str = "localhost"
    """Name that clients may call this server by, besides localhost and settings.host_names."""
    command_slots: threading.BoundedSemaphore = field(init=False)
    """Threads that may wait for an agent's answer at once; the rest serves everything else."""

    def __post_init__(self) -> None:
        spare = max(1, self.settings.threads // 8)
        slots = max(1, self.settings.threads - self.settings.event_streams - spare)
        object.__setattr__(self, "command_slots", threading.BoundedSemaphore(slots))

    def start(self) -> None:
        """Start the threads behind live events; returns at once, also while the database is away."""
        self.events.start()
        self.listener.start()

    def close(self) -> None:
        """End live streams, then every connection; bounded in time."""
        self.events.close()
        self.listener.stop()
        self.fleet.close()
        self.database.close()
