"""How a list of names is asked in batches, whatever the device bears."""

from __future__ import annotations

import itertools
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.acs.discovery import (
    BATCH_FIRST,
    BATCH_MOST,
    Discovery,
    Origin,
    Profile,
    Span,
    names_to_ask,
)


def check(discovery: Discovery) -> None:
    """What holds between any two messages."""
    spans = discovery.spans
    assert all(span.start < span.stop for span in spans)
    assert all(one.stop <= other.start for one, other in itertools.pairwise(spans))
    assert discovery.done + sum(span.stop - span.start for span in spans) == discovery.total
    assert 0 <= discovery.bad <= discovery.done
    assert discovery.batches >= discovery.asked
    assert Discovery.parse(json.loads(json.dumps(discovery.render()))) == discovery
    if spans:
        asked = discovery.next_span
        assert spans[0].start == asked.start < asked.stop <= spans[0].stop
        assert asked.stop - asked.start <= discovery.batch


def read(discovery: Discovery, bad: frozenset[int], names_most: int) -> tuple[list[int], list[int], Discovery]:
    """The indexes that a device gave and those given up, in their order; `bad` are those it refuses, and it bears
    `names_most` at once."""
    given_, given_up = list[int](), list[int]()
    while discovery.spans:
        check(discovery)
        before, asked = discovery, discovery.next_span
        indexes = range(asked.start, asked.stop)
        if len(indexes) > names_most:
            discovery = discovery.refused()
            assert discovery.batch <= len(indexes) / 2
        elif not bad.intersection(indexes):
            given_ += indexes
            discovery = discovery.answered()
        elif len(indexes) > 1:
            discovery = discovery.bad_name()
        else:
            given_up += indexes
            discovery = discovery.given_up()
        assert discovery.asked == before.asked + 1
        assert discovery.asked <= 10_000
    check(discovery)
    return given_, given_up, discovery


def planned(count: int, profile: Profile | None = None) -> Discovery:
    return Discovery.of("", profile or Profile()).with_listing(()).with_names(count)


@settings(max_examples=80)
@given(
    counts=st.lists(st.integers(0, 400), min_size=1, max_size=3),
    bad=st.frozensets(st.integers(0, 800), max_size=15),
    names_most=st.integers(1, 500),
    batch=st.integers(1, 2000),
    ceiling=st.integers(1, 2000),
)
def test_each_name_is_given_or_given_up_once(
    counts: list[int], bad: frozenset[int], names_most: int, batch: int, ceiling: int
) -> None:
    profile = Profile.parse({"batch": min(batch, ceiling), "ceiling": ceiling})
    discovery = Discovery.of("Device.", profile).with_listing(())
    for count in counts:
        discovery = discovery.with_names(discovery.total + count)
    total = sum(counts)
    given_, given_up, end = read(discovery, bad, names_most)
    assert given_ + given_up == given_ + sorted(bad & set(range(total)))
    assert sorted(given_ + given_up) == list(range(total))
    assert given_ == sorted(given_), "in the order of the list"
    assert (end.finished, end.done, end.bad, end.batches) == (True, total, len(given_up), end.asked)


@given(count=st.integers(1, 3000), bad=st.frozensets(st.integers(0, 2999), max_size=4))
def test_bad_names_cost_a_few_questions_each(count: int, bad: frozenset[int]) -> None:
    _, given_up, end = read(planned(count), bad, names_most=BATCH_MOST)
    batches = math.ceil(count / BATCH_FIRST)
    assert end.asked <= batches + len(given_up) * (2 * math.ceil(math.log2(BATCH_MOST)) + 1)


@given(count=st.integers(1, 1000), names_most=st.integers(1, 1024), batch=st.integers(1, 1024))
def test_what_was_refused_is_not_asked_again(count: int, names_most: int, batch: int) -> None:
    _, _, end = read(planned(count, Profile(batch=batch)), frozenset(), names_most)
    if end.ceiling == BATCH_MOST:
        return  # nothing was refused
    assert end.batch <= end.ceiling <= names_most
    _, _, second = read(planned(count, Profile(batch=end.batch, ceiling=end.ceiling)), frozenset(), names_most)
    assert second.ceiling == end.ceiling, "the next device of the model is not asked for so many at all"


def test_batches_grow_up_to_the_ceiling_only() -> None:
    sizes = []
    discovery = planned(5000)
    while discovery.spans:
        span = discovery.next_span
        sizes.append(span.stop - span.start)
        discovery = discovery.answered()
    assert sizes == [256, 512, 1024, 1024, 1024, 1024, 136]


def test_a_bad_name_is_looked_for_in_halves() -> None:
    discovery = planned(10).bad_name()
    assert discovery.spans == (Span(start=0, stop=5, most=5), Span(start=5, stop=10, most=5))
    assert discovery.bad_name().spans[:2] == (Span(start=0, stop=2, most=2), Span(start=2, stop=5, most=3))
    assert discovery.answered().batch == BATCH_FIRST, "a half that is answered is no reason to ask for more"


def test_the_number_of_batches_is_told_as_far_as_can_be_said() -> None:
    assert [planned(count).batches for count in (0, 1, 256, 257, 1000)] == [0, 1, 1, 2, 4]
    assert planned(1000).answered().batches == 1 + 2
    assert planned(1000).refused().batches == 1 + 8


def test_more_names_go_to_the_end() -> None:
    discovery = planned(3).with_names(3).with_names(5)
    assert discovery.spans == (Span(start=0, stop=3), Span(start=3, stop=5))
    assert discovery.total == 5


def test_it_is_over_when_nothing_is_to_be_listed_or_asked() -> None:
    plan = Discovery.of("Device.", Profile(batch=7, ceiling=9), Origin.TASK).for_task(5, 2)
    assert (plan.listing, plan.batch, plan.ceiling, plan.task, plan.attempts) == (("Device.",), 7, 9, 5, 2)
    assert not plan.finished
    assert plan.with_listing([]).finished
    assert not plan.with_listing([]).with_names(1).finished


class TestProfile:
    @pytest.mark.parametrize(
        "profile", [Profile(), Profile(batch=1, ceiling=2, bad=frozenset({"b", "a"}), walk=True), Profile(batch=1024)]
    )
    def test_it_comes_back_from_the_database(self, profile: Profile) -> None:
        assert Profile.parse(json.loads(json.dumps(profile.render()))) == profile

    def test_what_the_database_does_not_say_has_its_default(self) -> None:
        assert Profile.parse({}) == Profile()
        assert Profile.parse({"batch": 0, "ceiling": -5}) == Profile(batch=1, ceiling=1)
        assert Profile.parse({"batch": 10**9, "ceiling": 10**9}) == Profile(batch=BATCH_MOST, ceiling=BATCH_MOST)


def test_names_are_asked_in_order_once_and_without_the_bad_ones() -> None:
    names = ["Device.B", "Device.", "", "Device.A.2.X", "Device.A.1.X", "Device.A.1.Y", "Device.B", "Device.A."]
    assert names_to_ask(names, Profile()) == ["Device.A.1.X", "Device.A.1.Y", "Device.A.2.X", "Device.B"]
    profile = Profile(bad=frozenset({"Device.A.{i}.X"}))
    assert names_to_ask(names, profile) == ["Device.A.1.Y", "Device.B"]
