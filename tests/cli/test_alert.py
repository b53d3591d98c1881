"""`lastmile alert`"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.alert.model import Severity
from agent.cli import exits
from agent.store.alert_deliveries import AlertDeliveries
from agent.store.alert_rows import DeliveryState, TargetKind
from agent.store.alert_targets import AlertTargets, TargetDraft
from agent.store.database import Database
from tests.cli.conftest import Run
from tests.store.farm import rows

OPEN = (
    "INSERT INTO alerts (rule_id, rule, kind, severity, subject_kind, subject, host, state, summary, since, seen_at,"
    " opened_at) SELECT id, name, kind, severity, 'modem', '860000000000001', 'farm-1', 'open', 'Modem is gone', now(),"
    " now(), now() FROM alert_rules WHERE kind = 'modem_offline' RETURNING id"
)


@pytest.fixture
def alert(database_url: str) -> int:
    return int(rows(database_url, OPEN)[0][0])


def test_open_alerts_are_listed(run: Run, config: Path, database_url: str) -> None:
    assert run("--config", config, "alert", "list").out == "There is no open alert.\n"
    number = int(rows(database_url, OPEN)[0][0])
    assert "warning" in run("--config", config, "alert", "list").out
    (shown,) = json.loads(run("--config", config, "alert", "list", "--json").out)
    assert (shown["id"], shown["summary"], shown["state"]) == (number, "Modem is gone", "open")
    rows(database_url, "UPDATE alerts SET state = 'closed'")
    assert "(closed)" in run("--config", config, "alert", "list", "--all").out


def test_somebody_looks_after_it_once_it_is_there(run: Run, config: Path, alert: int, database_url: str) -> None:
    assert run("--config", config, "alert", "ack", alert, "--note", "on my way").status == 0
    assert "looks after it" in run("--config", config, "alert", "list").out
    assert run("--config", config, "alert", "ack", alert, "--undo").status == 0
    assert run("--config", config, "alert", "ack", 999).status == exits.NOT_FOUND
    rows(database_url, "UPDATE alerts SET state = 'closed'")
    assert run("--config", config, "alert", "ack", alert).status == exits.NOT_FOUND
    found = rows(database_url, "SELECT action FROM audit_log ORDER BY id")
    assert [row[0] for row in found] == ["alert.acknowledge", "alert.unacknowledge", "alert.acknowledge"]


def test_an_alert_a_rule_or_everything_is_silenced(run: Run, config: Path, alert: int, database_url: str) -> None:
    assert run("--config", config, "alert", "silence", alert, "--minutes", 5).status == 0
    assert "silenced" in run("--config", config, "alert", "list").out
    assert run("--config", config, "alert", "silence", "--rule", "Modem offline").status == 0
    assert run("--config", config, "alert", "silence", "--everything").status == 0
    kept = rows(database_url, "SELECT rule_id IS NULL, subject FROM alert_silences ORDER BY id")
    assert kept == [(False, "860000000000001"), (False, None), (True, None)]
    assert run("--config", config, "alert", "silence", "--rule", "no such rule").status == exits.NOT_FOUND
    for wrong in ((), (alert, "--everything")):
        assert run("--config", config, "alert", "silence", *wrong).status == exits.USAGE


def test_rules_are_listed_with_their_limits(run: Run, config: Path, database_url: str) -> None:
    rows(database_url, "UPDATE alert_rules SET enabled = false WHERE kind = 'database'")
    out = run("--config", config, "alert", "rules").out
    assert "signal_below (rsrp_dbm -118, hysteresis_db 3)" in out
    assert any(line.startswith("Database") and " off " in line for line in out.splitlines())
    assert len(json.loads(run("--config", config, "alert", "rules", "--json").out)) == len(out.splitlines())


@contextmanager
def worker(database_url: str, state: DeliveryState, reason: str) -> Iterator[None]:
    stop = threading.Event()

    def deliver() -> None:
        with Database(database_url) as database:
            deliveries = AlertDeliveries(database)
            while not stop.wait(0.05):
                for each in deliveries.claim(5):
                    deliveries.finish([each.id], state, reason)

    thread = threading.Thread(target=deliver)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


def test_a_target_is_tried(run: Run, config: Path, database_url: str) -> None:
    assert "Nobody is told" in run("--config", config, "alert", "targets").out
    assert run("--config", config, "alert", "test", "hook").status == exits.NOT_FOUND
    draft = TargetDraft(
        name="hook",
        kind=TargetKind.WEBHOOK,
        settings={"url": "https://hooks.example.org/"},
        least_severity=Severity.WARNING,
    )
    with Database(database_url) as database:
        secret = AlertTargets(database).add(draft, "anna").secret
    assert secret is not None
    with worker(database_url, DeliveryState.SENT, ""):
        told = run("--config", config, "alert", "test", "hook")
    assert (told.status, told.out) == (0, "hook was told.\n")
    with worker(database_url, DeliveryState.FAILED, "it answers 404"):
        told = run("--config", config, "alert", "test", "hook")
    assert (told.status, "it answers 404" in told.err) == (exits.REFUSED, True)
    assert run("--config", config, "alert", "test", "hook", "--timeout", 1).status == exits.TEMPORARY
    assert "warning and worse; last: failed it answers 404" in run("--config", config, "alert", "targets").out
    assert secret not in run("--config", config, "alert", "targets", "--json").out
