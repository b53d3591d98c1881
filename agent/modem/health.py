"""When an ailing modem is helped, and how hard: failures in a row, growing waits, escalation, a decaying score.

Pure. A *look* is one pass's verdict; a *step* is one recovery action.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from agent.core.clock import Instant
from agent.modem.actions import RecoveryStep


class Verdict(StrEnum):
    """What one look says of a modem."""

    WELL = "well"
    PENDING = "pending"
    """On its way up; becomes a failure when it takes longer than the grace time."""
    FAILED = "failed"
    BLOCKED = "blocked"
    """Nothing that recovery could mend: unplugged, disabled, no SIM, PIN wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPolicy:
    """How patient and how harsh to be. All times in seconds."""

    failures_before_recovery: int = 3
    grace_seconds: float = 120.0
    minimum_uptime_seconds: float = 120.0
    recovery_wait_seconds: float = 30.0
    recovery_wait_most_seconds: float = 900.0
    quarantine_score: float = 5.0
    score_half_life_seconds: float = 3600.0
    failure_spacing_seconds: float = 5.0
    """Looks that come closer than this (a burst of URCs) count as one."""
    port_power: bool = False
    """Whether this machine can switch the power of a USB port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is remembered of a modem between looks."""

    failures: int = 0
    """Failed looks in a row."""
    failed_at: Instant | None = None
    """When the last of them was counted."""
    pending_since: Instant | None = None
    """Since when the modem has been on its way up without a break."""
    steps: int = 0
    """Recovery steps since the modem was last well."""
    stepped_at: Instant | None = None
    score: float = 0.0
    """Recovery steps, decaying."""
    scored_at: Instant = 0.0
    quarantined: bool = False

    @property
    def ailing(self) -> bool:
        """Whether the modem has failed, or was helped, since it was last seen well."""
        return self.failures > 0 or self.steps > 0


ESCALATION = (
    RecoveryStep.REREGISTER,
    RecoveryStep.RECONNECT,
    RecoveryStep.CYCLE_RADIO,
    RecoveryStep.RESET_USB,
    RecoveryStep.CYCLE_PORT_POWER,
)


def observe_verdict(health: Health, verdict: Verdict, now: Instant, policy: HealthPolicy) -> Health:
    """Return `health` with one more look taken into account."""
    match verdict:
        case Verdict.WELL:
            return replace(health, failures=0, pending_since=None, steps=0, quarantined=False)
        case Verdict.BLOCKED:
            return replace(health, failures=0, pending_since=None)
        case Verdict.PENDING:
            since = now if health.pending_since is None else health.pending_since
            pending = replace(health, pending_since=since)
            return _one_more_failure(pending, now, policy) if now - since >= policy.grace_seconds else pending
        case Verdict.FAILED:
            return _one_more_failure(health, now, policy)


def _one_more_failure(health: Health, now: Instant, policy: HealthPolicy) -> Health:
    if health.failed_at is not None and now - health.failed_at < policy.failure_spacing_seconds:
        return health
    return replace(health, failures=health.failures + 1, failed_at=now)


def decayed_score(health: Health, now: Instant, policy: HealthPolicy) -> float:
    """The score at `now`."""
    return float(health.score * 0.5 ** (max(0.0, now - health.scored_at) / policy.score_half_life_seconds))


def wait_before_step_seconds(health: Health, policy: HealthPolicy) -> float:
    """Least time between the last recovery step and the next one; doubles with every step."""
    if health.steps == 0:
        return policy.minimum_uptime_seconds
    growing = policy.recovery_wait_seconds * 2.0 ** min(health.steps - 1, 32)
    return max(policy.minimum_uptime_seconds, min(growing, policy.recovery_wait_most_seconds))


def due_step(
    health: Health, now: Instant, policy: HealthPolicy, *, mildest: RecoveryStep, connected: bool
) -> tuple[Health, RecoveryStep | None]:
    """The recovery step to take now, if any, and the health that remembers it.

    `mildest`: the first step that can help at all. `connected`: there is a bearer to end.
    """
    if health.failures < policy.failures_before_recovery or health.quarantined:
        return health, None
    if health.stepped_at is not None and now - health.stepped_at < wait_before_step_seconds(health, policy):
        return health, None
    score = decayed_score(health, now, policy)
    if score + 1.0 > policy.quarantine_score:
        return replace(health, quarantined=True, score=score, scored_at=now), None
    step = _step_after(health.steps, policy, mildest=mildest, connected=connected)
    # The grace time starts anew: the step itself takes the modem down.
    stepped = replace(
        health,
        failures=0,
        pending_since=None,
        steps=health.steps + 1,
        stepped_at=now,
        score=score + 1.0,
        scored_at=now,
    )
    return stepped, step


def _step_after(steps: int, policy: HealthPolicy, *, mildest: RecoveryStep, connected: bool) -> RecoveryStep:
    ladder = [
        step
        for step in ESCALATION[ESCALATION.index(mildest) :]
        if (step is not RecoveryStep.RECONNECT or connected)
        and (step is not RecoveryStep.CYCLE_PORT_POWER or policy.port_power)
    ]
    return ladder[min(steps, len(ladder) - 1)]
