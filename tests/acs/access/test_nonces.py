"""Nonces: ours are known by any worker with the key, and nobody else can make them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.acs.access.nonces import RANDOM_BYTES, Age, age_of, make_nonce

KEY = bytes(range(32))
NOW = 1_800_000_000.25
NONCE = make_nonce(KEY, NOW, b"random")


@given(
    key=st.binary(min_size=1, max_size=64),
    made=st.floats(0, 4e9),
    age=st.floats(-10, 1e6),
    random=st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES),
)
def test_the_age_of_ours_is_told_to_the_microsecond(key: bytes, made: float, age: float, random: bytes) -> None:
    found = age_of(key, make_nonce(key, made, random), made + age)
    assert found is not None
    assert found.seconds == pytest.approx(age, abs=1e-5)


def test_one_of_tomorrow_has_a_negative_age() -> None:
    assert age_of(KEY, NONCE, NOW - 86_400) == Age(-86_400.0)
    assert age_of(KEY, NONCE, NOW + 86_400) == Age(86_400.0)


def test_one_made_with_another_key_is_not_ours() -> None:
    assert age_of(b"other", NONCE, NOW) is None
    assert age_of(b"", make_nonce(KEY, NOW, b"random"), NOW) is None


@given(st.integers(0, len(NONCE) - 1), st.sampled_from("0123456789abcdefF \x00é"))
def test_one_in_which_a_letter_was_changed_is_not_ours(position: int, letter: str) -> None:
    forged = NONCE[:position] + letter + NONCE[position + 1 :]
    assert (age_of(KEY, forged, NOW) is None) == (forged != NONCE)


@given(st.text(max_size=80))
def test_garbage_is_not_ours(text: str) -> None:
    assert age_of(KEY, text, NOW) is None


@pytest.mark.parametrize("text", ["", NONCE[:-1], NONCE + "0", NONCE.upper(), "0" * len(NONCE), "é" * len(NONCE)])
def test_almost_ours_is_not_ours(text: str) -> None:
    assert age_of(KEY, text, NOW) is None


def test_the_time_alone_does_not_make_it() -> None:
    assert make_nonce(KEY, NOW, b"random") != make_nonce(KEY, NOW, b"others")
    assert make_nonce(KEY, NOW, b"random").isalnum()
