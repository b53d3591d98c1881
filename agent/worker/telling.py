"""How one message reaches one target: outcomes, and who sends what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from agent.alert.messages import Message
from agent.core.clock import Deadline
from agent.store.alert_deliveries import Destination
from agent.store.alert_rows import TargetKind


class Heard(StrEnum):
    """How a target took a message."""

    TAKEN = "taken"
    LATER = "later"
    """It was not there, or asked to be told later."""
    NEVER = "never"
    """Telling again is useless: an address that is not allowed, or a target that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The outcome of one attempt, with a sentence for people, without secrets."""

    heard: Heard
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message and the id of its delivery, by which a receiver knows one that comes twice; 0: it is in no table."""

    id: int
    message: Message


class Sender(Protocol):
    """Sends to targets of one kind. Raises nothing for what the network or the target does; ends by the deadline."""

    def __call__(self, destination: Destination, letters: Sequence[Letter], deadline: Deadline, /) -> Told: ...


class Senders:
    """One for each kind of target."""

    def __init__(self, *, webhook: Sender, email: Sender, syslog: Sender) -> None:
        self._senders = {TargetKind.WEBHOOK: webhook, TargetKind.EMAIL: email, TargetKind.SYSLOG: syslog}

    def send(self, destination: Destination, letters: Sequence[Letter], deadline: Deadline) -> Told:
        """Tell this target; only mail takes more than one letter at a time."""
        return self._senders[destination.kind](destination, letters, deadline)


def takes_many(kind: TargetKind) -> bool:
    """Whether several messages for one target go together."""
    return kind is TargetKind.EMAIL
