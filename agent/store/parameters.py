"""The values of devices: what a message brought is compared with what is known, and the difference is written."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import psycopg
from psycopg.rows import dict_row, scalar_row, tuple_row

from agent.acs.chunks import Chunk, merge
from agent.acs.paths import is_valid, template_of, top_of
from agent.core.clock import Deadline
from agent.store.statements import statements

MODELS_MOST = 64
VALUE_MOST = 64 * 1024
"""Characters of a value that are kept."""
LOOK_AGAIN_SECONDS = 60.0
"""How long after it wrote to a model a process reads it anew; longer than any transaction lasts."""

Traits = tuple[str | None, bool | None]
"""Type (without prefix) and writability, each None while unknown."""


@dataclass(slots=True)
class _Model:
    """What is known of one model's parameters, by path with {i} for instance numbers."""

    traits: dict[str, Traits] = field(default_factory=dict)
    look_again: Deadline | None = None
    """What was written is taken for known at once; whether its transaction was committed is seen then."""

    @property
    def is_sure(self) -> bool:
        return self.look_again is None or not self.look_again.passed


class ModelMemory:
    """The data models of devices, as this process has seen them; shared by its threads.

    Entries are only ever added or completed, so an old memory writes what is there already, and is right again."""

    def __init__(self) -> None:
        self._sql = statements("parameters")
        self._models: OrderedDict[int, _Model] = OrderedDict()
        self._lock = Lock()

    def learn(self, connection: psycopg.Connection[Any], model: int, traits: Mapping[str, Traits]) -> dict[str, Traits]:
        """Add what `traits` says of paths to the model, and return the paths that are not as the model says."""
        known = self._known(connection, model)
        news: dict[str, Traits] = {}
        odd: dict[str, Traits] = {}
        for path, mine in traits.items():
            template = template_of(path)
            of_model = news.get(template) or known.traits.get(template)
            merged = _merge(of_model, mine)
            if merged is None:
                odd[path] = mine
            elif merged != of_model:
                news[template] = merged
        if news:
            self._save(connection, model, known, news)
        return odd

    def traits_of(self, connection: psycopg.Connection[Any], model: int, paths: Iterable[str]) -> dict[str, Traits]:
        """Type and writability of paths, as the model has them."""
        known = self._known(connection, model)
        return {path: known.traits.get(template_of(path), (None, None)) for path in paths}

    def _known(self, connection: psycopg.Connection[Any], model: int) -> _Model:
        with self._lock:
            if model in self._models and self._models[model].is_sure:
                self._models.move_to_end(model)
                return self._models[model]
        fresh = _Model()
        with connection.cursor(row_factory=tuple_row) as cursor:
            for _top, entries in cursor.execute(self._sql["fetch_model"], {"model": model}):
                fresh.traits.update({template: (entry[0], entry[1]) for template, entry in entries.items()})
        with self._lock:
            self._models[model] = fresh
            while len(self._models) > MODELS_MOST:
                self._models.popitem(last=False)
        return fresh

    def _save(self, connection: psycopg.Connection[Any], model: int, known: _Model, news: Mapping[str, Traits]) -> None:
        by_top: dict[str, dict[str, Traits]] = {}
        for template, traits in news.items():
            by_top.setdefault(top_of(template), {})[template] = traits
        tops = sorted(by_top)  # in one order, so that two workers do not wait for each other
        parameters = {"model": model, "tops": tops, "entries": [_json(by_top[top]) for top in tops]}
        connection.execute(self._sql["save_model"], parameters)
        with self._lock:
            known.traits.update(news)
            known.look_again = Deadline.after(LOOK_AGAIN_SECONDS)


class ParameterWriter:
    """Writes values into the chunks of devices. Every call is inside the caller's transaction."""

    def __init__(self, memory: ModelMemory) -> None:
        self._memory = memory
        self._sql = statements("parameters")

    def write(
        self,
        connection: psycopg.Connection[Any],
        device: int,
        model: int,
        values: Mapping[str, str],
        types: Mapping[str, str],
        expected: Mapping[str, int] | None = None,
    ) -> int:
        """Bring values in, and return by how much the number of stored values has changed.

        A path that is no path, or is too long, is left out; a value that is too long is cut."""
        fit = {path: _fit(value) for path, value in values.items() if is_valid(path) and not path.endswith(".")}
        if not fit:
            return 0
        if types:
            self._learn(connection, device, model, {path: (types[path], None) for path in fit if path in types})
        informed = self._inform_values(connection, device)
        by_inform = {path: value for path, value in fit.items() if path in informed}
        if by_inform:
            self._execute(connection, "merge_inform_values", {"device": device, "values": _json(by_inform)})
        rest = {path: value for path, value in fit.items() if path not in informed}
        return self._merge(connection, device, rest, (), expected)

    def learn_names(
        self, connection: psycopg.Connection[Any], device: int, model: int, writable: Mapping[str, bool]
    ) -> None:
        """Note which parameters and objects can be written."""
        known = {path: (None, flag) for path, flag in writable.items() if is_valid(path)}
        self._learn(connection, device, model, known)

    def given(self, connection: psycopg.Connection[Any], model: int, templates: Iterable[str]) -> frozenset[str]:
        """Those of `templates` of which a device of the model has given a value."""
        traits = self._memory.traits_of(connection, model, templates)
        return frozenset(template for template, (type_, _writable) in traits.items() if type_ is not None)

    def drop(self, connection: psycopg.Connection[Any], device: int, paths: Iterable[str]) -> int:
        """Forget values; a path that ends with a dot goes with all below it."""
        gone = tuple(paths)
        informed = self._inform_values(connection, device)
        hit = [
            each
            for each in informed
            if any(each == path or (path.endswith(".") and each.startswith(path)) for path in gone)
        ]
        if hit:
            self._execute(connection, "drop_inform_values", {"device": device, "paths": hit})
        return self._merge(connection, device, {}, gone, None) - len(hit)

    def adopt(
        self,
        connection: psycopg.Connection[Any],
        device: int,
        model: int,
        values: Mapping[str, str],
        types: Mapping[str, str],
    ) -> None:
        """Take values of an Inform, of which some were not in an Inform before: from now on they live with those."""
        fit = {path: _fit(value) for path, value in values.items() if is_valid(path) and not path.endswith(".")}
        self._learn(connection, device, model, {path: (types[path], None) for path in fit if path in types})
        before = self._inform_values(connection, device)
        news = [path for path in fit if path not in before]
        moved = -self._merge(connection, device, {}, tuple(news), None) if news else 0
        self._execute(connection, "merge_inform_values", {"device": device, "values": _json(fit)})
        if len(news) != moved:
            self._execute(connection, "add_to_count", {"device": device, "change": len(news) - moved})

    def add_to_count(self, connection: psycopg.Connection[Any], device: int, change: int) -> None:
        """Correct the number of a device's values."""
        if change:
            self._execute(connection, "add_to_count", {"device": device, "change": change})

    def _merge(
        self,
        connection: psycopg.Connection[Any],
        device: int,
        values: Mapping[str, str],
        gone: tuple[str, ...],
        expected: Mapping[str, int] | None,
    ) -> int:
        chunks = self._chunks(connection, device, values, gone)
        difference = merge(chunks, values, at=time.time(), gone=gone, expected=expected)
        if difference.written:
            written = difference.written
            self._execute(
                connection,
                "save_chunks",
                {
                    "device": device,
                    "tops": [chunk.top for chunk in written],
                    "part": [chunk.part for chunk in written],
                    "parts": [chunk.parts for chunk in written],
                    "at": [chunk.at for chunk in written],
                    "values": [_json(chunk.values) for chunk in written],
                    "times": [_json(chunk.times) if chunk.times else None for chunk in written],
                },
            )
        if difference.removed:
            tops, parts = zip(*difference.removed, strict=True)
            self._execute(connection, "remove_chunks", {"device": device, "tops": list(tops), "part": list(parts)})
        return difference.count_change

    def _chunks(
        self, connection: psycopg.Connection[Any], device: int, values: Iterable[str], gone: tuple[str, ...]
    ) -> list[Chunk]:
        tops = {top_of(path) for path in values}
        tops.update(top_of(path) for path in gone)
        roots = [path for path in gone if path.endswith(".") and path.count(".") < 2]
        parameters = {"device": device, "tops": sorted(tops), "roots": roots}
        name = "fetch_chunks_below" if roots else "fetch_chunks"
        with connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(self._sql[name], parameters).fetchall()
        return [Chunk(**{**row, "times": row["times"] or {}}) for row in rows]

    def _inform_values(self, connection: psycopg.Connection[Any], device: int) -> dict[str, str]:
        with connection.cursor(row_factory=scalar_row) as cursor:
            found = cursor.execute(self._sql["fetch_inform_values"], {"device": device}).fetchone()
        return found if isinstance(found, dict) else {}

    def _learn(
        self, connection: psycopg.Connection[Any], device: int, model: int, traits: Mapping[str, Traits]
    ) -> None:
        odd = self._memory.learn(connection, model, traits)
        if odd:
            self._execute(connection, "save_exceptions", {"device": device, "entries": _json(odd)})

    def _execute(self, connection: psycopg.Connection[Any], name: str, parameters: dict[str, Any]) -> None:
        connection.execute(self._sql[name], parameters)


def _merge(known: Traits | None, mine: Traits) -> Traits | None:
    """Both together; None when they contradict each other."""
    if known is None:
        return mine
    merged: list[Any] = []
    for old, new in zip(known, mine, strict=True):
        if old is not None and new is not None and old != new:
            return None
        merged.append(old if new is None else new)
    return merged[0], merged[1]


def _fit(value: str) -> str:
    return value if len(value) <= VALUE_MOST else value[:VALUE_MOST]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
