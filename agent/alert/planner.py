"""When alerts open and close, and when people are told: what is seen, what is known, the time → actions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.alert.model import Alert, AlertState, Event, Rule, Seen, Sighting, Silence

RENEW = timedelta(seconds=30)
"""How often what is written of an open alert may change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """Something was seen for the first time: a new alert, open at once or pending."""

    rule: Rule
    sighting: Sighting
    state: AlertState
    notify: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """It was seen for long enough."""

    alert: Alert
    sighting: Sighting


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew:
    """It is seen (again), in other words perhaps."""

    alert: Alert
    sighting: Sighting


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginClearing:
    """It is not seen any more; whether for good must be waited for."""

    alert: Alert


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """It is over; whoever was told of its begin is told of its end."""

    alert: Alert
    notify: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """It was never an alert: gone before its time."""

    alert: Alert


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Tell people that it is open."""

    alert: Alert
    event: Event


Action = Begin | Open | Renew | BeginClearing | Close | Drop | Notify


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything that a decision takes."""

    rules: Sequence[Rule]
    seen: Mapping[int, Seen]
    """By the rule's id; a rule that is not in it was not looked at this time."""
    alerts: Sequence[Alert]
    silences: Sequence[Silence] = ()


def plan(situation: Situation, at: datetime) -> tuple[Action, ...]:
    """What is to be done now. Carried out (as a whole or up to any action) and asked again at the same time, it gives
    what is left; when nothing is left, nothing."""
    rules = {rule.id: rule for rule in situation.rules if rule.enabled}
    actions: list[Action] = []
    for alert in situation.alerts:
        rule = rules.get(alert.rule_id) if alert.rule_id is not None else None
        quiet = any(silence.covers(alert, at) for silence in situation.silences)
        if rule is None:
            actions.extend(_end(alert))
        elif rule.id in situation.seen:
            actions.extend(_follow(alert, rule, situation.seen[rule.id], at, quiet=quiet))
    for rule in rules.values():
        known = {alert.subject for alert in situation.alerts if alert.rule_id == rule.id}
        for sighting in situation.seen.get(rule.id, Seen()).sightings:
            if sighting.subject not in known:
                known.add(sighting.subject)
                actions.append(_begin(rule, sighting, situation.silences, at))
    return tuple(actions)


def _begin(rule: Rule, sighting: Sighting, silences: Sequence[Silence], at: datetime) -> Begin:
    state = AlertState.PENDING if rule.duration > timedelta(0) else AlertState.OPEN
    alert = Alert(
        id=0, rule_id=rule.id, subject=sighting.subject, state=state, summary=sighting.summary, since=at, seen_at=at
    )
    quiet = any(silence.covers(alert, at) for silence in silences)
    return Begin(rule=rule, sighting=sighting, state=state, notify=state is AlertState.OPEN and not quiet)


def _follow(alert: Alert, rule: Rule, seen: Seen, at: datetime, *, quiet: bool) -> Iterator[Action]:
    sighting = next((each for each in seen.sightings if each.subject == alert.subject), None)
    if sighting is None and alert.subject in seen.unknown:
        return
    if sighting is None:
        yield from _clear(alert, rule, at)
        return
    if alert.state is AlertState.PENDING:
        if at - alert.since >= rule.duration:
            yield Open(alert=alert, sighting=sighting)
            if not quiet:
                yield Notify(alert=alert, event=Event.OPENED)
        return
    if alert.cleared_since is not None or (sighting.summary != alert.summary and at - alert.seen_at >= RENEW):
        yield Renew(alert=alert, sighting=sighting)
    if quiet or alert.acknowledged:
        return
    if alert.notified_at is None:
        yield Notify(alert=alert, event=Event.OPENED)
    elif rule.repeat > timedelta(0) and at - alert.notified_at >= rule.repeat:
        yield Notify(alert=alert, event=Event.REMINDER)


def _clear(alert: Alert, rule: Rule, at: datetime) -> Iterator[Action]:
    if alert.state is AlertState.PENDING:
        yield Drop(alert=alert)
    elif rule.clear <= timedelta(0) or (alert.cleared_since is not None and at - alert.cleared_since >= rule.clear):
        yield from _end(alert)
    elif alert.cleared_since is None:
        yield BeginClearing(alert=alert)


def _end(alert: Alert) -> Iterator[Action]:
    if alert.state is AlertState.PENDING:
        yield Drop(alert=alert)
    else:
        yield Close(alert=alert, notify=alert.notified_at is not None)
