"""Two modems with one identity are kept apart, always the same way."""

from __future__ import annotations

import pytest

from agent.core.identifiers import Serial, Slot
from agent.modem.health import Health
from agent.modem.registry import Registry

SERIAL = Serial("867584012345678")
HERE, THERE = Slot("1-1"), Slot("1-2.4")


def everywhere(_: Slot) -> bool:
    return True


def nowhere(_: Slot) -> bool:
    return False


def test_the_second_of_two_clones_gets_a_name_with_its_slot() -> None:
    registry = Registry()
    assert registry.claim(SERIAL, HERE, "a", home=None, occupied=everywhere) == SERIAL
    assert registry.claim(SERIAL, THERE, "b", home=HERE, occupied=everywhere) == f"{SERIAL}_1-2.4"


def test_the_stranger_is_the_same_one_when_the_clones_are_met_the_other_way_round() -> None:
    registry = Registry()
    assert registry.claim(SERIAL, THERE, "b", home=HERE, occupied=everywhere) == f"{SERIAL}_1-2.4"
    assert registry.claim(SERIAL, HERE, "a", home=HERE, occupied=everywhere) == SERIAL


def test_a_modem_moved_to_another_slot_keeps_its_identity() -> None:
    registry = Registry()
    registry.claim(SERIAL, HERE, "a", home=None, occupied=nowhere)
    registry.release(SERIAL, "a")
    assert registry.claim(SERIAL, THERE, "b", home=HERE, occupied=nowhere) == SERIAL
    assert registry.present() == {SERIAL}


@pytest.mark.parametrize("slot", [HERE, THERE])
def test_a_modem_that_is_back_before_its_old_thread_has_ended_is_taken_over_and_stays_so(slot: Slot) -> None:
    registry = Registry()
    registry.claim(SERIAL, HERE, "old", home=None, occupied=nowhere)
    assert registry.claim(SERIAL, slot, "new", home=HERE, occupied=lambda each: each == slot) == SERIAL
    assert not registry.holds(SERIAL, "old")
    registry.release(SERIAL, "old")
    assert registry.holds(SERIAL, "new")


def test_health_follows_a_modem_that_our_own_reset_took_off_the_bus_and_no_other() -> None:
    registry = Registry(follow_seconds=180.0)
    registry.remember_health(SERIAL, Health(steps=3, stepped_at=1000.0))
    assert registry.recall_health(SERIAL, 1030.0).steps == 3
    assert registry.recall_health(SERIAL, 5000.0) == Health()
