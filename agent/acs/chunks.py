"""How a device's values are kept: a few chunks of {path: value}, told apart by the first two words of the path, a large
one in parts. Comparing is done here, so that only what has changed is written. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self
from zlib import crc32

from agent.acs.paths import parent_of, top_of

PART_WANTED = 200
"""Values in a part when a chunk is divided."""
PART_MOST = 500
"""A part with more values than this has its chunk divided anew, unless they are all in one object."""
PARTS_MOST = 1000

SAME_SECONDS = 60.0
"""A new value that comes so soon after its chunk was made is taken for as old: a discovery comes in batches."""


@dataclass(slots=True, kw_only=True)
class Chunk:
    """Some of a device's values: those whose path begins with `top` and falls into part `part` of `parts`."""

    top: str
    part: int
    parts: int
    at: float
    """When it was made; a value that is newer has its time in `times`. Seconds since the epoch."""
    values: dict[str, str] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int]:
        return self.top, self.part


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What must be written."""

    written: tuple[Chunk, ...]
    removed: tuple[tuple[str, int], ...]
    """Keys of chunks that are no more."""
    count_change: int
    """By how much the number of the device's values has changed."""

    @classmethod
    def none(cls) -> Self:
        return cls(written=(), removed=(), count_change=0)


def part_of(path: str, parts: int) -> int:
    """The part a path falls into; what is in one object stays together."""
    return crc32(parent_of(path).encode()) % parts if parts > 1 else 0


def merge(
    chunks: Iterable[Chunk],
    values: Mapping[str, str],
    *,
    at: float,
    gone: Iterable[str] = (),
    expected: Mapping[str, int] | None = None,
) -> Difference:
    """Bring `values` into `chunks`, which are all chunks of the tops concerned and are changed in place.

    `gone` are paths to drop; one that ends with a dot drops everything below it. `expected` tells how many values a
    top that is not there yet will have, so that it is divided once and not again and again."""
    merging = _Merging(chunks, at)
    for path in gone:
        merging.drop(path)
    news: dict[str, dict[str, str]] = {}
    for path, value in values.items():
        news.setdefault(top_of(path), {})[path] = value
    for top, added in news.items():
        merging.add(top, added, max(len(added), (expected or {}).get(top, 0)))
    return merging.difference()


class _Merging:
    """The chunks of one device by top, and which of them have changed."""

    def __init__(self, chunks: Iterable[Chunk], at: float) -> None:
        self._at = at
        known: dict[str, dict[int, Chunk]] = {}
        for chunk in chunks:
            known.setdefault(chunk.top, {})[chunk.part] = chunk
        self._groups = {top: _whole(found, at) for top, found in sorted(known.items())}
        self._changed: dict[tuple[str, int], Chunk] = {}
        self._before = self._count()

    def drop(self, path: str) -> None:
        for top, group in self._groups.items():
            if path.endswith(".") and not (path.startswith(top) or top.startswith(path)):
                continue
            for chunk in group:
                below = path.endswith(".")
                hit = [each for each in chunk.values if (each.startswith(path) if below else each == path)]
                for each in hit:
                    del chunk.values[each]
                    chunk.times.pop(each, None)
                    self._changed[chunk.key] = chunk

    def add(self, top: str, values: Mapping[str, str], expected: int) -> None:
        group = self._groups.get(top) or _empty(top, expected, self._at)
        self._groups[top] = group
        grown: dict[int, Chunk] = {}
        for path, value in values.items():
            chunk = group[part_of(path, len(group))]
            known = chunk.values.get(path)
            if known != value:
                chunk.values[path] = value
                if known is None:
                    grown[chunk.part] = chunk
                if known is not None or self._at - chunk.at > SAME_SECONDS:
                    chunk.times[path] = self._at
                self._changed[chunk.key] = chunk
        if len(group) < PARTS_MOST and any(_is_too_large(chunk) for chunk in grown.values()):
            # The keys of the old parts are all among those of the new ones.
            self._groups[top] = _divide(group)
            self._changed.update({chunk.key: chunk for chunk in self._groups[top]})

    def difference(self) -> Difference:
        removed = [
            chunk.key for group in self._groups.values() if not any(chunk.values for chunk in group) for chunk in group
        ]
        for key in removed:
            self._changed.pop(key, None)
        return Difference(
            written=tuple(self._changed.values()),
            removed=tuple(sorted(removed)),
            count_change=self._count() - self._before,
        )

    def _count(self) -> int:
        return sum(len(chunk.values) for group in self._groups.values() for chunk in group)


def counts_by_top(names: Iterable[str]) -> dict[str, int]:
    """How many of `names` each top has."""
    counts: dict[str, int] = {}
    for name in names:
        top = top_of(name)
        counts[top] = counts.get(top, 0) + 1
    return counts


def _empty(top: str, count: int, at: float) -> list[Chunk]:
    parts = min(max(1, -(-count // PART_WANTED)), PARTS_MOST)
    return [Chunk(top=top, part=part, parts=parts, at=at) for part in range(parts)]


def _whole(found: Mapping[int, Chunk], at: float) -> list[Chunk]:
    """All parts of a chunk: those that nothing has fallen into yet are not stored."""
    some = next(iter(found.values()))
    return [found.get(part) or Chunk(top=some.top, part=part, parts=some.parts, at=at) for part in range(some.parts)]


def _is_too_large(chunk: Chunk) -> bool:
    """Whether it has too many values, and dividing could help: what is in one object stays together."""
    return len(chunk.values) > PART_MOST and len({parent_of(path) for path in chunk.values}) > 1


def _divide(group: list[Chunk]) -> list[Chunk]:
    """The same values in more parts. Parts are never made fewer."""
    count = sum(len(chunk.values) for chunk in group)
    parts = min(max(len(group) + 1, -(-count // PART_WANTED)), PARTS_MOST)
    oldest = min(chunk.at for chunk in group)
    divided = [Chunk(top=group[0].top, part=part, parts=parts, at=oldest) for part in range(parts)]
    for old in group:
        for path, value in old.values.items():
            chunk = divided[part_of(path, parts)]
            chunk.values[path] = value
            time = old.times.get(path, old.at)
            if time != oldest:
                chunk.times[path] = time
    return divided
