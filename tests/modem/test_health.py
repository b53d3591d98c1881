"""Recovery waits, grows, forgives and gives up as it should."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from agent.modem.actions import RecoveryStep
from agent.modem.health import Health, HealthPolicy, Verdict, decayed_score, due_step, observe_verdict

POLICY = HealthPolicy()


def fail(health: Health, times: int, start: float, spacing: float = 15.0) -> tuple[Health, float]:
    now = start
    for _ in range(times):
        health = observe_verdict(health, Verdict.FAILED, now, POLICY)
        now += spacing
    return health, now


def test_two_failures_are_borne_and_the_third_starts_recovery() -> None:
    two, now = fail(Health(), 2, 0.0)
    assert due_step(two, now, POLICY, mildest=RecoveryStep.REREGISTER, connected=True)[1] is None
    three, now = fail(two, 1, now)
    assert due_step(three, now, POLICY, mildest=RecoveryStep.REREGISTER, connected=True)[1] is RecoveryStep.REREGISTER


def test_a_good_look_in_between_starts_the_count_anew() -> None:
    health, now = fail(Health(), 2, 0.0)
    health = observe_verdict(health, Verdict.WELL, now, POLICY)
    assert health.failures == 0


def test_a_burst_of_looks_counts_as_one() -> None:
    health, now = fail(Health(), 10, 0.0, spacing=0.1)
    assert health.failures == 1
    assert due_step(health, now, POLICY, mildest=RecoveryStep.REREGISTER, connected=True)[1] is None


def test_being_on_the_way_up_is_no_failure_until_the_grace_time_is_over() -> None:
    health = Health()
    for now in (0.0, 60.0, 119.0):
        health = observe_verdict(health, Verdict.PENDING, now, POLICY)
        assert health.failures == 0
    for now in (120.0, 130.0, 140.0):
        health = observe_verdict(health, Verdict.PENDING, now, POLICY)
    assert health.failures == 3


def test_the_wait_between_steps_grows_and_keeps_the_minimum_uptime() -> None:
    at: list[float] = []
    health, now = Health(), 0.0
    policy = replace(POLICY, quarantine_score=1000.0)
    while len(at) < 7:
        health = observe_verdict(health, Verdict.FAILED, now, policy)
        health, step = due_step(health, now, policy, mildest=RecoveryStep.REREGISTER, connected=True)
        if step is not None:
            at.append(now)
        now += 5.0
    waits = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert waits == sorted(waits)
    assert waits[0] >= policy.minimum_uptime_seconds
    assert waits[-1] > 2 * waits[0]


def test_a_mute_port_is_helped_over_the_bus_and_port_power_only_where_there_is_a_switch() -> None:
    health, now = fail(Health(), 3, 0.0)
    stepped, step = due_step(health, now, POLICY, mildest=RecoveryStep.RESET_USB, connected=False)
    assert step is RecoveryStep.RESET_USB
    again, now = fail(stepped, 3, now + 1000.0)
    assert due_step(again, now, POLICY, mildest=RecoveryStep.RESET_USB, connected=False)[1] is RecoveryStep.RESET_USB
    powered = replace(POLICY, port_power=True)
    step = due_step(again, now, powered, mildest=RecoveryStep.RESET_USB, connected=False)[1]
    assert step is RecoveryStep.CYCLE_PORT_POWER


def test_there_is_no_reconnecting_without_a_connection() -> None:
    health, now = fail(Health(), 3, 0.0)
    stepped, _ = due_step(health, now, POLICY, mildest=RecoveryStep.REREGISTER, connected=False)
    again, now = fail(stepped, 3, now + 1000.0)
    assert due_step(again, now, POLICY, mildest=RecoveryStep.REREGISTER, connected=False)[1] is RecoveryStep.CYCLE_RADIO


def test_the_score_halves_with_time() -> None:
    health = Health(score=4.0, scored_at=0.0)
    assert decayed_score(health, POLICY.score_half_life_seconds, POLICY) == pytest.approx(2.0)


def test_nothing_is_recovered_that_recovery_cannot_mend() -> None:
    health, now = fail(Health(), 2, 0.0)
    health = observe_verdict(health, Verdict.BLOCKED, now, POLICY)
    assert health.failures == 0
