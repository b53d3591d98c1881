"""Values in chunks: whatever comes and goes, they are a dictionary, and what is the same is not written."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.acs import chunks as room
from agent.acs.chunks import PART_MOST, SAME_SECONDS, Chunk, Difference, counts_by_top, merge, part_of
from agent.acs.paths import top_of


@dataclass
class Stored:
    """The table, and the dictionary that it should be; each value with the time of its last change."""

    rows: dict[tuple[str, int], Chunk] = field(default_factory=dict)
    wanted: dict[str, tuple[str, float]] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    """Paths whose value has been another one before."""

    def load(self, concerned: Iterable[str]) -> list[Chunk]:
        """The chunks of all tops that these paths concern, as a store gives them: copies, in any order."""
        tops = {top_of(path) for path in concerned}
        roots = tuple(path for path in concerned if path.endswith(".") and path.count(".") < 2)
        found = [row for row in self.rows.values() if row.top in tops or (roots and row.top.startswith(roots))]
        return [copy_of(row) for row in reversed(found)]

    def merge(
        self,
        values: dict[str, str],
        at: float,
        gone: tuple[str, ...] = (),
        expected: dict[str, int] | None = None,
    ) -> Difference:
        before = len(self.wanted)
        for path in gone:
            for name in [n for n in self.wanted if n == path or (path.endswith(".") and n.startswith(path))]:
                del self.wanted[name]
                self.changed.discard(name)
        for path, value in values.items():
            known = self.wanted.get(path)
            if known is None or known[0] != value:
                self.wanted[path] = (value, at)
            if known is not None and known[0] != value:
                self.changed.add(path)
        difference = merge(self.load([*values, *gone]), values, at=at, gone=gone, expected=expected)
        assert difference.count_change == len(self.wanted) - before
        for chunk in difference.written:
            old = self.rows.get(chunk.key)
            assert chunk != old or gone, "what is the same is not written"
            self.rows[chunk.key] = copy_of(chunk)
        for key in difference.removed:
            self.rows.pop(key, None)
        self.check()
        return difference

    def check(self) -> None:
        found: dict[str, tuple[str, float]] = {}
        for chunk in self.rows.values():
            assert 0 <= chunk.part < chunk.parts
            for path, value in chunk.values.items():
                assert path not in found, "one place for each"
                assert top_of(path) == chunk.top
                assert part_of(path, chunk.parts) == chunk.part
                found[path] = (value, chunk.times.get(path, chunk.at))
            assert chunk.times.keys() <= chunk.values.keys()
        assert {path: value for path, (value, _) in found.items()} == {p: v for p, (v, _) in self.wanted.items()}
        for path, (_, at) in found.items():
            late = self.wanted[path][1] - at
            assert late == 0 or (path not in self.changed and 0 <= late <= SAME_SECONDS)
        for top in {chunk.top for chunk in self.rows.values()}:
            group = [chunk for chunk in self.rows.values() if chunk.top == top]
            assert len({chunk.parts for chunk in group}) == 1
            assert any(chunk.values for chunk in group), "nothing is kept of what is gone"


def copy_of(chunk: Chunk) -> Chunk:
    return replace(chunk, values=dict(chunk.values), times=dict(chunk.times))


def things(count: int, *, objects: int = 1_000_000, top: str = "Device.Thing.", value: str = "0") -> dict[str, str]:
    return {f"{top}{number % objects}.P{number // objects}": value for number in range(count)}


_PATHS = st.builds(
    lambda top, thing, name: f"{top}{thing}{name}",
    st.sampled_from(["Device.A.", "Device.B.", "Device.", "Other.A."]),
    st.sampled_from(["", "1.", "2.", "3.", "4.", "5.", "6.", "1.X.", "2.X."]),
    st.sampled_from(["P0", "P1", "P2", "P3"]),
)
_GONE = st.one_of(_PATHS, st.sampled_from(["Device.", "Other.", "Device.A.", "Device.A.1.", "Device.B.2.X.", "None."]))
_STEPS = st.lists(
    st.tuples(
        st.dictionaries(_PATHS, st.sampled_from(["0", "1", "é"]), max_size=14),
        st.lists(_GONE, max_size=3),
        st.sampled_from([1.0, 30.0, SAME_SECONDS, SAME_SECONDS + 1, 3600.0]),
        st.one_of(st.none(), st.dictionaries(st.sampled_from(["Device.A.", "Device.B."]), st.integers(0, 40))),
    ),
    max_size=8,
)


@settings(max_examples=80)
@given(_STEPS, st.sampled_from([{}, {"PARTS_MOST": 1}, {"PART_MOST": 1, "PART_WANTED": 1}, {"PART_MOST": 500}]))
def test_whatever_comes_and_goes_they_are_a_dictionary(
    steps: list[tuple[dict[str, str], list[str], float, dict[str, int] | None]], most: dict[str, int]
) -> None:
    stored = Stored()
    at = 1000.0
    with ExitStack() as stack:
        for name, value in {"PART_WANTED": 3, "PART_MOST": 5, "PARTS_MOST": 6, **most}.items():
            stack.enter_context(patch.object(room, name, value))
        for values, gone, passed, expected in steps:
            at += passed
            stored.merge(values, at, tuple(gone), expected)
            assert stored.merge(values, at, (), expected).written == (), "the same again changes nothing"


def test_a_large_tree_is_divided_once_when_its_size_is_known() -> None:
    stored = Stored()
    values = list(things(2400, objects=600).items())
    for begin in range(0, 2400, 300):
        batch = dict(values[begin : begin + 300])
        difference = stored.merge(batch, 1000.0 + begin / 100, expected={"Device.Thing.": 2400})
        assert {chunk.parts for chunk in difference.written} == {12}
    assert max(len(row.values) for row in stored.rows.values()) < PART_MOST
    assert all(row.times == {} for row in stored.rows.values()), "a discovery comes in batches"


def test_a_growing_one_is_divided_again_and_keeps_its_times() -> None:
    stored = Stored()
    stored.merge(things(400), 1000.0)
    stored.merge({"Device.Thing.7.P0": "changed"}, 2000.0)
    stored.merge(things(1200) | {"Device.Thing.7.P0": "again"}, 3000.0)
    assert {row.parts for row in stored.rows.values()} == {6}
    times = {path: time for row in stored.rows.values() for path, time in row.times.items()}
    assert times["Device.Thing.7.P0"] == 3000.0
    assert times["Device.Thing.800.P0"] == 3000.0
    assert "Device.Thing.1.P0" not in times


def test_values_beside_parts_that_were_never_stored_are_found_again() -> None:
    """Of six parts only those are stored into which something has fallen."""
    stored = Stored()
    expected = {"Device.Thing.": 1200}
    stored.merge(things(3), 1000.0, expected=expected)
    assert 1 <= len(stored.rows) < 6
    stored.merge(things(3, value="1"), 2000.0, expected=expected)
    stored.merge(things(300, value="1"), 3000.0, expected=expected)
    assert len(stored.rows) == 6


def test_a_large_object_is_not_divided_over_and_over() -> None:
    """What is in one object stays together, so dividing would not help."""
    stored = Stored()
    stored.merge(things(PART_MOST + 100, objects=1), 1000.0)
    parts = {row.parts for row in stored.rows.values()}
    for number in range(5):
        difference = stored.merge({"Device.Thing.0.P1": f"v{number}"}, 2000.0 + number)
        assert len(difference.written) == 1
    stored.merge({"Device.Thing.0.Other": "1"}, 3000.0)
    assert {row.parts for row in stored.rows.values()} == parts


def test_a_small_object_beside_a_large_one_does_not_make_more_and_more_parts() -> None:
    stored = Stored()
    stored.merge(things(PART_MOST + 100, objects=1), 1000.0)
    for number in range(40):
        stored.merge({f"Device.Thing.1.P{number}": "0"}, 2000.0 + number)
    assert max(row.parts for row in stored.rows.values()) < 12


def test_what_has_changed_has_its_own_time_at_once() -> None:
    """Who asks for changes since a moment ago must see it."""
    stored = Stored()
    stored.merge(things(3), 1000.0)
    stored.merge({"Device.Thing.1.P0": "1"}, 1001.0)
    (row,) = stored.rows.values()
    assert row.times == {"Device.Thing.1.P0": 1001.0}


def test_what_is_gone_leaves_nothing() -> None:
    stored = Stored()
    stored.merge(things(3) | things(700, top="Device.Other."), 1000.0)
    assert stored.merge({}, 2000.0, ("Device.Other.",)).count_change == -700
    assert [row.top for row in stored.rows.values()] == ["Device.Thing."]
    stored.merge({}, 3000.0, ("Device.",))
    assert stored.rows == {}


def test_nothing_in_nothing_out() -> None:
    assert merge([], {}, at=1.0, gone=("Device.",)) == Difference.none()


@pytest.mark.parametrize("parts", [1, 2, 7, 1000])
def test_what_is_in_one_object_stays_together(parts: int) -> None:
    found = {part_of(f"Device.Hosts.Host.3.P{number}", parts) for number in range(50)}
    assert len(found) == 1
    assert 0 <= found.pop() < parts


def test_names_are_counted_by_top() -> None:
    names = ["Device.A.1", "Device.A.2.X", "Device.B.1", "Device.X"]
    assert counts_by_top(names) == {"Device.A.": 2, "Device.B.": 1, "Device.X": 1}
