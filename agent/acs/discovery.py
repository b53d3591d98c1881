"""How a device's whole tree, or a branch of it, is read: its names first, then the values in batches that adapt to what
the device bears. Pure: a `Discovery` is the plan's state between two messages, and goes into the session's row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from agent.acs.paths import template_of

BATCH_FIRST = 256
"""Names in the first GetParameterValues to a model that nothing is known of."""
BATCH_MOST = 1024
RANGES_MOST = 2048
NAMES_MOST = 50_000
"""Names of one device that are asked; the rest of a longer list is left out."""


class Origin(StrEnum):
    """Why a tree is read."""

    CONTACT = "contact"
    """The device is new, was reset, or has other firmware."""
    TASK = "task"
    FOLLOW_UP = "follow_up"
    """Something was made in it that nobody has read yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What was learned about asking the devices of one model."""

    batch: int = BATCH_FIRST
    """Names that one GetParameterValues may have."""
    ceiling: int = BATCH_MOST
    """Above this it has refused."""
    bad: frozenset[str] = frozenset()
    """Names, with {i} for instance numbers, that it lists but does not give."""
    walk: bool = False
    """It does not list its whole tree at once: ask level by level."""

    @classmethod
    def parse(cls, given: dict[str, Any]) -> Self:
        """From what the database has; what is missing has its default."""
        return cls(
            batch=max(1, min(int(given.get("batch", BATCH_FIRST)), BATCH_MOST)),
            ceiling=max(1, min(int(given.get("ceiling", BATCH_MOST)), BATCH_MOST)),
            bad=frozenset(given.get("bad", ())),
            walk=bool(given.get("walk", False)),
        )

    def render(self) -> dict[str, Any]:
        return {"batch": self.batch, "ceiling": self.ceiling, "bad": sorted(self.bad), "walk": self.walk}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of the list of names, `start` up to before `stop`; when `most` is set, asked in pieces of so many."""

    start: int
    stop: int
    most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """Where the reading of a tree stands."""

    path: str
    """The object that is read; empty: everything."""
    origin: Origin = Origin.CONTACT
    task: int = 0
    """The task that asked for it, when one did."""
    attempts: int = 0
    """Tries of that task before this one."""
    tree: bool = True
    """The names are all there are below `path`: what is not among them is gone."""
    listing: tuple[str, ...] = ()
    """Objects whose names are still to be asked, level by level."""
    total: int = 0
    """Names in the list."""
    spans: tuple[Span, ...] = ()
    """What is still to be asked; the first one next."""
    done: int = 0
    """Names that were answered or given up."""
    batch: int = BATCH_FIRST
    ceiling: int = BATCH_MOST
    bad: int = 0
    """Names that the device did not give."""
    asked: int = 0
    """GetParameterValues sent."""

    @property
    def finished(self) -> bool:
        return not self.listing and not self.spans

    @property
    def batches(self) -> int:
        """How many batches there will be, as far as can be said now."""
        return self.asked + sum(
            -(-(span.stop - span.start) // min(span.most or self.batch, self.batch)) for span in self.spans
        )

    @property
    def next_span(self) -> Span:
        """What the next GetParameterValues asks."""
        first = self.spans[0]
        size = min(first.most or self.batch, self.batch)
        return replace(first, stop=min(first.stop, first.start + size))

    @classmethod
    def of(cls, path: str, profile: Profile, origin: Origin = Origin.CONTACT) -> Self:
        """The plan for `path`, of which nothing is known yet."""
        return cls(path=path, origin=origin, listing=(path,), batch=profile.batch, ceiling=profile.ceiling)

    def for_task(self, task: int, attempts: int) -> Self:
        """The same, asked by a task."""
        return replace(self, origin=Origin.TASK, task=task, attempts=attempts)

    def with_names(self, count: int) -> Self:
        """After the list of names has grown to `count`."""
        rest = count - self.total
        spans = (*self.spans, Span(start=self.total, stop=count)) if rest else self.spans
        return replace(self, total=count, spans=spans)

    def with_listing(self, listing: Iterable[str]) -> Self:
        """With other objects to list."""
        return replace(self, listing=tuple(listing))

    def answered(self) -> Self:
        """The span that was asked has been answered: go on behind it, and for more at once if it bears that."""
        asked = self.next_span
        grown = min(self.ceiling, self.batch * 2) if asked.stop - asked.start >= self.batch else self.batch
        return replace(
            self._behind(asked), done=self.done + asked.stop - asked.start, asked=self.asked + 1, batch=grown
        )

    def refused(self) -> Self:
        """The device does not bear so many names: ask the same again in halves, and never for so many again."""
        asked = self.next_span
        half = max(1, (asked.stop - asked.start) // 2)
        return replace(self, batch=half, ceiling=half, asked=self.asked + 1)

    def bad_name(self) -> Self:
        """One of the names that were asked is not good: look for it in halves. Only for more than one name."""
        asked = self.next_span
        middle = (asked.start + asked.stop) // 2
        halves = tuple(
            Span(start=start, stop=stop, most=max(1, stop - start))
            for start, stop in ((asked.start, middle), (middle, asked.stop))
            if stop > start
        )
        behind = self._behind(asked)
        return replace(behind, spans=(*halves, *behind.spans)[:RANGES_MOST], asked=self.asked + 1)

    def given_up(self) -> Self:
        """The one name that was asked is not good: go on without it."""
        asked = self.next_span
        return replace(
            self._behind(asked),
            done=self.done + asked.stop - asked.start,
            bad=self.bad + asked.stop - asked.start,
            asked=self.asked + 1,
        )

    def _behind(self, asked: Span) -> Self:
        first, *rest = self.spans
        remaining = (replace(first, start=asked.stop),) if asked.stop < first.stop else ()
        return replace(self, spans=(*remaining, *rest))

    def render(self) -> dict[str, Any]:
        """As JSON for the session's row."""
        return {
            "path": self.path,
            "origin": self.origin.value,
            "task": self.task,
            "attempts": self.attempts,
            "tree": self.tree,
            "listing": list(self.listing),
            "total": self.total,
            "spans": [[span.start, span.stop, span.most] for span in self.spans],
            "done": self.done,
            "batch": self.batch,
            "ceiling": self.ceiling,
            "bad": self.bad,
            "asked": self.asked,
        }

    @classmethod
    def parse(cls, given: dict[str, Any]) -> Self:
        """What `render` made."""
        return cls(
            **{
                **given,
                "origin": Origin(given["origin"]),
                "listing": tuple(given["listing"]),
                "spans": tuple(Span(start=start, stop=stop, most=most) for start, stop, most in given["spans"]),
            }
        )


def names_to_ask(names: Iterable[str], profile: Profile) -> list[str]:
    """The parameters among `names`, sorted, each once, without those that the model is known not to give."""
    bad = profile.bad
    wanted = {name for name in names if name and not name.endswith(".")}
    return sorted(name for name in wanted if not bad or template_of(name) not in bad)
