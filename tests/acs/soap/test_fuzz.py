"""Mutations of real messages are read or refused; nothing else comes of them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.acs.soap.decode import decode
from agent.core.errors import ProtocolError
from tests.acs.soap import fuzz


@pytest.mark.parametrize("seed", range(4))
def test_mutations_are_read_or_refused(seed: int) -> None:
    outcomes = fuzz.run(1500, seed)

    assert sum(outcomes.values()) == 1500
    assert any(outcome.startswith("refused") for outcome in outcomes)
    assert any(not outcome.startswith("refused") for outcome in outcomes)


def test_a_seed_always_gives_the_same_bytes() -> None:
    assert list(fuzz.mutations(50, 7)) == list(fuzz.mutations(50, 7))
    assert list(fuzz.mutations(50, 7)) != list(fuzz.mutations(50, 8))


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_message_with_any_hole_and_any_filling_is_read_or_refused(data: st.DataObject) -> None:
    message = data.draw(st.sampled_from(fuzz.seeds()))
    start = data.draw(st.integers(0, len(message)))
    end = data.draw(st.integers(start, min(len(message), start + 50)))
    filling = data.draw(st.binary(max_size=8) | st.sampled_from(fuzz.SPICES))
    charset = data.draw(st.none() | st.sampled_from(["utf-8", "latin-1", "gbk", "shift_jis", "utf-16"]) | st.text())

    with contextlib.suppress(ProtocolError):
        decode(message[:start] + filling + message[end:], charset=charset)
