"""A twin of the tables in memory: carries out what the planner decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from agent.alert.model import (
    Alert,
    AlertState,
    Event,
    Rule,
    RuleKind,
    Seen,
    Severity,
    Sighting,
    Silence,
    Subject,
    SubjectKind,
)
from agent.alert.parameters import fill_parameters
from agent.alert.planner import Action, Begin, BeginClearing, Close, Drop, Notify, Open, Renew, Situation, plan

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MODEM = Subject(kind=SubjectKind.MODEM, name="860000000000001", host="farm-1")


def make_rule(**values: object) -> Rule:
    kind = values.pop("kind", RuleKind.MODEM_OFFLINE)
    assert isinstance(kind, RuleKind)
    given = values.pop("parameters", {})
    assert isinstance(given, dict)
    standard: dict[str, object] = {
        "id": 1,
        "name": "Rule",
        "kind": kind,
        "parameters": fill_parameters(kind, given),
        "duration": timedelta(seconds=60),
        "clear": timedelta(seconds=30),
        "repeat": timedelta(0),
        "severity": Severity.WARNING,
    }
    return Rule(**{**standard, **values})  # type: ignore[arg-type]


def seen(*subjects: Subject, summary: str = "it is the case", unknown: Sequence[Subject] = ()) -> Seen:
    return Seen(
        sightings=tuple(Sighting(subject=subject, summary=summary) for subject in subjects), unknown=frozenset(unknown)
    )


@dataclass(slots=True)
class Book:
    """What the database would hold."""

    rules: tuple[Rule, ...]
    at: datetime = BEGIN
    silences: tuple[Silence, ...] = ()
    alerts: dict[int, Alert] = field(default_factory=dict)
    closed: list[Alert] = field(default_factory=list)
    told: list[tuple[int, Event]] = field(default_factory=list)
    _next: int = 1

    def plan(self, sight: Seen | dict[int, Seen]) -> tuple[Action, ...]:
        by_rule = sight if isinstance(sight, dict) else {self.rules[0].id: sight}
        situation = Situation(
            rules=self.rules, seen=by_rule, alerts=tuple(self.alerts.values()), silences=self.silences
        )
        return plan(situation, self.at)

    def turn(self, sight: Seen | dict[int, Seen], *, after: float = 0.0) -> tuple[Action, ...]:
        """Some time later, look and do what was decided."""
        self.at += timedelta(seconds=after)
        actions = self.plan(sight)
        self.carry_out(actions)
        return actions

    def carry_out(self, actions: Sequence[Action]) -> None:
        for action in actions:
            self._do(action)

    def _do(self, action: Action) -> None:
        match action:
            case Begin(rule=rule, sighting=sighting, state=state, notify=notify):
                assert all(
                    (alert.rule_id, alert.subject) != (rule.id, sighting.subject) for alert in self.alerts.values()
                )
                alert = Alert(
                    id=self._next,
                    rule_id=rule.id,
                    subject=sighting.subject,
                    state=state,
                    summary=sighting.summary,
                    since=self.at,
                    seen_at=self.at,
                )
                self._next += 1
                self.alerts[alert.id] = alert
                if notify:
                    self._do(Notify(alert=alert, event=Event.OPENED))
            case Open(alert=alert, sighting=sighting):
                self._put(alert.id, state=AlertState.OPEN, summary=sighting.summary, seen_at=self.at)
            case Renew(alert=alert, sighting=sighting):
                self._put(alert.id, summary=sighting.summary, seen_at=self.at, cleared_since=None)
            case BeginClearing(alert=alert):
                self._put(alert.id, cleared_since=self.at)
            case Close(alert=alert, notify=notify):
                self.closed.append(self.alerts.pop(alert.id))
                if notify:
                    self.told.append((alert.id, Event.CLOSED))
            case Drop(alert=alert):
                assert self.alerts.pop(alert.id).state is AlertState.PENDING
            case Notify(alert=alert, event=event):
                self.told.append((alert.id, event))
                self._put(alert.id, notified_at=self.at)

    def _put(self, alert_id: int, **values: object) -> None:
        self.alerts[alert_id] = replace(self.alerts[alert_id], **values)  # type: ignore[arg-type]
