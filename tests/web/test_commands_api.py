"""Commands go to the modem's agent, and come back as HTTP says it."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from agent.store.rows import CommandState
from agent.web.services import Services
from tests.store.farm import rows
from tests.web.conftest import MODEM, Agent, Headers

COMMAND = f"/api/modems/{MODEM}/command"


@pytest.mark.parametrize(
    ("body", "kind", "argument"),
    [
        ({"at": "AT+CSQ"}, "at", {"command": "AT+CSQ"}),
        ({"at": " AT+CSQ "}, "at", {"command": "AT+CSQ"}),
        ({"qmi": "signal"}, "qmi", {"action": "signal"}),
        ({"action": "reconnect"}, "reconnect", {}),
        ({"action": "plan", "timeout_seconds": 2}, "plan", {}),
    ],
)
def test_the_agent_gets_it_and_its_answer_comes_back(
    client: FlaskClient, operator: Headers, agent: Agent, services: Services, body: Any, kind: str, argument: Any
) -> None:
    agent.reply = ("done", {"lines": ["+CSQ: 20,99"], "final": "OK"}, None, None)
    response = client.post(COMMAND, headers=operator, json=body)
    assert response.status_code == 200
    answer = response.get_json()
    assert answer["result"] == {"lines": ["+CSQ: 20,99"], "final": "OK"}
    assert (answer["kind"], answer["state"], answer["requested_by"]) == (kind, "done", "operator")
    assert [(each.kind, each.argument) for each in agent.seen] == [(kind, argument)]
    (audit,) = services.audit.fetch()
    assert (audit.action, audit.target, audit.details) == (f"modem.command.{kind}", MODEM, argument)


def test_restart_is_a_command(client: FlaskClient, operator: Headers, agent: Agent) -> None:
    assert client.post(f"/api/modems/{MODEM}/restart", headers=operator).status_code == 200
    assert [each.kind for each in agent.seen] == ["restart"]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("bad_request", 400),
        ("modem_refused", 502),
        ("timeout", 504),
        ("modem_absent", 409),
        ("modem_unavailable", 503),
        ("busy", 503),
        ("agent_restarted", 503),
        ("something_new", 502),
    ],
)
def test_what_the_agent_says_of_a_failure(
    client: FlaskClient, operator: Headers, agent: Agent, code: str, status: int
) -> None:
    agent.reply = ("failed", {"code": 13}, code, "AT+CSQ: SIM failure (CME 13)")
    response = client.post(COMMAND, headers=operator, json={"at": "AT+CSQ"})
    assert response.status_code == status
    error = response.get_json()["error"]
    assert error["code"] == code
    assert error["message"] == "AT+CSQ: SIM failure (CME 13)"
    assert error["details"]["result"] == {"code": 13}
    assert ("Retry-After" in response.headers) == (status == 503)


def test_without_an_agent_it_is_cancelled_in_time(client: FlaskClient, operator: Headers, services: Services) -> None:
    begun = time.monotonic()
    response = client.post(COMMAND, headers=operator, json={"at": "AT", "timeout_seconds": 0.3})
    assert time.monotonic() - begun < 3
    assert response.status_code == 504
    error = response.get_json()["error"]
    assert error["code"] == "agent_timeout"
    row = services.fleet.fetch_command(error["details"]["id"])
    assert row is not None
    assert row.state is CommandState.EXPIRED


def test_an_agent_that_does_not_finish(client: FlaskClient, operator: Headers, agent: Agent) -> None:
    agent.reply = ("silent", {}, None, None)
    response = client.post(COMMAND, headers=operator, json={"at": "AT", "timeout_seconds": 0.5})
    assert response.status_code == 504
    assert response.get_json()["error"]["code"] == "command_timeout"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"at": ""},
        {"at": "AT", "qmi": "signal"},
        {"at": "AT", "action": None},
        {"at": 5},
        {"at": "AT+CSQ\r\nAT+CFUN=0"},
        {"at": "rm -rf /"},
        {"at": "AT" + "x" * 400},
        {"at": 'AT+CMGS="+491701234567"'},
        {"qmi": "reset"},
        {"action": "explode"},
        {"at": "AT", "timeout_seconds": 0},
        {"at": "AT", "timeout_seconds": "5"},
        {"at": "AT", "extra": 1},
        [],
        "AT",
        None,
    ],
)
def test_what_is_no_command_is_refused(client: FlaskClient, admin: Headers, services: Services, body: Any) -> None:
    response = client.post(COMMAND, headers=admin, json=body)
    assert response.status_code == 400
    assert response.get_json()["error"]["code"] in ("bad_request", "command_refused")
    assert services.audit.fetch() == ()


@pytest.mark.parametrize(
    "line",
    [
        'AT+CPIN="4711"',
        "at+cpin=4711",
        'AT+CPIN2="4711"',
        'ATE0;+CPIN="4711"',
        'AT+CLCK="SC",1,"4711"',
        'AT+CPWD="SC","4711","4711"',
        "ATD**04*4711*4711*4711#",
    ],
)
def test_a_pin_is_never_taken_echoed_or_kept(
    client: FlaskClient, admin: Headers, url: str, caplog: pytest.LogCaptureFixture, line: str
) -> None:
    caplog.set_level("DEBUG")
    response = client.post(COMMAND, headers=admin, json={"at": line})
    assert response.status_code == 400
    assert response.get_json()["error"]["code"] == "secret_refused"
    assert "modem.pin" in response.get_json()["error"]["message"]
    assert "4711" not in response.get_data(as_text=True)
    assert not any("4711" in str(vars(record)) for record in caplog.records if record.name.startswith("agent."))
    assert rows(url, "SELECT count(*) FROM modem_commands") == [(0,)]
    assert rows(url, "SELECT count(*) FROM audit_log") == [(0,)]


def test_a_viewer_may_not_and_an_operator_not_everything(
    client: FlaskClient, viewer: Headers, operator: Headers, admin: Headers, agent: Agent
) -> None:
    harmful = {"at": 'AT+QCFG="usbnet",1'}
    assert client.post(COMMAND, headers=viewer, json={"at": "AT+CSQ"}).status_code == 403
    refused = client.post(COMMAND, headers=operator, json=harmful)
    assert refused.status_code == 403
    assert refused.get_json()["error"]["details"] == {"needed": "admin", "role": "operator"}
    assert agent.seen == []
    assert client.post(COMMAND, headers=admin, json=harmful).status_code == 200


def test_waiting_commands_leave_threads_for_the_rest(
    app: Flask, operator: Headers, viewer: Headers, services: Services
) -> None:
    slots = services.command_slots._value
    assert 0 < slots < services.settings.threads
    waiting = [
        threading.Thread(
            target=lambda: app.test_client().post(COMMAND, headers=operator, json={"at": "AT", "timeout_seconds": 2})
        )
        for _ in range(slots)
    ]
    for thread in waiting:
        thread.start()
    deadline = time.monotonic() + 5
    while services.command_slots._value and time.monotonic() < deadline:
        time.sleep(0.01)
    refused = app.test_client().post(COMMAND, headers=operator, json={"at": "AT", "timeout_seconds": 1})
    assert refused.status_code == 503
    assert refused.get_json()["error"]["code"] == "busy"
    assert refused.headers["Retry-After"]
    assert app.test_client().get("/api/modems", headers=viewer).status_code == 200
    for thread in waiting:
        thread.join(10)
    assert services.command_slots._value == slots
