"""Nonces that need no memory to be checked."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.acs.authentication.nonces import AHEAD_MICROSECONDS, RANDOM_BYTES, NonceFault, check_nonce, make_nonce
from agent.core.errors import InvariantError

KEYS = st.binary(min_size=16, max_size=64)
TIMES = st.integers(min_value=0, max_value=2**62)
RANDOM = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(key=KEYS, at=TIMES, random=RANDOM, age=st.integers(min_value=-AHEAD_MICROSECONDS, max_value=300_000_000))
def test_a_nonce_of_ours_is_good_for_its_lifetime(key: bytes, at: int, random: bytes, age: int) -> None:
    nonce = make_nonce(key, at, random)

    assert check_nonce(nonce, key, now_microseconds=at + age, lifetime_seconds=300) == at
    assert re.fullmatch(r"[A-Za-z0-9_-]{40}", nonce)


@given(key=KEYS, at=TIMES, random=RANDOM, over=st.integers(min_value=1, max_value=2**62))
def test_it_is_stale_after_that_and_when_it_is_from_the_future(key: bytes, at: int, random: bytes, over: int) -> None:
    nonce = make_nonce(key, at, random)

    for now in (at + 300_000_000 + over, at - AHEAD_MICROSECONDS - over):
        assert check_nonce(nonce, key, now_microseconds=now, lifetime_seconds=300) is NonceFault.STALE


@given(key=KEYS, at=TIMES, random=RANDOM, place=st.integers(min_value=0, max_value=39), char=st.sampled_from(ALPHABET))
def test_no_character_of_it_can_be_changed(key: bytes, at: int, random: bytes, place: int, char: str) -> None:
    nonce = make_nonce(key, at, random)
    changed = nonce[:place] + char + nonce[place + 1 :]

    verdict = check_nonce(changed, key, now_microseconds=at, lifetime_seconds=300)

    assert verdict == (at if changed == nonce else NonceFault.BAD)


@given(text=st.text(max_size=60) | st.text(ALPHABET, min_size=40, max_size=40), key=KEYS)
def test_what_was_not_made_here_is_bad(text: str, key: bytes) -> None:
    assert check_nonce(text, key, now_microseconds=0, lifetime_seconds=300) is NonceFault.BAD


def test_another_key_does_not_know_it() -> None:
    nonce = make_nonce(b"one key", 5, b"1234567")

    assert check_nonce(nonce, b"another", now_microseconds=5, lifetime_seconds=300) is NonceFault.BAD


@given(st.lists(st.tuples(TIMES, RANDOM), unique=True, max_size=20))
def test_another_time_or_other_randomness_make_another_nonce(made: list[tuple[int, bytes]]) -> None:
    assert len({make_nonce(b"key", at, random) for at, random in made}) == len(made)


def test_it_is_not_made_without_randomness() -> None:
    with pytest.raises(InvariantError):
        make_nonce(b"key", 5, b"")
