"""What to do about a CPE's fault (TR-069 A6 §A.5.1), and how long to wait before the next try. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

FIRST_WAIT_SECONDS = 300.0
LONGEST_WAIT_SECONDS = 86_400.0


class Reaction(StrEnum):
    """What a fault means for what was asked."""

    RETRY = "retry"
    """The device may say yes later: back off."""
    WAIT = "wait"
    """It has no room for so much now: ask for less, or later."""
    SKIP = "skip"
    """A name is not there: go on without it."""
    FAIL = "fail"
    """Asking again unchanged is useless: somebody must change what is asked."""
    LOG = "log"
    """Its own error: note it, and go on with the rest."""


_REACTIONS = {
    "9001": Reaction.RETRY,
    "9002": Reaction.LOG,
    "9003": Reaction.FAIL,
    "9004": Reaction.WAIT,
    "9005": Reaction.SKIP,
    "9010": Reaction.RETRY,
    "9011": Reaction.RETRY,
    "9013": Reaction.FAIL,
    "9014": Reaction.RETRY,
    "9015": Reaction.RETRY,
    "9016": Reaction.RETRY,
    "9017": Reaction.RETRY,
    "9018": Reaction.RETRY,
    "9020": Reaction.RETRY,
    "8005": Reaction.RETRY,
}


def reaction_to(code: str) -> Reaction:
    """The reaction to a fault code; unknown and vendor codes are failures."""
    return _REACTIONS.get(code, Reaction.FAIL)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and when something is tried again; the wait doubles each time."""

    retries_most: int = 5
    first_seconds: float = FIRST_WAIT_SECONDS
    most_seconds: float = LONGEST_WAIT_SECONDS

    def wait_seconds(self, attempts: int) -> float | None:
        """The wait after the attempt number `attempts` (from 1) has failed; None when that was the last one."""
        if attempts > self.retries_most:
            return None
        return float(min(self.most_seconds, self.first_seconds * 2 ** (max(1, attempts) - 1)))
