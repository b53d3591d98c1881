"""The alert that cannot be written down: the database is away. Told from memory, and written when it is back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from agent.alert.messages import Message
from agent.alert.model import Event, Rule, RuleKind, SubjectKind
from agent.core.clock import Deadline
from agent.store.alert_deliveries import Destination
from agent.store.alert_turns import Turn
from agent.worker.telling import Heard, Letter, Told

logger = logging.getLogger(__name__)

SEND_SECONDS = 15.0
AGAIN_MOST = 20
"""How often a target that does not answer is tried while the database is away."""


class Send(Protocol):
    """Tells a target, see `agent.worker.telling.Senders.send`."""

    def __call__(self, destination: Destination, letters: Sequence[Letter], deadline: Deadline, /) -> Told: ...


class Outage:
    """For the watcher's thread. Remembers the rule and its targets as they were when the database was last there."""

    def __init__(self, send: Send, host: str, beat: Callable[[], None]) -> None:
        self._send = send
        self._host = host
        self._beat = beat
        self._rule: Rule | None = None
        self._destinations: tuple[Destination, ...] = ()
        self._untold: list[Destination] = []
        self._tries = 0
        self._since: datetime | None = None
        self._told = False

    def away(self, at: datetime, reason: str) -> None:
        """The database has just not answered."""
        since = self._since = self._since or at
        rule = self._rule
        if rule is None or at - since < rule.duration:
            return
        if not self._told:
            self._told = True
            self._untold = list(self._destinations)
            self._tries = 0
            extra = {"SINCE": since.isoformat(), "TARGETS": len(self._untold)}
            logger.error("the database is away, and people are told", extra=extra)
        if not self._untold or self._tries >= AGAIN_MOST:
            return
        self._tries += 1
        letter = Letter(id=0, message=self._message(rule, since, at, reason))
        for destination in tuple(self._untold):
            self._beat()
            told = self._send(destination, (letter,), Deadline.after(SEND_SECONDS))
            if told.heard is not Heard.LATER:
                self._untold.remove(destination)

    def back(self, turn: Turn) -> None:
        """It answers: what was told is written down, its end is told, and who is to be told next time is remembered.

        In force with the turn: call `over` then."""
        if self._since is not None and self._told and self._rule is not None:
            turn.record_outage(self._rule, self._summary(), self._since)
        self._rule = next((each for each in turn.rules if each.kind is RuleKind.DATABASE and each.enabled), None)
        self._destinations = turn.fetch_destinations(self._rule) if self._rule is not None else ()

    def over(self) -> None:
        """What `back` has done is in force."""
        self._since, self._told, self._untold = None, False, []

    def _message(self, rule: Rule, since: datetime, at: datetime, reason: str) -> Message:
        return Message(
            event=Event.OPENED,
            at=at,
            alert_id=None,
            rule=rule.name,
            kind=rule.kind,
            severity=rule.severity,
            subject_kind=SubjectKind.FLEET,
            subject="database away",
            host=self._host,
            summary=f"{self._summary()}: {reason}",
            value=None,
            opened_at=since,
            closed_at=None,
        )

    def _summary(self) -> str:
        return f"The worker on {self._host} cannot reach PostgreSQL"
