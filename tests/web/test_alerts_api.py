"""The API of alerts: what is wrong, who looks after it, rules, and whom to tell."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from agent.alert.model import RuleKind
from agent.store.alert_deliveries import AlertDeliveries
from agent.store.alert_rows import DeliveryState
from agent.store.rows import Role, Scope
from agent.web.services import Services
from tests.store.farm import HOST, rows
from tests.web.conftest import MODEM, Headers

OPEN = (
    "INSERT INTO alerts (rule_id, rule, kind, severity, subject_kind, subject, host, state, summary, since, seen_at,"
    " opened_at) SELECT id, name, kind, severity, %s, %s, %s, 'open', %s, now(), now(), now()"
    " FROM alert_rules WHERE kind = %s RETURNING id"
)
WEBHOOK = {"name": "hook", "webhook": {"url": "https://hooks.example.org/T0/secret-path"}}


def add_alert(
    url: str,
    subject: str = MODEM,
    kind: RuleKind = RuleKind.MODEM_OFFLINE,
    host: str | None = HOST,
    about: str = "modem",
) -> int:
    return int(rows(url, OPEN, about, subject, host, f"{subject} is gone", kind.value)[0][0])


def ask(client: FlaskClient, method: str, path: str, headers: Headers, body: Any = None, status: int = 200) -> Any:
    answer = client.open(f"/api/v1{path}", method=method, headers=headers, json=body)
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_json(silent=True)


def audit(url: str) -> list[tuple[Any, ...]]:
    return rows(url, "SELECT action, target, details, before FROM audit_log ORDER BY id")


def test_open_alerts_are_listed_newest_first_and_counted(client: FlaskClient, viewer: Headers, url: str) -> None:
    first, second = add_alert(url), add_alert(url, HOST, RuleKind.HOST_SILENT, about="host")
    rows(url, "INSERT INTO alerts (rule, kind, severity, subject_kind, subject, state, summary, since, seen_at)"
        " VALUES ('r', 'database', 'info', 'fleet', 'x', 'pending', 's', now(), now())")  # fmt: skip
    page = ask(client, "GET", "/alerts?limit=1", viewer)
    assert ([alert["id"] for alert in page["alerts"]], page["next_before_id"]) == ([second], second)
    page = ask(client, "GET", f"/alerts?before_id={second}", viewer)
    assert ([alert["id"] for alert in page["alerts"]], page["next_before_id"]) == ([first], None)
    assert len(ask(client, "GET", "/alerts?state=open&state=pending", viewer)["alerts"]) == 3
    assert [a["id"] for a in ask(client, "GET", "/alerts?severity=critical", viewer)["alerts"]] == [second]
    assert [a["id"] for a in ask(client, "GET", f"/alerts?subject={MODEM}&kind=modem_offline", viewer)["alerts"]] == [
        first
    ]
    counts = ask(client, "GET", "/alerts/count", viewer)["open"]
    assert [(each["severity"], each["alerts"]) for each in counts] == [("critical", 1), ("warning", 1)]
    assert ask(client, "GET", f"/alerts/{first}", viewer)["summary"] == f"{MODEM} is gone"


def test_somebody_looks_after_it_and_does_not_any_more(client: FlaskClient, operator: Headers, url: str) -> None:
    alert = add_alert(url)
    shown = ask(client, "POST", f"/alerts/{alert}/acknowledge", operator, {"note": "on my way"})
    assert (shown["acknowledged_by"], shown["acknowledgement"]) == ("operator", "on my way")
    assert ask(client, "GET", "/alerts/count", operator)["open"][0]["acknowledged"] == 1
    assert ask(client, "POST", f"/alerts/{alert}/unacknowledge", operator, {})["acknowledged_by"] is None
    assert [entry[:2] for entry in audit(url)] == [("alert.acknowledge", MODEM), ("alert.unacknowledge", MODEM)]
    rows(url, "UPDATE alerts SET state = 'closed'")
    error = ask(client, "POST", f"/alerts/{alert}/acknowledge", operator, {}, 409)
    assert error["error"]["code"] == "alert_not_open"


def test_what_an_alert_is_about_is_silenced_and_told_again(client: FlaskClient, operator: Headers, url: str) -> None:
    alert = add_alert(url)
    silence = ask(client, "POST", f"/alerts/{alert}/silence", operator, {"minutes": 30, "reason": "works"}, 201)
    assert (silence["rule"], silence["subject"]) == ("Modem offline", MODEM)
    assert ask(client, "GET", f"/alerts/{alert}", operator)["silenced"] is True
    assert ask(client, "GET", "/alert-silences", operator)["silences"] == [silence]
    ask(client, "DELETE", f"/alert-silences/{silence['id']}", operator, status=204)
    ask(client, "DELETE", f"/alert-silences/{silence['id']}", operator, status=404)
    assert ask(client, "GET", f"/alerts/{alert}", operator)["silenced"] is False
    everything = ask(client, "POST", "/alert-silences", operator, {"minutes": 5}, 201)
    assert (everything["rule_id"], everything["subject"]) == (None, None)
    ask(client, "POST", "/alert-silences", operator, {"minutes": 5, "rule_id": 10**12}, 400)


def test_who_may_do_what(client: FlaskClient, viewer: Headers, operator: Headers, url: str) -> None:
    alert = add_alert(url)
    for method, path, body in (
        ("POST", f"/alerts/{alert}/acknowledge", {}),
        ("POST", f"/alerts/{alert}/silence", {"minutes": 1}),
        ("POST", "/alert-silences", {"minutes": 1}),
    ):
        ask(client, method, path, viewer, body, 403)
    for method, path in (
        ("POST", "/alert-rules"),
        ("PUT", "/alert-rules/1"),
        ("DELETE", "/alert-rules/1"),
        ("GET", "/alert-targets"),
    ):
        ask(client, method, path, operator, {} if method in ("POST", "PUT") else None, 403)
    # What was refused is written down as such, and nothing else was done.
    assert {entry[0].partition(".")[0] for entry in audit(url)} == {"api"}
    assert rows(url, "SELECT count(*) FROM alert_silences") == [(0,)]


def test_alerts_out_of_sight_are_not_there(client: FlaskClient, services: Services, url: str) -> None:
    def headers(name: str, scope: Scope) -> Headers:
        return {"Authorization": f"Bearer {services.tokens.create(name, Role.OPERATOR, scope=scope)}"}

    rows(url, "INSERT INTO device_models (oui, product_class) VALUES ('a', 'b')")
    rows(
        url,
        "INSERT INTO devices (id, device_id, model_id, manufacturer, oui, product_class, serial_number, state)"
        " VALUES (1, 'a-b-1', (SELECT id FROM device_models), 'm', 'a', 'b', 's', 'accepted')",
    )
    rows(url, "INSERT INTO device_tags (device_id, tag) VALUES (1, 'ours')")
    modem = add_alert(url)
    device = add_alert(url, "a-b-1", RuleKind.DEVICE_NOT_SEEN, None, "device")
    fleet = add_alert(url, "faults", RuleKind.FAULT_RATE, None, "fleet")
    sights = {
        "hosts": (Scope(hosts=(HOST,), tags=()), {modem}),
        "tags": (Scope(hosts=(), tags=("ours",)), {device}),
        "else": (Scope(hosts=("elsewhere",), tags=("theirs",)), set()),
        "all": (Scope(), {modem, device, fleet}),
    }
    for name, (scope, expected) in sights.items():
        seen = headers(name, scope)
        assert {alert["id"] for alert in ask(client, "GET", "/alerts", seen)["alerts"]} == expected
        assert sum(each["alerts"] for each in ask(client, "GET", "/alerts/count", seen)["open"]) == len(expected)
        for alert in (modem, device, fleet):
            ask(client, "GET", f"/alerts/{alert}", seen, status=200 if alert in expected else 404)
            ask(client, "POST", f"/alerts/{alert}/acknowledge", seen, {}, 200 if alert in expected else 404)
    part = headers("part", sights["hosts"][0])
    silence = ask(client, "POST", f"/alerts/{modem}/silence", part, {"minutes": 5}, 201)["id"]
    stranger = headers("stranger", sights["else"][0])
    assert ask(client, "GET", "/alert-silences", stranger)["silences"] == []
    ask(client, "DELETE", f"/alert-silences/{silence}", stranger, status=404)
    for path in ("/alert-rules", "/alert-rules/1"):
        ask(client, "GET", path, part, status=403)
    ask(client, "POST", "/alert-silences", part, {"minutes": 5}, 403)


def test_rules_are_there_from_the_start_and_can_be_changed(client: FlaskClient, admin: Headers, url: str) -> None:
    found = ask(client, "GET", "/alert-rules", admin)["rules"]
    assert {rule["kind"] for rule in found} == {kind.value for kind in RuleKind}
    assert all(rule["enabled"] and rule["targets"] is None for rule in found)
    kinds = {each["kind"]: each["parameters"] for each in ask(client, "GET", "/alert-rules/kinds", admin)["kinds"]}
    for rule in found:
        assert set(rule["parameters"]) == {each["name"] for each in kinds[rule["kind"]]}
    weak = next(rule for rule in found if rule["kind"] == "signal_below")
    body = {
        "name": "Weak",
        "kind": "signal_below",
        "severity": "warning",
        "parameters": {"rsrp_dbm": -110},
        "hosts": ["farm-1"],
    }
    changed = ask(client, "PUT", f"/alert-rules/{weak['id']}", admin, body)
    assert (changed["parameters"]["rsrp_dbm"], changed["parameters"]["hysteresis_db"], changed["hosts"]) == (
        -110,
        3,
        ["farm-1"],
    )
    assert ask(client, "GET", f"/alert-rules/{weak['id']}", admin) == changed
    (entry,) = audit(url)
    assert (entry[0], entry[3]["parameters"]["rsrp_dbm"]) == ("alert_rule.change", -118)
    ask(client, "DELETE", f"/alert-rules/{weak['id']}", admin, status=204)
    ask(client, "GET", f"/alert-rules/{weak['id']}", admin, status=404)
    ask(client, "PUT", f"/alert-rules/{weak['id']}", admin, body, 404)


def test_a_rule_is_added(client: FlaskClient, admin: Headers) -> None:
    body = {
        "name": "Deep queue",
        "kind": "queue_depth",
        "severity": "critical",
        "parameters": {"tasks": 5},
        "tags": ["lab"],
    }
    made = ask(client, "POST", "/alert-rules", admin, body, 201)
    assert (made["created_by"], made["parameters"], made["tags"]) == ("admin", {"tasks": 5}, ["lab"])
    assert ask(client, "POST", "/alert-rules", admin, body, 409)["error"]["code"] == "rule_exists"


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "nothing"},
        {"parameters": {"tasks": -1}},
        {"parameters": {"others": 1}},
        {"parameters": {"tasks": "5"}},
        {"parameters": {"tasks": None}},
        {"repeat_seconds": 5},
        {"name": ""},
        {"name": "a\nb"},
        {"name": "a\x85b"},
        {"targets": [99]},
        {"severity": "awful"},
        {"duration_seconds": 10**9},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(client: FlaskClient, admin: Headers, change: dict[str, Any]) -> None:
    body = {"name": "Rule", "kind": "queue_depth", "severity": "info", **change}
    ask(client, "POST", "/alert-rules", admin, body, 400)


def test_numbers_that_are_none_are_refused(client: FlaskClient, admin: Headers) -> None:
    text = '{"name": "x", "kind": "queue_depth", "severity": "info", "parameters": {"tasks": %s}}'
    for number in ("NaN", "Infinity", "1e999"):
        answer = client.post("/api/alert-rules", headers=admin, data=text % number, content_type="application/json")
        assert answer.status_code == 400, number


def test_a_webhooks_secret_is_shown_once_and_its_path_is_in_no_log(
    client: FlaskClient, admin: Headers, url: str
) -> None:
    made = ask(client, "POST", "/alert-targets", admin, WEBHOOK, 201)
    assert len(made["secret"]) >= 32
    target = made["target"]
    listed = ask(client, "GET", "/alert-targets", admin)
    assert listed["targets"] == [target]
    assert made["secret"] not in json.dumps(listed)
    changed = {**WEBHOOK, "least_severity": "critical", "enabled": False}
    assert ask(client, "PUT", f"/alert-targets/{target['id']}", admin, changed)["least_severity"] == "critical"
    assert rows(url, "SELECT secret FROM alert_targets") == [(made["secret"],)]
    own = {**WEBHOOK, "webhook": {**WEBHOOK["webhook"], "secret": "of-our-own-choosing"}}  # type: ignore[dict-item]
    ask(client, "PUT", f"/alert-targets/{target['id']}", admin, own)
    assert rows(url, "SELECT secret FROM alert_targets") == [("of-our-own-choosing",)]
    ask(client, "DELETE", f"/alert-targets/{target['id']}", admin, status=204)
    told = json.dumps([list(entry) for entry in audit(url)])
    assert [entry[0] for entry in audit(url)] == [
        "alert_target." + word for word in ("add", "change", "change", "remove")
    ]
    for secret in ("secret-path", made["secret"], "of-our-own-choosing"):
        assert secret not in told
    assert "https://hooks.example.org" in told


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"name": "x", "webhook": {"url": "ftp://example.org/"}},
        {"name": "x", "webhook": {"url": "https://user:pw@example.org/"}},
        {"name": "x", "webhook": {"url": "https://example.org/"}, "email": {"to": ["a@example.org"]}},
        {"name": "x", "webhook": {"url": "https://example.org/", "secret": "short"}},
        {"name": "x", "email": {"to": []}},
        {"name": "x", "email": {"to": ["a@example.org\r\nBcc: b@example.org"]}},
        {"name": "x", "email": {"to": ["a@b@c"]}},
        {"name": "x", "syslog": {"transport": "udp"}},
        {"name": "x", "syslog": {"transport": "local", "host": "example.org"}},
        {"name": "x", "syslog": {"facility": 24}},
    ],
)
def test_a_target_that_makes_no_sense_is_refused(client: FlaskClient, admin: Headers, body: dict[str, Any]) -> None:
    ask(client, "POST", "/alert-targets", admin, body, 400)


def test_targets_keep_their_kind_and_their_names_apart(client: FlaskClient, admin: Headers) -> None:
    first = ask(client, "POST", "/alert-targets", admin, WEBHOOK, 201)["target"]
    mail = {"name": "mail", "email": {"to": ["anna@example.org"]}}
    second = ask(client, "POST", "/alert-targets", admin, mail, 201)
    assert second["secret"] is None
    assert ask(client, "POST", "/alert-targets", admin, WEBHOOK, 409)["error"]["code"] == "target_exists"
    ask(client, "PUT", f"/alert-targets/{first['id']}", admin, {**mail, "name": "hook"}, 400)
    ask(client, "PUT", f"/alert-targets/{first['id']}", admin, {**WEBHOOK, "name": "mail"}, 409)
    rule = {"name": "mine", "kind": "database", "severity": "info", "targets": [first["id"], second["target"]["id"]]}
    made = ask(client, "POST", "/alert-rules", admin, rule, 201)
    ask(client, "DELETE", f"/alert-targets/{first['id']}", admin, status=204)
    assert ask(client, "GET", f"/alert-rules/{made['id']}", admin)["targets"] == [second["target"]["id"]]


def test_a_test_waits_for_its_outcome(client: FlaskClient, admin: Headers, services: Services) -> None:
    target = ask(client, "POST", "/alert-targets", admin, WEBHOOK, 201)["target"]
    path = f"/alert-targets/{target['id']}"
    stop = threading.Event()

    def deliver() -> None:
        deliveries = AlertDeliveries(services.database)
        while not stop.wait(0.05):
            for each in deliveries.claim(5):
                deliveries.finish([each.id], DeliveryState.FAILED, "it answers 404")

    thread = threading.Thread(target=deliver)
    thread.start()
    try:
        tried = ask(client, "POST", f"{path}/test", admin, {})
    finally:
        stop.set()
        thread.join(10)
    assert (tried["event"], tried["state"], tried["reason"]) == ("test", "failed", "it answers 404")
    assert ask(client, "POST", f"{path}/test?wait=0", admin, {})["state"] == "pending"
    page = ask(client, "GET", f"{path}/deliveries?limit=1", admin)
    assert ([each["state"] for each in page["deliveries"]], page["next_before_id"] is None) == (["pending"], False)
    shown = ask(client, "GET", path, admin)
    assert (shown["waiting"], shown["last_state"], shown["last_reason"]) == (1, "failed", "it answers 404")


def test_what_is_not_there_is_not_found(client: FlaskClient, login: Callable[[Role], Headers]) -> None:
    admin = login(Role.ADMIN)
    paths = ("/alerts/9", "/alerts/x", f"/alerts/{10**18}", "/alert-rules/999", "/alert-targets/9")
    for path in (*paths, "/alert-targets/9/deliveries"):
        ask(client, "GET", path, admin, status=404)
