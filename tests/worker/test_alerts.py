"""Alerts from what is wrong in the database to the message that arrives, with real receivers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from agent.acs.connection_request.policy import Policy
from agent.alert.messages import is_signed
from agent.alert.model import AlertState, RuleKind, Severity, Subject, SubjectKind
from agent.core.clock import BackOff, Deadline
from agent.sim.postgres import EmbeddedPostgres
from agent.store.alert_deliveries import AlertDeliveries
from agent.store.alert_rows import DeliveryState, TargetKind, TargetRow
from agent.store.alert_rules import AlertRules, RuleDraft
from agent.store.alert_targets import AlertTargets, TargetDraft
from agent.store.alert_turns import AlertTurns
from agent.store.alerts import AlertFilter, Alerts
from agent.store.database import Database
from agent.store.listen import ALERT_DELIVERY, Listener
from agent.worker.courier import Courier
from agent.worker.mail import Mail, MailServer
from agent.worker.outage import Outage
from agent.worker.syslog import Syslog
from agent.worker.telling import Senders
from agent.worker.watcher import Watcher
from agent.worker.webhook import Webhook
from tests.postgres_fixture import fresh_database, make_template, running_postgres
from tests.store.cpes import add_device
from tests.store.farm import HOST, eventually, make_wishes, rows, serial_of, slot_of
from tests.worker.receivers import HttpReceiver, MailReceiver, Posted, http_receiver, mail_receiver

POLICY = Policy(allow=(ip_network("127.0.0.0/8"),), settings="alerts.target")
SOON = BackOff(first_seconds=0.05, most_seconds=0.2)
MODEM = serial_of(1)
EVERYTHING = AlertFilter(states=None)


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    with Database(database_url) as opened:
        wishes = make_wishes(opened, tmp_path / "wishes.json")
        for number in (1, 2, 3):
            wishes.register(serial_of(number), slot_of(number), None)
        rows(database_url, "UPDATE hosts SET last_seen = now()")
        rows(database_url, "UPDATE modems SET status = 'online', rsrp_dbm = -90, path = '/dev/modems/' || serial")
        rows(database_url, "UPDATE alert_rules SET enabled = false")
        yield opened


@pytest.fixture
def mails() -> Iterator[MailReceiver]:
    with mail_receiver(MailReceiver()) as receiver:
        yield receiver


def senders(mail_port: int = 1) -> Senders:
    server = MailServer(
        host="127.0.0.1", tcp_port=mail_port, security="none", username="", password="", sender="lastmile@example.org"
    )
    return Senders(webhook=Webhook(lambda: POLICY), email=Mail(server), syslog=Syslog(lambda: POLICY, "web-1"))


def watcher(database: Database, send: Senders | None = None) -> Watcher:
    outage = Outage((send or senders()).send, "web-1", lambda: None)
    return Watcher(
        AlertTurns(database), Alerts(database), outage, lambda: None, keep_days=30, pause_seconds=0.05, slow_seconds=0
    )


@contextmanager
def courier(database: Database, mail_port: int = 1) -> Iterator[Courier]:
    running = Courier(AlertDeliveries(database), senders(mail_port), lambda: None, retry=SOON)
    listener = Listener(
        database.url, [ALERT_DELIVERY], lambda _channel, _payload: running.wake(), running.wake, name="courier-test"
    )
    listener.start()
    running.start()
    try:
        yield running
    finally:
        listener.stop()
        running.stop()


def rule(url: str, kind: RuleKind, **columns: object) -> int:
    """Switch on the standard rule of this kind, without its waits."""
    standard: dict[str, object] = {"duration_seconds": 0, "clear_seconds": 0, "enabled": True, **columns}
    names = ", ".join(f"{name} = %s" for name in standard)
    return int(
        rows(url, f"UPDATE alert_rules SET {names} WHERE kind = %s RETURNING id", *standard.values(), kind.value)[0][0]
    )


def hook(database: Database, receiver: HttpReceiver, **values: object) -> TargetRow:
    draft = TargetDraft(name="hook", kind=TargetKind.WEBHOOK, settings={"url": receiver.url}, **values)  # type: ignore[arg-type]
    return AlertTargets(database).add(draft, "anna")


def events(receiver: HttpReceiver) -> list[tuple[str, str]]:
    bodies = [json.loads(posted.body) for posted in receiver.posted]
    return [(body["event"], body["alert"]["subject"]["name"]) for body in bodies]


def test_a_modem_that_goes_is_told_of_and_so_is_its_return(database: Database, database_url: str) -> None:
    rule(database_url, RuleKind.MODEM_OFFLINE)
    look, book = watcher(database), Alerts(database)
    with http_receiver(HttpReceiver()) as receiver, courier(database):
        target = hook(database, receiver)
        assert look.turn()
        assert book.fetch_page(EVERYTHING) == ()
        rows(database_url, "UPDATE modems SET status = 'searching', reason = 'no network' WHERE serial = %s", MODEM)
        look.turn()
        (alert,) = book.fetch_page()
        assert (alert.subject, alert.host, alert.state) == (MODEM, HOST, AlertState.OPEN)
        assert alert.summary == f"Modem {MODEM}: searching, no network"
        eventually(lambda: events(receiver) == [("opened", MODEM)])
        rows(database_url, "UPDATE modems SET status = 'online', reason = ''")
        look.turn()
        eventually(lambda: events(receiver) == [("opened", MODEM), ("closed", MODEM)])
        assert target.secret is not None
        for posted in receiver.posted:
            assert is_signed(target.secret, posted.body, posted.headers["X-Lastmile-Signature"], int(time.time()))
        (closed,) = book.fetch_page(EVERYTHING)
        assert closed.state is AlertState.CLOSED
        eventually(
            lambda: (
                [each.state for each in AlertTargets(database).list_deliveries(target.id)] == [DeliveryState.SENT] * 2
            )
        )


def test_a_duration_is_waited_for_although_workers_come_and_go(database: Database, database_url: str) -> None:
    rule(database_url, RuleKind.MODEM_OFFLINE, duration_seconds=300)
    rows(database_url, "UPDATE modems SET status = 'offline' WHERE serial = %s", MODEM)
    watcher(database).turn()
    assert [alert.state for alert in Alerts(database).fetch_page(EVERYTHING)] == [AlertState.PENDING]
    rows(database_url, "UPDATE alerts SET since = since - interval '5 minutes'")
    watcher(database).turn()
    assert [alert.state for alert in Alerts(database).fetch_page(EVERYTHING)] == [AlertState.OPEN]


def test_two_workers_open_one_alert(database: Database, database_url: str) -> None:
    rule(database_url, RuleKind.MODEM_OFFLINE)
    hook(database, HttpReceiver(tcp_port=1))
    rows(database_url, "UPDATE modems SET status = 'offline'")
    threads = [threading.Thread(target=watcher(database).turn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    watcher(database).turn()
    assert rows(database_url, "SELECT count(*), count(DISTINCT subject) FROM alerts") == [(3, 3)]
    assert rows(database_url, "SELECT count(*) FROM alert_deliveries") == [(3,)]


def test_alerts_are_events_for_those_who_look(database: Database, database_url: str) -> None:
    rule(database_url, RuleKind.MODEM_OFFLINE)
    rows(database_url, "UPDATE modems SET status = 'offline' WHERE serial = %s", MODEM)
    watcher(database).turn()
    (alert,) = Alerts(database).fetch_page()
    Alerts(database).acknowledge(alert.id, "anna", "on my way")
    rows(database_url, "UPDATE modems SET status = 'online'")
    watcher(database).turn()
    told = rows(database_url, "SELECT kind, serial, host FROM events WHERE kind LIKE 'alert%' ORDER BY id")
    assert told == [(kind, MODEM, HOST) for kind in ("alert_opened", "alert_changed", "alert_closed")]


def test_a_receiver_that_is_down_gets_everything_later_and_in_order(database: Database, database_url: str) -> None:
    rule(database_url, RuleKind.MODEM_OFFLINE)
    up = threading.Event()

    def answer(_: Posted) -> tuple[int, dict[str, str]]:
        return (204 if up.is_set() else 503), {}

    with http_receiver(HttpReceiver(answer=answer)) as receiver, courier(database):
        target = hook(database, receiver)
        rows(database_url, "UPDATE modems SET status = 'offline' WHERE serial = %s", MODEM)
        watcher(database).turn()
        rows(database_url, "UPDATE modems SET status = 'online'")
        watcher(database).turn()
        eventually(lambda: len(receiver.posted) >= 2)
        assert {event for event, _ in events(receiver)} == {"opened"}
        up.set()
        eventually(lambda: events(receiver)[-1] == ("closed", MODEM), 20)
        tried = [posted.headers["X-Lastmile-Delivery"] for posted in receiver.posted]
        assert len(set(tried)) == 2
        eventually(lambda: AlertTargets(database).fetch(target.id).waiting == 0)  # type: ignore[union-attr]
    opened = AlertTargets(database).list_deliveries(target.id)[1]
    assert (opened.state, opened.attempts >= 2) == (DeliveryState.SENT, True)


def test_one_that_refuses_for_good_is_not_asked_again(database: Database, database_url: str) -> None:
    rule(database_url, RuleKind.MODEM_OFFLINE)
    with http_receiver(HttpReceiver(answer=lambda _: (410, {}))) as receiver, courier(database):
        target = hook(database, receiver)
        rows(database_url, "UPDATE modems SET status = 'offline' WHERE serial = %s", MODEM)
        watcher(database).turn()
        eventually(lambda: AlertTargets(database).fetch(target.id).last_state is DeliveryState.FAILED)  # type: ignore[union-attr]
        time.sleep(0.5)
        assert len(receiver.posted) == 1
    found = AlertTargets(database).fetch(target.id)
    assert found is not None
    assert found.last_reason == "it answers 410"


def test_a_dead_target_does_not_keep_others_waiting(database: Database, database_url: str, mails: MailReceiver) -> None:
    rule(database_url, RuleKind.MODEM_OFFLINE)
    targets = AlertTargets(database)
    # A port that nobody answers on: connection refused, again and again.
    targets.add(TargetDraft(name="dead", kind=TargetKind.WEBHOOK, settings={"url": "http://127.0.0.1:1/"}), "anna")
    targets.add(TargetDraft(name="mail", kind=TargetKind.EMAIL, settings={"to": ["anna@example.org"]}), "anna")
    rows(database_url, "UPDATE modems SET status = 'offline'")
    with courier(database, mails.tcp_port):
        watcher(database).turn()
        eventually(lambda: sum(str(mail.get_content()).count("[WARNING]") for mail in mails.mails) == 3)


def test_alerts_that_come_together_are_one_mail(database: Database, database_url: str, mails: MailReceiver) -> None:
    rule(database_url, RuleKind.MODEM_OFFLINE)
    AlertTargets(database).add(
        TargetDraft(name="mail", kind=TargetKind.EMAIL, settings={"to": ["anna@example.org"]}), "anna"
    )
    rows(database_url, "UPDATE modems SET status = 'offline'")
    watcher(database).turn()
    with courier(database, mails.tcp_port):
        eventually(lambda: rows(database_url, "SELECT count(*) FROM alert_deliveries WHERE state = 'sent'") == [(3,)])
    (mail,) = mails.mails
    assert mail["Subject"].endswith("(and 2 more)")


def test_a_message_of_a_worker_that_died_is_sent_by_another(database: Database, database_url: str) -> None:
    rule(database_url, RuleKind.MODEM_OFFLINE)
    with http_receiver(HttpReceiver()) as receiver:
        hook(database, receiver)
        rows(database_url, "UPDATE modems SET status = 'offline' WHERE serial = %s", MODEM)
        watcher(database).turn()
        assert len(AlertDeliveries(database).claim(10)) == 1
        assert AlertDeliveries(database).claim(10) == ()
        rows(database_url, "UPDATE alert_deliveries SET claimed_until = now()")
        with courier(database):
            eventually(lambda: events(receiver) == [("opened", MODEM)])


def test_who_wants_only_the_worst_gets_only_that(database: Database, database_url: str) -> None:
    rule(database_url, RuleKind.MODEM_OFFLINE)
    rule(database_url, RuleKind.MODEM_QUARANTINED)
    targets = AlertTargets(database)
    with http_receiver(HttpReceiver()) as receiver, courier(database):
        hook(database, receiver, least_severity=Severity.CRITICAL)
        rows(database_url, "UPDATE modems SET status = 'offline' WHERE serial = %s", MODEM)
        rows(database_url, "UPDATE modems SET status = 'quarantined' WHERE serial = %s", serial_of(2))
        watcher(database).turn()
        eventually(lambda: events(receiver) == [("opened", serial_of(2))])
        rows(database_url, "UPDATE modems SET status = 'online'")
        watcher(database).turn()
        eventually(lambda: events(receiver)[1:] == [("closed", serial_of(2))])
        assert [target.waiting for target in targets.list()] == [0]


def test_a_rule_may_name_who_is_told(database: Database, database_url: str) -> None:
    with http_receiver(HttpReceiver()) as one, http_receiver(HttpReceiver()) as other, courier(database):
        targets = AlertTargets(database)
        wanted = targets.add(TargetDraft(name="one", kind=TargetKind.WEBHOOK, settings={"url": one.url}), "anna")
        targets.add(TargetDraft(name="other", kind=TargetKind.WEBHOOK, settings={"url": other.url}), "anna")
        draft = RuleDraft(
            name="mine", kind=RuleKind.MODEM_OFFLINE, severity=Severity.INFO, targets=[wanted.id], clear_seconds=0
        )
        made = AlertRules(database).add(draft, "anna")
        rows(database_url, "UPDATE modems SET status = 'offline' WHERE serial = %s", MODEM)
        watcher(database).turn()
        eventually(lambda: len(one.posted) == 1)
        # The rule goes, and its alert with it: who was told of its begin is told of its end.
        assert AlertRules(database).remove(made.id)
        watcher(database).turn()
        eventually(lambda: events(one) == [("opened", MODEM), ("closed", MODEM)])
        assert other.posted == []


def test_acknowledged_and_silenced_alerts_bother_nobody(database: Database, database_url: str) -> None:
    rule_id = rule(database_url, RuleKind.MODEM_OFFLINE, repeat_seconds=60)
    book = Alerts(database)
    hook(database, HttpReceiver(tcp_port=1))
    soon = datetime.now(UTC) + timedelta(hours=1)
    subject = Subject(kind=SubjectKind.MODEM, name=serial_of(2), host=HOST)
    silence = book.silence(rule_id=rule_id, subject=subject, until=soon, reason="works", by="anna")
    rows(database_url, "UPDATE modems SET status = 'offline' WHERE serial <> %s", serial_of(3))
    watcher(database).turn()
    told = "SELECT subject, event FROM alert_deliveries AS each JOIN alerts ON alerts.id = alert_id ORDER BY each.id"
    assert rows(database_url, told) == [(MODEM, "opened")]
    assert {alert.subject: alert.silenced for alert in book.fetch_page()} == {MODEM: False, serial_of(2): True}
    rows(database_url, "UPDATE alerts SET notified_at = notified_at - interval '2 minutes'")
    watcher(database).turn()
    assert rows(database_url, told) == [(MODEM, "opened"), (MODEM, "reminder")]
    (alert,) = book.fetch_page(AlertFilter(subject=MODEM))
    assert book.acknowledge(alert.id, "anna", "on my way") is not None
    rows(database_url, "UPDATE alerts SET notified_at = notified_at - interval '2 minutes'")
    watcher(database).turn()
    assert len(rows(database_url, told)) == 2
    assert book.end_silence(silence.id)
    watcher(database).turn()
    assert rows(database_url, told)[2:] == [(serial_of(2), "opened")]


def test_a_test_is_sent_at_once_and_says_how_it_went(database: Database) -> None:
    targets = AlertTargets(database)
    with http_receiver(HttpReceiver(answer=lambda _: (503, {}))) as receiver, courier(database):
        target = hook(database, receiver)
        tried = targets.await_delivery(targets.add_test(target.id, "anna"), Deadline.after(10))
        assert tried is not None
        assert (tried.state, tried.reason) == (DeliveryState.PENDING, "it answers 503")
        assert events(receiver)[0] == ("test", "test")
    targets.close()


def test_every_kind_of_rule_sees_what_it_is_about(database: Database, database_url: str) -> None:
    rows(database_url, "UPDATE alert_rules SET enabled = true, duration_seconds = 0, clear_seconds = 0")
    watcher(database).turn()
    assert Alerts(database).fetch_page(EVERYTHING) == ()
    first, second, third = (serial_of(number) for number in (1, 2, 3))
    rows(database_url, "UPDATE modems SET status = 'offline', wan_address = '100.64.0.9' WHERE serial = %s", first)
    rows(database_url, "UPDATE modems SET status = 'quarantined' WHERE serial = %s", second)
    rows(
        database_url,
        "UPDATE modems SET status = 'degraded', reason = 'no way through: timed out', sinr_db = -9 WHERE serial = %s",
        third,
    )
    rows(
        database_url,
        "INSERT INTO modem_commands (serial, kind, state, finished_at) VALUES (%s, 'reconnect', 'done', now())",
        first,
    )
    parameters = '{"rsrp_dbm": null, "rsrq_db": null, "sinr_db": 0, "hysteresis_db": 3}'
    rule(database_url, RuleKind.SIGNAL_BELOW, parameters=parameters)
    rule(database_url, RuleKind.ENDPOINT_BUDGET, parameters='{"endpoints_of_modem": 14, "endpoints_of_controller": 40}')
    rule(database_url, RuleKind.FAULT_RATE, parameters='{"faults": 1, "minutes": 60}')
    rule(database_url, RuleKind.QUEUE_DEPTH, parameters='{"tasks": 1}')
    rule(database_url, RuleKind.DATABASE, parameters='{"connections_percent": 1, "transaction_seconds": 3600}')
    late = add_device(database_url, 1, age_seconds=901, inform_interval_seconds=300)
    add_device(database_url, 2, age_seconds=901, inform_interval_seconds=400)
    add_device(database_url, 3, age_seconds=9000, state="held")
    rows(database_url, "INSERT INTO hosts (name, last_seen) VALUES ('farm-9', now() - interval '2 minutes')")
    for number in (1, 2):
        rows(
            database_url,
            "INSERT INTO faults (device_id, channel, code, message) SELECT id, 'task', '9001', 'no' FROM devices"
            " ORDER BY id OFFSET %s LIMIT 1",
            number - 1,
        )
        rows(
            database_url,
            "INSERT INTO tasks (device_id, kind, priority, expires_at)"
            " SELECT id, 'reboot', 1, now() + interval '1 hour' FROM devices ORDER BY id LIMIT 1",
        )
    watcher(database).turn()
    found = {(alert.kind, alert.subject) for alert in Alerts(database).fetch_page()}
    assert found == {
        (RuleKind.MODEM_OFFLINE, first),
        (RuleKind.MODEM_QUARANTINED, second),
        (RuleKind.MODEM_OUT_OF_CREDIT, third),
        (RuleKind.SIGNAL_BELOW, third),
        (RuleKind.ADDRESS_UNCHANGED, first),
        (RuleKind.HOST_SILENT, "farm-9"),
        (RuleKind.ENDPOINT_BUDGET, f"{HOST} USB bus 1"),
        (RuleKind.DEVICE_NOT_SEEN, late),
        (RuleKind.FAULT_RATE, "faults"),
        (RuleKind.QUEUE_DEPTH, "tasks"),
        (RuleKind.DATABASE, "database connections"),
    }


def test_what_is_wrong_with_a_modem_of_a_silent_agent_is_left_open(database: Database, database_url: str) -> None:
    rule(database_url, RuleKind.MODEM_OFFLINE)
    rows(database_url, "UPDATE modems SET status = 'offline' WHERE serial = %s", MODEM)
    watcher(database).turn()
    rows(database_url, "UPDATE hosts SET last_seen = now() - interval '5 minutes'")
    rows(database_url, "UPDATE modems SET status = CASE serial WHEN %s THEN 'online' ELSE 'offline' END", MODEM)
    watcher(database).turn()
    assert [(alert.subject, alert.state) for alert in Alerts(database).fetch_page(EVERYTHING)] == [
        (MODEM, AlertState.OPEN)
    ]


def test_thousands_of_silent_devices_are_a_hundred_alerts_and_one(database: Database, database_url: str) -> None:
    rule(database_url, RuleKind.DEVICE_NOT_SEEN)
    device = add_device(database_url, 500, age_seconds=4000)
    watcher(database).turn()
    rows(
        database_url,
        "INSERT INTO devices (device_id, model_id, manufacturer, oui, product_class, serial_number, state)"
        " SELECT 'a-b-' || n, (SELECT min(id) FROM device_models), 'm', 'a', 'b', n, 'accepted'"
        " FROM generate_series(1, 2000) AS n",
    )
    rows(
        database_url,
        "INSERT INTO device_informs (device_id, at, events, values) SELECT id, now() - interval '1 day', '{}', '{}'"
        " FROM devices ON CONFLICT DO NOTHING",
    )
    for _ in range(2):
        watcher(database).turn()
    page = Alerts(database).fetch_page(limit=1000)
    assert len(page) == 101
    assert device in {alert.subject for alert in page}
    assert [alert.value for alert in page if alert.subject_kind is SubjectKind.FLEET] == [1901]


def test_a_rule_that_makes_no_sense_is_passed_over(database: Database, database_url: str) -> None:
    rule(database_url, RuleKind.MODEM_OFFLINE)
    rows(database_url, "INSERT INTO alert_rules (name, kind, severity) VALUES ('later', 'pon_alarm', 'info')")
    rule(database_url, RuleKind.QUEUE_DEPTH, parameters='{"tasks": "many"}')
    rows(database_url, "UPDATE modems SET status = 'offline' WHERE serial = %s", MODEM)
    watcher(database).turn()
    assert [alert.subject for alert in Alerts(database).fetch_page()] == [MODEM]


def test_old_alerts_and_deliveries_are_forgotten(database: Database, database_url: str) -> None:
    rule(database_url, RuleKind.MODEM_OFFLINE)
    hook(database, HttpReceiver(tcp_port=1))
    rows(database_url, "UPDATE modems SET status = 'offline'")
    watcher(database).turn()
    rows(
        database_url,
        "UPDATE alerts SET state = 'closed', closed_at = now() - interval '31 days' WHERE subject = %s",
        MODEM,
    )
    rows(database_url, "UPDATE alert_deliveries SET state = 'failed', finished_at = now() - interval '29 days'")
    assert Alerts(database).retire(30) == 1
    assert len(Alerts(database).fetch_page(EVERYTHING)) == 2
    assert rows(database_url, "SELECT count(*) FROM alert_deliveries") == [(2,)]


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with running_postgres(tmp_path_factory.mktemp("own")) as server:
        make_template(server)
        yield server


def test_a_database_that_is_away_is_told_of_from_memory_and_written_down_later(own_postgres: EmbeddedPostgres) -> None:
    with (
        fresh_database(own_postgres) as url,
        http_receiver(HttpReceiver()) as receiver,
        Database(url, timeout_seconds=1) as database,
    ):
        rule(url, RuleKind.DATABASE, duration_seconds=1)
        hook(database, receiver)
        running = watcher(database)
        running.turn()
        running.start()
        try:
            own_postgres.stop()
            eventually(lambda: events(receiver) == [("opened", "database away")], 20)
            time.sleep(1)
            assert len(receiver.posted) == 1
            own_postgres.start()
            eventually(lambda: rows(url, "SELECT count(*) FROM alerts WHERE subject = 'database away'") == [(1,)], 20)
        finally:
            running.stop()
        with courier(database):
            eventually(lambda: events(receiver)[1:] == [("closed", "database away")], 20)
        (alert,) = Alerts(database).fetch_page(EVERYTHING)
        assert alert.opened_at is not None
        assert alert.closed_at is not None
        assert (alert.state, alert.closed_at > alert.opened_at) == (AlertState.CLOSED, True)
