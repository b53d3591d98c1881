"""What follows from a fault, and when."""

from __future__ import annotations

import pytest

from agent.acs.reactions import LONGEST_WAIT_SECONDS, Reaction, RetryPolicy, reaction_to


@pytest.mark.parametrize(
    ("code", "reaction"),
    [
        ("9000", Reaction.FAIL),
        ("9001", Reaction.RETRY),
        ("9002", Reaction.LOG),
        ("9003", Reaction.FAIL),
        ("9004", Reaction.WAIT),
        ("9005", Reaction.SKIP),
        ("9006", Reaction.FAIL),
        ("9007", Reaction.FAIL),
        ("9008", Reaction.FAIL),
        ("9010", Reaction.RETRY),
        ("9012", Reaction.FAIL),
        ("9015", Reaction.RETRY),
        ("9019", Reaction.FAIL),
        ("9020", Reaction.RETRY),
        ("9032", Reaction.FAIL),
        ("9800", Reaction.FAIL),
        ("8005", Reaction.RETRY),
        ("8000", Reaction.FAIL),
        ("empty", Reaction.FAIL),
        ("", Reaction.FAIL),
        (" 9001", Reaction.FAIL),
        ("Client", Reaction.FAIL),
    ],
)
def test_codes_mean_what_the_standard_says(code: str, reaction: Reaction) -> None:
    assert reaction_to(code) is reaction


def test_the_wait_doubles_until_it_was_the_last_try() -> None:
    policy = RetryPolicy(retries_most=4, first_seconds=300.0)
    assert [policy.wait_seconds(attempts) for attempts in range(1, 7)] == [300.0, 600.0, 1200.0, 2400.0, None, None]
    assert policy.wait_seconds(0) == 300.0


def test_no_wait_is_longer_than_a_day() -> None:
    policy = RetryPolicy(retries_most=100, first_seconds=300.0)
    assert policy.wait_seconds(100) == LONGEST_WAIT_SECONDS
    assert policy.wait_seconds(101) is None


def test_without_retries_the_first_fault_is_the_last() -> None:
    assert RetryPolicy(retries_most=0).wait_seconds(1) is None
