"""How a time is cut into steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.store.history_steps import POINTS_MOST, Retention, Tier, choose_window

NOW = datetime(2026, 7, 15, 12, 34, 56, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "tier", "step"),
    [
        (1, Tier.SAMPLES, 60),
        (6, Tier.SAMPLES, 120),
        (24, Tier.FINE, 300),
        (7 * 24, Tier.HOUR, 3600),
        (30 * 24, Tier.HOUR, 10_800),
        (365 * 24, Tier.DAY, 172_800),
    ],
)
def test_a_time_up_to_now_has_the_steps_that_people_expect(hours: int, tier: Tier, step: int) -> None:
    window = choose_window(NOW - timedelta(hours=hours), NOW, at=NOW)
    assert (window.tier, window.step_seconds) == (tier, step)


def test_six_hundred_points_show_a_year_day_by_day() -> None:
    window = choose_window(NOW - timedelta(days=365), NOW, at=NOW, points=600)
    assert (window.tier, window.step_seconds, len(window.times)) == (Tier.DAY, 86_400, 366)


def test_what_is_not_kept_so_finely_any_more_is_taken_from_the_next_table() -> None:
    kept = Retention(sample_days=30, fine_days=90, hour_days=1095)
    for days, tier in ((29, Tier.SAMPLES), (31, Tier.FINE), (91, Tier.HOUR), (1096, Tier.DAY)):
        begin = NOW - timedelta(days=days)
        assert choose_window(begin, begin + timedelta(hours=2), at=NOW, retention=kept).tier is tier


@given(
    ago=st.timedeltas(timedelta(0), timedelta(days=3650)),
    span=st.timedeltas(timedelta(seconds=1), timedelta(days=3650)),
    points=st.integers(10, 10_000),
    finest=st.sampled_from(Tier),
)
def test_every_time_is_covered_by_few_enough_steps_that_its_table_has(
    ago: timedelta, span: timedelta, points: int, finest: Tier
) -> None:
    begin = NOW - ago - span
    window = choose_window(begin, begin + span, at=NOW, points=points, finest=finest)
    assert window.begun <= begin < window.begun + timedelta(seconds=window.step_seconds)
    assert window.times[-1] < window.stop.timestamp() <= window.times[-1] + window.step_seconds
    assert len(window.times) <= min(points, POINTS_MOST)
    assert window.tier >= finest
    assert window.tier is Tier.SAMPLES or window.step_seconds % window.tier == 0
    assert window.begun.timestamp() % window.step_seconds == 946_684_800 % window.step_seconds
    assert 0 < window.covered_seconds(window.times[-1]) <= window.step_seconds


def test_no_time_is_refused() -> None:
    for begin, end in ((NOW, NOW), (NOW, NOW - timedelta(hours=1)), (NOW - timedelta(days=5000), NOW)):
        with pytest.raises(ValueError, match=r"after|at most"):
            choose_window(begin, end, at=NOW)
