"""When alerts open, close and are told of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.alert.model import AlertState, Event, Severity, Silence, Subject, SubjectKind
from agent.alert.planner import BeginClearing, Drop, Notify
from tests.alert.book import BEGIN, MODEM, Book, make_rule, seen

OTHER = Subject(kind=SubjectKind.MODEM, name="860000000000002", host="farm-1")


def test_what_lasts_long_enough_becomes_an_alert_and_is_told_once() -> None:
    book = Book((make_rule(),))
    book.turn(seen(MODEM))
    book.turn(seen(MODEM), after=59)
    assert [alert.state for alert in book.alerts.values()] == [AlertState.PENDING]
    assert book.told == []
    book.turn(seen(MODEM), after=1)
    assert [alert.state for alert in book.alerts.values()] == [AlertState.OPEN]
    assert book.told == [(1, Event.OPENED)]
    for _ in range(5):
        assert book.turn(seen(MODEM), after=600) == ()


def test_what_is_over_before_its_time_was_nothing() -> None:
    book = Book((make_rule(),))
    book.turn(seen(MODEM))
    assert [type(action) for action in book.turn(seen(), after=59)] == [Drop]
    book.turn(seen(MODEM), after=1)
    book.turn(seen(MODEM), after=59)
    assert (book.told, book.closed) == ([], [])


def test_without_a_duration_it_opens_at_once() -> None:
    book = Book((make_rule(duration=timedelta(0)),))
    book.turn(seen(MODEM))
    assert book.told == [(1, Event.OPENED)]


def test_it_closes_when_it_stays_away_and_whoever_was_told_is_told() -> None:
    book = Book((make_rule(duration=timedelta(0)),))
    book.turn(seen(MODEM))
    assert [type(action) for action in book.turn(seen(), after=10)] == [BeginClearing]
    assert book.turn(seen(), after=29) == ()
    book.turn(seen(), after=1)
    assert book.told == [(1, Event.OPENED), (1, Event.CLOSED)]
    assert len(book.closed) == 1


def test_one_that_comes_and_goes_stays_open_and_bothers_nobody() -> None:
    book = Book((make_rule(duration=timedelta(0)),))
    for _ in range(20):
        book.turn(seen(MODEM), after=15)
        book.turn(seen(), after=15)
    assert book.told == [(1, Event.OPENED)]
    assert list(book.alerts) == [1]


def test_what_cannot_be_judged_stays_as_it_is() -> None:
    book = Book((make_rule(duration=timedelta(0), clear=timedelta(0)),))
    book.turn(seen(MODEM))
    for _ in range(3):
        assert book.turn(seen(unknown=[MODEM]), after=3600) == ()
    assert book.turn({}, after=3600) == ()
    book.turn(seen())
    assert len(book.closed) == 1


def test_reminders_come_as_often_as_the_rule_says() -> None:
    book = Book((make_rule(duration=timedelta(0), repeat=timedelta(hours=1)),))
    for _ in range(25):
        book.turn(seen(MODEM), after=600)
    assert book.told == [(1, Event.OPENED)] + [(1, Event.REMINDER)] * 4


def test_an_acknowledged_alert_reminds_nobody_and_its_end_is_told() -> None:
    book = Book((make_rule(duration=timedelta(0), clear=timedelta(0), repeat=timedelta(minutes=10)),))
    book.turn(seen(MODEM))
    book.alerts[1] = replace(book.alerts[1], acknowledged=True)
    for _ in range(5):
        assert book.turn(seen(MODEM), after=1200) == ()
    book.turn(seen())
    assert book.told == [(1, Event.OPENED), (1, Event.CLOSED)]


def test_a_silenced_alert_is_seen_but_not_told_before_the_silence_ends() -> None:
    for silence in (
        Silence(until=BEGIN + timedelta(hours=1)),
        Silence(until=BEGIN + timedelta(hours=1), rule_id=1),
        Silence(until=BEGIN + timedelta(hours=1), subject=MODEM),
    ):
        book = Book((make_rule(duration=timedelta(0)),), silences=(silence,))
        book.turn(seen(MODEM))
        assert (list(book.alerts), book.told) == ([1], [])
        assert book.turn(seen(MODEM), after=3599) == ()
        book.turn(seen(MODEM), after=1)
        assert book.told == [(1, Event.OPENED)]


def test_a_silence_about_others_keeps_nothing_quiet() -> None:
    for silence in (
        Silence(until=BEGIN),
        Silence(until=BEGIN + timedelta(hours=1), rule_id=2),
        Silence(until=BEGIN + timedelta(hours=1), subject=OTHER),
        Silence(until=BEGIN + timedelta(hours=1), subject=replace(MODEM, kind=SubjectKind.HOST)),
    ):
        book = Book((make_rule(duration=timedelta(0)),), silences=(silence,))
        book.turn(seen(MODEM))
        assert book.told == [(1, Event.OPENED)]


def test_what_was_never_told_of_ends_quietly() -> None:
    silence = Silence(until=BEGIN + timedelta(days=1))
    book = Book((make_rule(duration=timedelta(0), clear=timedelta(0)),), silences=(silence,))
    book.turn(seen(MODEM))
    book.turn(seen(), after=60)
    assert (book.told, len(book.closed)) == ([], 1)


def test_the_alerts_of_a_rule_that_is_off_or_gone_close() -> None:
    rule = make_rule(duration=timedelta(0))
    for rules, rule_id in (((replace(rule, enabled=False),), 1), ((), 1), ((rule,), None)):
        book = Book((rule,))
        book.turn(seen(MODEM))
        book.rules = rules
        book.alerts[1] = replace(book.alerts[1], rule_id=rule_id)
        book.turn({})
        assert (book.alerts, book.told[-1]) == ({}, (1, Event.CLOSED))


def test_other_words_are_written_now_and_then() -> None:
    book = Book((make_rule(duration=timedelta(0)),))
    book.turn(seen(MODEM, summary="RSRP is -119"))
    words = (seen(MODEM, summary=f"RSRP is -{120 + second % 2}") for second in range(62))
    assert sum(bool(book.turn(sight, after=1)) for sight in words) == 2
    assert book.told == [(1, Event.OPENED)]


def test_subjects_have_alerts_of_their_own() -> None:
    book = Book((make_rule(duration=timedelta(0), clear=timedelta(0)),))
    book.turn(seen(MODEM))
    book.turn(seen(MODEM, OTHER))
    book.turn(seen(OTHER))
    assert [alert.subject for alert in book.alerts.values()] == [OTHER]
    assert book.told == [(1, Event.OPENED), (2, Event.OPENED), (1, Event.CLOSED)]


SUBJECTS = (MODEM, OTHER)
_sights = st.lists(
    st.tuples(
        st.sets(st.sampled_from(SUBJECTS)),
        st.sets(st.sampled_from(SUBJECTS)),
        st.sampled_from([0.0, 5.0, 29.0, 61.0, 700.0]),
    ),
    max_size=12,
)
_rules = st.builds(
    make_rule,
    duration=st.sampled_from([timedelta(0), timedelta(seconds=60)]),
    clear=st.sampled_from([timedelta(0), timedelta(seconds=30)]),
    repeat=st.sampled_from([timedelta(0), timedelta(minutes=10)]),
    severity=st.sampled_from(Severity),
    enabled=st.booleans(),
)


@settings(max_examples=300)
@given(rule=_rules, history=_sights, cuts=st.lists(st.integers(0, 3), max_size=12))
def test_it_converges_also_when_a_turn_is_cut_off_after_any_action(
    rule: object, history: list[tuple[set[Subject], set[Subject], float]], cuts: list[int]
) -> None:
    """Asked again at the same time nothing is left; what was cut off is made up for; nobody is told out of order."""
    book = Book((rule,))  # type: ignore[arg-type]
    for number, (there, unknown, after) in enumerate(history):
        sight = seen(*sorted(there - unknown, key=lambda each: each.name), unknown=tuple(unknown))
        book.at += timedelta(seconds=after)
        if number < len(cuts):
            book.carry_out(book.plan(sight)[: cuts[number]])
        for _ in range(3):
            book.carry_out(book.plan(sight))
        assert book.plan(sight) == ()
    for alert_id in {told for told, _ in book.told}:
        events = [event for told, event in book.told if told == alert_id]
        assert events[0] is Event.OPENED
        assert events.count(Event.OPENED) == 1
        assert Event.CLOSED not in events[:-1]
    for alert in book.closed:
        assert [event for told, event in book.told if told == alert.id][-1] is Event.CLOSED


def test_a_turn_that_is_not_carried_out_is_decided_the_same_again() -> None:
    book = Book((make_rule(duration=timedelta(0)),))
    assert book.plan(seen(MODEM)) == book.plan(seen(MODEM))
    book.turn(seen(MODEM))
    book.alerts[1] = replace(book.alerts[1], notified_at=None)
    assert [type(action) for action in book.plan(seen(MODEM))] == [Notify]
