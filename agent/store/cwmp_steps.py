"""Saves a step of a session: all of its effects in one transaction, or none when another worker was quicker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, assert_never

import psycopg
from psycopg.rows import scalar_row, tuple_row

from agent.acs.chunks import counts_by_top
from agent.acs.discovery import Discovery
from agent.acs.reactions import FIRST_WAIT_SECONDS
from agent.acs.session import effects as fx
from agent.acs.session.machine import Step
from agent.acs.session.state import Purpose
from agent.store.cwmp_rows import Loaded, SessionKey
from agent.store.parameters import ParameterWriter
from agent.store.statements import statements

_DISCOVERY = "discovery"


def save_step(
    connection: psycopg.Connection[Any], writer: ParameterWriter, key: SessionKey, loaded: Loaded, step: Step
) -> bool:
    """Save `step`, which came of `loaded`, inside the caller's transaction; False when the session has gone on without
    us, and nothing was saved."""
    return _Saving(connection, writer, key, loaded, step).save()


class _Saving:
    """One step being saved. What announces something comes last: it holds the lock of the order of events."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        writer: ParameterWriter,
        key: SessionKey,
        loaded: Loaded,
        step: Step,
    ) -> None:
        self._connection = connection
        self._writer = writer
        self._sql = statements("cwmp")
        self._key = key
        self._device = key.device
        self._model = loaded.model or 0
        self._loaded = loaded
        self._step = step
        self._events: list[tuple[str, Mapping[str, Any]]] = []

    def save(self) -> bool:
        effects = self._step.effects
        stale: list[str] = []
        for effect in effects:
            if isinstance(effect, fx.Prune):
                stale.extend(self._stale(effect))
        if not self._save_session():
            return False
        count_change = self._save_values(stale)
        ordered = sorted(effects, key=lambda effect: isinstance(effect, fx.DiscoveryFinished))
        for effect in ordered:
            self._save_effect(effect)
        if not any(isinstance(effect, fx.DiscoveryFinished) for effect in effects):
            self._writer.add_to_count(self._connection, self._device, count_change)
        self._announce()
        return True

    def _stale(self, effect: fx.Prune) -> list[str]:
        parameters = {"device": self._device, "path": effect.path}
        with self._connection.cursor(row_factory=scalar_row) as cursor:
            return list(cursor.execute(self._sql["stale_names"], parameters).fetchall())

    def _save_session(self) -> bool:
        effects = self._step.effects
        parameters = sum(len(effect.values) for effect in effects if isinstance(effect, fx.SaveValues))
        base = {"device": self._device, "token": self._key.token, "sequence": self._loaded.sequence}
        for effect in effects:
            if isinstance(effect, fx.End):
                end = {"outcome": effect.outcome, "reason": effect.reason, "parameters": parameters}
                return self._truth("finish_session", {**base, **end})
        state = self._step.state
        discovery = state.discovery
        names, fresh = self._names()
        start, stop = _range(state.in_flight.purpose if state.in_flight else None, discovery)
        begun = discovery is not None or any(
            isinstance(effect, fx.DiscoveryFinished | fx.DiscoveryFailed) for effect in effects
        )
        return self._truth(
            "save_session",
            {
                **base,
                "state": _json(state.render()),
                "names": names,
                "fresh": fresh,
                "start": start,
                "stop": stop,
                "batch": discovery.asked if discovery else 0,
                "batches": discovery.batches if discovery else 0,
                "parameters": parameters,
                "discovery": bool(self._loaded.discovery) and not begun,
            },
        )

    def _names(self) -> tuple[list[str] | None, bool]:
        names: list[str] | None = None
        fresh = False
        for effect in self._step.effects:
            if isinstance(effect, fx.SaveNames):
                names = list(effect.ask) if effect.fresh else [*(names or ()), *effect.ask]
                fresh = fresh or effect.fresh
        return names, fresh

    def _save_values(self, stale: list[str]) -> int:
        change = 0
        expected: Mapping[str, int] | None = None
        for effect in self._step.effects:
            match effect:
                case fx.SaveNames(infos=infos) if infos:
                    writable = {info.name: info.writable for info in infos}
                    self._writer.learn_names(self._connection, self._device, self._model, writable)
                case fx.SaveValues(values=values, types=types):
                    if expected is None and self._loaded.names:
                        expected = counts_by_top(self._loaded.names)
                    change += self._writer.write(self._connection, self._device, self._model, values, types, expected)
                case fx.DropValues(paths=paths):
                    change += self._writer.drop(self._connection, self._device, paths)
        if stale:
            change += self._writer.drop(self._connection, self._device, stale)
        return change

    def _save_effect(self, effect: fx.Effect) -> None:
        match effect:
            case fx.SaveNames() | fx.SaveValues() | fx.DropValues() | fx.Prune() | fx.End():
                pass  # saved before
            case fx.TaskSent(task=task):
                self._execute("task_sent", {"task": task})
            case fx.TaskCompleted(task=task, result=result):
                self._execute("clear_fault", {"device": self._device, "channel": f"task_{task}"})
                self._execute("task_completed", {"task": task, "device": self._device, "result": _json(result)})
            case fx.TaskAwaitsTransfer(task=task):
                self._execute("task_awaits_transfer", {"task": task})
            case fx.TaskFailed():
                self._task_failed(effect)
            case fx.DiscoveryFinished():
                self._discovery_finished(effect)
            case fx.DiscoveryFailed(code=code, message=message):
                self._discovery_failed(code, message)
            case fx.Learn(profile=profile):
                # A name that some device of the model has given is not bad: here it was gone between two questions.
                given = self._writer.given(self._connection, self._model, profile.bad)
                learned = replace(profile, bad=profile.bad - given)
                self._execute("learn_profile", {"model": self._model, "profile": _json(learned.render())})
            case fx.TransferEnded():
                payload = {"command_key": effect.command_key, "code": effect.code, "message": effect.message}
                self._events.append(("transfer_complete", payload))
            case fx.Note(kind=kind, payload=payload):
                self._events.append((kind, payload))
            case _:
                assert_never(effect)

    def _task_failed(self, effect: fx.TaskFailed) -> None:
        fault = {
            "device": self._device,
            "channel": f"task_{effect.task}",
            "code": effect.code,
            "message": effect.message,
            "detail": _json(effect.detail),
            "wait": effect.wait_seconds,
        }
        self._execute("raise_fault", fault)
        failed = {"task": effect.task, "code": effect.code, "message": effect.message, "wait": effect.wait_seconds}
        self._execute("task_failed", failed)

    def _discovery_finished(self, effect: fx.DiscoveryFinished) -> None:
        self._execute("clear_fault", {"device": self._device, "channel": _DISCOVERY})
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            found = cursor.execute(self._sql["discovery_finished"], {"device": self._device}).fetchone()
        count = found[1] if found else effect.parameters
        self._events.append(("discovery_finished", {"parameters": count, "missing": effect.missing}))

    def _discovery_failed(self, code: str, message: str) -> None:
        parameters = {"device": self._device, "first_wait": FIRST_WAIT_SECONDS}
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            found = cursor.execute(self._sql["discovery_failed"], parameters).fetchone()
        fault = {
            "device": self._device,
            "channel": _DISCOVERY,
            "code": code,
            "message": message,
            "detail": "{}",
            "wait": found[1] if found else None,
        }
        self._execute("raise_fault", fault)
        self._events.append(("discovery_failed", {"code": code, "message": message}))

    def _announce(self) -> None:
        discovery = self._step.state.discovery
        if discovery is not None and discovery.total:
            progress = {
                "device": self._device,
                "batch": discovery.asked,
                "batches": discovery.batches,
                "parameters": discovery.done - discovery.bad,
                "total": discovery.total,
            }
            self._execute("notify_progress", progress)
        for kind, payload in self._events:
            self._execute("emit_device_event", {"device": self._device, "kind": kind, "payload": _json(payload)})

    def _truth(self, name: str, parameters: dict[str, Any]) -> bool:
        with self._connection.cursor(row_factory=scalar_row) as cursor:
            return bool(cursor.execute(self._sql[name], parameters).fetchone())

    def _execute(self, name: str, parameters: dict[str, Any]) -> None:
        self._connection.execute(self._sql[name], parameters)


def _range(purpose: Purpose | None, discovery: Discovery | None) -> tuple[int, int]:
    """The stretch of names that is being asked."""
    if purpose is Purpose.READ_VALUES and discovery is not None and discovery.spans:
        span = discovery.next_span
        return span.start, span.stop
    return 0, 0


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=dict)
