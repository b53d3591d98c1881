"""The pages about alerts: for whom, what is on them, and that their buttons and forms say what the API takes."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from agent.alert.model import RuleKind, Severity
from agent.store.alert_rows import TargetKind
from agent.store.alert_rules import RuleDraft
from agent.store.alert_targets import TargetDraft
from agent.store.rows import Role, Scope
from agent.web.pages import alert_formats
from agent.web.schemas_alerts import RuleBody, TargetBody
from agent.web.services import Services
from tests.store.farm import HOST
from tests.web.conftest import MODEM, Headers
from tests.web.people import add_operator, browser, csrf_of, sign_in
from tests.web.test_alerts_api import add_alert

RULES = ("/alerts/rules", "/alerts/rules/new", "/alerts/rules/new?kind=signal_below", "/alerts/rules/1")


@pytest.fixture
def visitor(app: Flask, services: Services) -> Callable[..., FlaskClient]:
    def signed_in(role: Role, scope: Scope | None = None) -> FlaskClient:
        name = f"{role.value}-{scope is None}"
        add_operator(services, name, role, scope or Scope())
        client = browser(app)
        assert sign_in(client, name) == 303
        return client

    return signed_in


@pytest.fixture
def targets(services: Services) -> None:
    book = services.monitoring.targets
    url = {"url": "https://hooks.example.org/T0/secret-path"}
    book.add(TargetDraft(name="on call", kind=TargetKind.WEBHOOK, settings=url), "anna")
    book.add(TargetDraft(name="mail", kind=TargetKind.EMAIL, settings={"to": ["anna@example.org"]}), "anna")
    local = {"transport": "local", "host": "", "tcp_port": 514, "facility": 16}
    book.add(TargetDraft(name="log", kind=TargetKind.SYSLOG, settings=local, least_severity=Severity.CRITICAL), "anna")


def test_what_is_wrong_is_listed_with_what_can_be_done(visitor: Callable[..., FlaskClient], url: str) -> None:
    page = visitor(Role.OPERATOR)
    assert "Nothing is wrong" in page.get("/alerts").text
    alert = add_alert(url)
    add_alert(url, HOST, RuleKind.HOST_SILENT, about="host")
    text = page.get("/alerts").text
    assert f'href="/modems/{MODEM}"' in text
    assert f'data-action="/api/v1/alerts/{alert}/acknowledge"' in text
    assert f'data-action="/api/v1/alerts/{alert}/silence"' in text
    assert (
        page.post(f"/api/v1/alerts/{alert}/acknowledge", json={}, headers={"X-CSRF-Token": csrf_of(page)}).status_code
        == 200
    )
    part = page.get("/alerts/_list").text
    assert "operator-True" in part
    assert f"/api/v1/alerts/{alert}/unacknowledge" in part
    only = page.get("/alerts?severity=critical&state=open").text
    assert (MODEM in only, f"{HOST} is gone" in only) == (False, True)
    for nonsense in ("state=x", "severity=x", "before=x", "before=" + "9" * 30):
        assert page.get(f"/alerts?{nonsense}").status_code == 200


def test_what_a_device_says_is_text_and_no_markup(visitor: Callable[..., FlaskClient], url: str) -> None:
    add_alert(url, "<img src=x onerror=alert(1)>", RuleKind.DEVICE_NOT_SEEN, None, "device")
    text = visitor(Role.ADMIN).get("/alerts").text
    assert "<img src=x" not in text
    assert "&lt;img src=x onerror=alert(1)&gt; is gone" in text


@pytest.mark.usefixtures("targets")
def test_viewers_see_and_change_nothing(visitor: Callable[..., FlaskClient], url: str) -> None:
    add_alert(url)
    viewer = visitor(Role.VIEWER)
    for path in ("/alerts", "/alerts/rules"):
        text = viewer.get(path).text
        assert "data-action" not in text
        assert "data-submit" not in text
    assert "hooks.example.org" not in viewer.get("/alerts/rules").text
    for path in RULES[1:]:
        assert viewer.get(path).status_code == 403


def test_who_sees_a_part_sees_its_alerts_and_no_rules(visitor: Callable[..., FlaskClient], url: str) -> None:
    add_alert(url)
    part = visitor(Role.OPERATOR, Scope(hosts=("elsewhere",), tags=()))
    text = part.get("/alerts").text
    assert MODEM not in text
    assert "Silence everything" not in text
    assert part.get("/alerts/rules").status_code == 403


@pytest.mark.usefixtures("targets")
def test_nothing_on_these_pages_needs_what_the_policy_forbids(visitor: Callable[..., FlaskClient], url: str) -> None:
    add_alert(url)
    admin = visitor(Role.ADMIN)
    for path in ("/alerts", *RULES):
        answer = admin.get(path)
        assert answer.status_code == 200, path
        assert not re.search(r"<script(?![^>]*\bsrc=)", answer.text), path
        assert not re.search(r"\s(style|on[a-z]+)=", answer.text), path


@pytest.mark.usefixtures("targets")
def test_a_webhooks_path_is_shown_to_nobody(visitor: Callable[..., FlaskClient]) -> None:
    text = visitor(Role.ADMIN).get("/alerts/rules").text
    visible = re.sub(r'data-body="[^"]*"', "", text)
    assert "https://hooks.example.org" in visible
    assert "secret-path" not in visible


@pytest.mark.usefixtures("targets")
def test_the_buttons_say_what_the_api_takes(
    client: FlaskClient, admin: Headers, visitor: Callable[..., FlaskClient]
) -> None:
    text = visitor(Role.ADMIN).get("/alerts/rules").text
    buttons = re.findall(r'data-action="(/api/v1/alert-[^"]+)" data-method="PUT"[^>]*?data-body="([^"]+)"', text)
    assert len(buttons) == len(RuleKind) + 3
    for path, body in buttons:
        answer = client.put(path, headers=admin, json=json.loads(html.unescape(body)))
        assert answer.status_code == 200, answer.get_json()
        assert answer.get_json()["enabled"] is False


@pytest.mark.parametrize("kind", list(RuleKind))
def test_the_form_of_each_kind_has_its_parameters(
    kind: RuleKind, visitor: Callable[..., FlaskClient], services: Services
) -> None:
    admin = visitor(Role.ADMIN)
    text = admin.get(f"/alerts/rules/new?kind={kind.value}").text
    made = services.monitoring.rules.add(RuleDraft(name="x", kind=kind, severity=Severity.INFO), "anna")
    for name in made.parameters:
        assert f'name="parameters.{name}"' in text
    assert f'data-submit="/api/v1/alert-rules/{made.id}"' in admin.get(f"/alerts/rules/{made.id}").text
    fields = set(re.findall(r'\bname="([a-z_]+)', text)) - {"viewport", "csrf", "color", "htmx", "parameters"}
    assert fields <= set(RuleBody.model_fields)


def test_every_kind_has_its_words() -> None:
    assert set(alert_formats.KINDS) == set(RuleKind)


def test_the_forms_of_targets_name_the_apis_fields(visitor: Callable[..., FlaskClient]) -> None:
    text = visitor(Role.ADMIN).get("/alerts/rules").text
    named = set(re.findall(r'\bname="((?:webhook|email|syslog)\.[a-z_]+)"', text))
    known = {
        f"{way}.{field}"
        for way in ("webhook", "email", "syslog")
        for field in TargetBody.model_fields[way].annotation.__args__[0].model_fields  # type: ignore[union-attr]
    }
    assert named == known - {"webhook.secret"}
