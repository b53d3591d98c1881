"""How a state is coloured. Colour only repeats what the word beside it says. Pure."""

from __future__ import annotations

from typing import Final

GOOD: Final = "good"
BUSY: Final = "busy"
WARN: Final = "warn"
BAD: Final = "bad"
OFF: Final = "off"

_TONES: dict[str, str] = {
    # modems
    "online": GOOD,
    "degraded": WARN,
    "recovering": WARN,
    "quarantined": BAD,
    "sim_blocked": BAD,
    "offline": OFF,
    "detected": BUSY,
    "initialising": BUSY,
    "searching": BUSY,
    "registered": BUSY,
    "connecting": BUSY,
    # devices and their sessions
    "accepted": GOOD,
    "held": WARN,
    "refused": OFF,
    "idle": OFF,
    "active": BUSY,
    "discovering": BUSY,
    "timeout": BAD,
    "taken_over": WARN,
    # tasks, commands, deliveries
    "pending": BUSY,
    "sent": BUSY,
    "running": BUSY,
    "asked": BUSY,
    "completed": GOOD,
    "done": GOOD,
    "ok": GOOD,
    "failed": BAD,
    "error": BAD,
    "expired": WARN,
    "cancelled": OFF,
    # alerts
    "critical": BAD,
    "major": BAD,
    "warning": WARN,
    "info": BUSY,
    "open": BAD,
    "acknowledged": WARN,
    "closed": OFF,
    "silenced": OFF,
}


def tone_of(state: object) -> str:
    """The tone of a state; `off` for one that has none of its own."""
    return _TONES.get(str(state), OFF)
