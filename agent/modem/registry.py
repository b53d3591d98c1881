"""Who is who on this host: which slot holds which serial, and what is remembered of a modem that re-enumerates."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.core.clock import Instant
from agent.core.identifiers import Serial, Slot
from agent.modem.health import Health

MODE_SWITCH_MEMORY_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who holds a serial: a slot, and the thread's own object that looks after it."""

    slot: Slot
    owner: object


@dataclass(slots=True)
class Registry:
    """Shared by the modems' threads; every method is short and takes the lock.

    `follow_seconds`: a modem that comes back within this time after a recovery step of ours keeps its health (the
    step itself took it off the bus); one that comes back later was replugged by a person, and starts afresh.
    """

    follow_seconds: float = 180.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _claims: dict[Serial, Claim] = field(default_factory=dict)
    _health: dict[Serial, Health] = field(default_factory=dict)
    _switched_at: dict[Serial, Instant] = field(default_factory=dict)

    def claim(
        self, serial: Serial, slot: Slot, owner: object, *, home: Slot | None, occupied: Callable[[Slot], bool]
    ) -> Serial:
        """Take `serial` for the modem in `slot`, or the duplicate's name when another modem holds it.

        `home`: where the modem of this serial was last seen; when a modem sits there and this is not that slot, this
        one is the stranger, in whichever order the two are met. A claim whose slot is empty by now is taken over: its
        owner is only still busy with a modem that has moved.
        """
        with self._lock:
            holder = self._claims.get(serial)
            if holder is not None:
                strange = holder.slot != slot and occupied(holder.slot)
            else:
                strange = home is not None and home != slot and occupied(home)
            taken = Serial.for_duplicate(serial, slot) if strange else serial
            self._claims[taken] = Claim(slot=slot, owner=owner)
            return taken

    def holds(self, serial: Serial, owner: object) -> bool:
        """Whether the claim is still this owner's, and was not taken over by its successor."""
        with self._lock:
            claim = self._claims.get(serial)
            return claim is not None and claim.owner is owner

    def release(self, serial: Serial, owner: object) -> None:
        """Give a claim up; a successor's claim is left alone."""
        with self._lock:
            claim = self._claims.get(serial)
            if claim is not None and claim.owner is owner:
                del self._claims[serial]

    def present(self) -> frozenset[Serial]:
        """Serials of the modems that are there."""
        with self._lock:
            return frozenset(self._claims)

    def recall_health(self, serial: Serial, now: Instant) -> Health:
        """Health of a modem that has just come (back)."""
        with self._lock:
            health = self._health.get(serial, Health())
        if health.stepped_at is None or now - health.stepped_at > self.follow_seconds:
            return Health()
        return health

    def remember_health(self, serial: Serial, health: Health) -> None:
        with self._lock:
            self._health[serial] = health

    def remember_switch(self, serial: Serial, now: Instant) -> None:
        """The modem was just told to change its USB mode."""
        with self._lock:
            self._switched_at[serial] = now

    def switched_lately(self, serial: Serial, now: Instant) -> bool:
        with self._lock:
            at = self._switched_at.get(serial)
        return at is not None and now - at < MODE_SWITCH_MEMORY_SECONDS
