"""Loops that beat, and loops that have stopped."""

from __future__ import annotations

from agent.core.clock import now
from agent.core.heartbeat import Heartbeats


def test_a_loop_is_silent_until_it_beats_and_again_when_it_stops() -> None:
    hearts = Heartbeats(silence_seconds=10)
    assert hearts.silent(("bus", "post")) == ("bus", "post")
    hearts.beat("bus")
    beaten = now()
    assert hearts.silent(("bus", "post")) == ("post",)
    assert hearts.silent(("bus",), at=beaten + 9) == ()
    assert hearts.silent(("bus",), at=beaten + 11) == ("bus",)
    hearts.beat("bus")
    hearts.forget("bus")
    assert hearts.silent(("bus",)) == ("bus",)


def test_only_those_that_are_asked_for_count() -> None:
    hearts = Heartbeats(silence_seconds=10)
    hearts.beat("bus")
    assert hearts.silent(()) == ()
    assert hearts.silent(("bus",)) == ()
