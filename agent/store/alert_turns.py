"""One turn of the watcher: what is known and seen, and what it decides, in one transaction; one worker at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, assert_never

import psycopg
from psycopg.rows import class_row, dict_row, kwargs_row, scalar_row

from agent.alert.messages import Message, payload_of
from agent.alert.model import Alert, AlertState, Event, Rule, RuleKind, Severity, Silence, Subject, SubjectKind
from agent.alert.parameters import ParameterError, fill_parameters
from agent.alert.planner import Action, Begin, BeginClearing, Close, Drop, Notify, Open, Renew
from agent.store.alert_deliveries import Destination, make_destination
from agent.store.alert_facts import AlertFacts
from agent.store.database import Database
from agent.store.documents import clean_text, render_object
from agent.store.statements import statements

SUMMARY_MOST = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taker:
    id: int
    least_severity: str


@dataclass(slots=True, kw_only=True)
class Turn:
    """Holds the only right to decide until it is over; nothing is in force before that."""

    at: datetime
    """The database's time."""
    rules: tuple[Rule, ...]
    alerts: tuple[Alert, ...]
    silences: tuple[Silence, ...]
    facts: AlertFacts
    _connection: psycopg.Connection[Any]
    _events: list[tuple[int, str]] = field(default_factory=list)

    def carry_out(self, actions: Sequence[Action]) -> int:
        """Do these, in their order; how many deliveries that makes."""
        deliveries = sum(self._do(action) for action in actions)
        sql = statements("alerts")
        # Last: it takes the lock of the order of events.
        for alert_id, kind in self._events:
            self._connection.execute(sql["emit_event"], {"id": alert_id, "kind": kind})
        self._events.clear()
        return deliveries

    def record_outage(self, rule: Rule, summary: str, since: datetime) -> Message | None:
        """Write down that the database was away, now that it is back; what its end is told by.

        None: the rule is gone."""
        sql = statements("alerts")
        row = {"rule_id": rule.id, "summary": summary, "since": since, "at": self.at}
        with self._connection.cursor(row_factory=scalar_row) as cursor:
            alert_id = cursor.execute(sql["record_outage"], row).fetchone()
        if alert_id is None:
            return None
        self._events.append((alert_id, "alert_closed"))
        self._notify(alert_id, Event.CLOSED, everybody=True)
        return self._message(alert_id, Event.CLOSED)

    def fetch_destinations(self, rule: Rule) -> tuple[Destination, ...]:
        """Who is told of this rule's alerts."""
        with self._connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(statements("alerts")["fetch_destinations"], {"id": rule.id}).fetchall()
        return tuple(make_destination(row) for row in rows if rule.severity.reaches(Severity(row["least_severity"])))

    def _do(self, action: Action) -> int:
        match action:
            case Begin():
                return self._begin(action)
            case Open(alert=alert, sighting=sighting):
                self._run("open_alert", alert, summary=_summary(sighting.summary), value=sighting.value)
                self._events.append((alert.id, "alert_opened"))
            case Renew(alert=alert, sighting=sighting):
                self._run("renew_alert", alert, summary=_summary(sighting.summary), value=sighting.value)
            case BeginClearing(alert=alert):
                self._run("begin_clearing", alert)
            case Close(alert=alert, notify=notify):
                self._run("close_alert", alert)
                self._events.append((alert.id, "alert_closed"))
                return self._notify(alert.id, Event.CLOSED) if notify else 0
            case Drop(alert=alert):
                self._run("drop_alert", alert)
            case Notify(alert=alert, event=event):
                return self._notify(alert.id, event)
            case _:
                assert_never(action)
        return 0

    def _begin(self, action: Begin) -> int:
        rule, subject = action.rule, action.sighting.subject
        row = {
            "rule_id": rule.id,
            "rule": rule.name,
            "kind": rule.kind.value,
            "severity": rule.severity.value,
            "subject_kind": subject.kind.value,
            "subject": clean_text(subject.name),
            "host": subject.host,
            "state": action.state.value,
            "summary": _summary(action.sighting.summary),
            "value": action.sighting.value,
            "at": self.at,
        }
        with self._connection.cursor(row_factory=scalar_row) as cursor:
            alert_id = cursor.execute(statements("alerts")["begin_alert"], row).fetchone()
        if alert_id is None or action.state is not AlertState.OPEN:
            return 0
        self._events.append((alert_id, "alert_opened"))
        return self._notify(alert_id, Event.OPENED) if action.notify else 0

    def _run(self, name: str, alert: Alert, **values: object) -> None:
        self._connection.execute(statements("alerts")[name], {"id": alert.id, "at": self.at, **values})

    def _notify(self, alert_id: int, event: Event, *, everybody: bool = False) -> int:
        """Queue the message for everybody who takes it."""
        sql = statements("alerts")
        message = self._message(alert_id, event)
        with self._connection.cursor(row_factory=class_row(_Taker)) as cursor:
            asked = Event.OPENED if everybody else event
            takers = cursor.execute(sql["fetch_takers"], {"id": alert_id, "event": asked.value}).fetchall()
        wanted = {taker.id for taker in takers if message.severity.reaches(Severity(taker.least_severity))}
        payload = render_object(payload_of(message))
        for target in sorted(wanted):
            row = {"target_id": target, "alert_id": alert_id, "event": event.value, "payload": payload}
            self._connection.execute(sql["add_delivery"], row)
        self._connection.execute(sql["note_notified"], {"id": alert_id, "at": self.at})
        return len(wanted)

    def _message(self, alert_id: int, event: Event) -> Message:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(statements("alerts")["fetch_message"], {"id": alert_id}).fetchone()
        assert row is not None
        return Message(
            **{
                **row,
                "event": event,
                "at": self.at,
                "kind": RuleKind(row["kind"]),
                "severity": Severity(row["severity"]),
                "subject_kind": SubjectKind(row["subject_kind"]),
                "closed_at": self.at if event is Event.CLOSED else row["closed_at"],
            }
        )


class AlertTurns:
    """Raises TransientError when PostgreSQL cannot be reached in time; the turn has then changed nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("alerts")

    @contextmanager
    def take(self) -> Iterator[Turn | None]:
        """A turn, whose decisions are in force when it is over; None while another worker has one."""
        with self._database.transaction() as connection:
            with connection.cursor(row_factory=scalar_row) as cursor:
                if not cursor.execute(self._sql["take_turn"]).fetchone():
                    yield None
                    return
                at = cursor.execute(b"SELECT now()").fetchone()
            assert isinstance(at, datetime)
            yield Turn(
                at=at,
                rules=tuple(rule for rule in self._fetch(connection, "fetch_rules", _make_rule) if rule is not None),
                alerts=tuple(self._fetch(connection, "fetch_alive", _make_alert)),
                silences=tuple(self._fetch(connection, "fetch_silences", _make_silence)),
                facts=AlertFacts(connection),
                _connection=connection,
            )

    def _fetch(self, connection: psycopg.Connection[Any], name: str, make: Any) -> list[Any]:
        with connection.cursor(row_factory=kwargs_row(make)) as cursor:
            return cursor.execute(self._sql[name]).fetchall()


def _summary(text: str) -> str:
    return clean_text(text)[:SUMMARY_MOST]


def _make_rule(**columns: Any) -> Rule | None:
    try:
        kind = RuleKind(columns["kind"])
        parameters = fill_parameters(kind, columns["parameters"])
    except (ValueError, ParameterError):
        # Of a newer program, or written by hand: not ours to judge.
        return None
    names = {name: None if columns[name] is None else frozenset(columns[name]) for name in ("hosts", "tags")}
    return Rule(
        id=columns["id"],
        name=columns["name"],
        kind=kind,
        parameters=parameters,
        duration=timedelta(seconds=columns["duration_seconds"]),
        clear=timedelta(seconds=columns["clear_seconds"]),
        repeat=timedelta(seconds=columns["repeat_seconds"]),
        severity=Severity(columns["severity"]),
        enabled=columns["enabled"],
        hosts=names["hosts"],
        tags=names["tags"],
    )


def _subject(columns: dict[str, Any]) -> Subject:
    return Subject(kind=SubjectKind(columns.pop("subject_kind")), name=columns.pop("subject"), host=columns.pop("host"))


def _make_alert(**columns: Any) -> Alert:
    subject, state = _subject(columns), AlertState(columns.pop("state"))
    return Alert(subject=subject, state=state, **columns)


def _make_silence(**columns: Any) -> Silence:
    subject = None if columns["subject"] is None else _subject(columns)
    return Silence(until=columns["until"], rule_id=columns["rule_id"], subject=subject)
