"""Who is let in when: events of a slot are collected for a while, and modems start in batches. Pure.

Thirty modems that appear at once (power back after an outage) neither storm the host nor starve each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.core.clock import Instant
from agent.core.identifiers import Slot
from agent.modem.model import Hardware


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionPolicy:
    """Times in seconds."""

    collect_seconds: float = 2.0
    batch_size: int = 5
    batch_interval_seconds: float = 5.0
    incomplete_seconds: float = 10.0
    """A modem of which only the AT port appears is let in after this, so that its USB mode can be repaired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What became of the modems since the last call."""

    admitted: tuple[Hardware, ...] = ()
    changed: tuple[Hardware, ...] = ()
    """Admitted before, now with other ports (the modem has re-enumerated in its slot)."""
    gone: tuple[Slot, ...] = ()
    next_due: Instant | None = None
    """When to call again although nothing happens."""


@dataclass(slots=True)
class Admission:
    """The gate's memory: who waits since when, who is in."""

    policy: AdmissionPolicy
    waiting: dict[Slot, Instant] = field(default_factory=dict)
    """First event of each slot that is not in yet, oldest first."""
    inside: dict[Slot, Hardware] = field(default_factory=dict)
    next_batch_at: Instant = 0.0
    left_in_batch: int = 0

    def update(self, present: Iterable[Hardware], now: Instant) -> Changes:
        """Take the modems that are there at `now`; return who is to be started, told of new ports, and stopped."""
        found = {hardware.slot: hardware for hardware in present}
        gone = tuple(slot for slot in self.inside if slot not in found)
        for slot in gone:
            del self.inside[slot]
        for slot in [slot for slot in self.waiting if slot not in found]:
            del self.waiting[slot]
        changed = tuple(
            hardware for slot, hardware in found.items() if slot in self.inside and self.inside[slot] != hardware
        )
        for hardware in changed:
            self.inside[hardware.slot] = hardware
        for slot in found:
            if slot not in self.inside:
                self.waiting.setdefault(slot, now)
        admitted = self._admit(found, now)
        return Changes(admitted=admitted, changed=changed, gone=gone, next_due=self._next_due(found, now))

    def _ready_at(self, hardware: Hardware) -> Instant | None:
        since = self.waiting[hardware.slot]
        if hardware.complete:
            return since + self.policy.collect_seconds
        if hardware.at_node is not None:
            return since + max(self.policy.collect_seconds, self.policy.incomplete_seconds)
        return None

    def _admit(self, found: dict[Slot, Hardware], now: Instant) -> tuple[Hardware, ...]:
        ready = [found[slot] for slot in self.waiting if (at := self._ready_at(found[slot])) is not None and at <= now]
        admitted: list[Hardware] = []
        for hardware in ready:
            if now >= self.next_batch_at:
                self.next_batch_at = now + self.policy.batch_interval_seconds
                self.left_in_batch = self.policy.batch_size
            if self.left_in_batch == 0:
                break
            self.left_in_batch -= 1
            del self.waiting[hardware.slot]
            self.inside[hardware.slot] = hardware
            admitted.append(hardware)
        return tuple(admitted)

    def _next_due(self, found: dict[Slot, Hardware], now: Instant) -> Instant | None:
        due = [at for slot in self.waiting if (at := self._ready_at(found[slot])) is not None]
        if not due:
            return None
        earliest = min(due)
        return max(earliest, self.next_batch_at) if self.left_in_batch == 0 or earliest <= now else earliest
