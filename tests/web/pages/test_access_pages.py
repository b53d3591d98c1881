"""The pages about accounts, operators, the audit log and the settings: for whom, and what is on them."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from agent.core.settings.load import merge, render_effective
from agent.store.audit import Outcome
from agent.store.rows import Principal, PrincipalKind, Role, Scope
from agent.web.pages.audit import read_filter, read_id
from agent.web.services import Services
from tests.web.conftest import MODEM
from tests.web.people import add_operator, browser, sign_in

ADMINS = ("/operators", "/operators/anna", "/audit", "/settings")
NOTHING = dict.fromkeys(("text", "principal", "action", "target", "outcome", "since", "until"), "")


@pytest.fixture
def root(app: Flask, services: Services) -> FlaskClient:
    """A browser in which an admin is signed in."""
    add_operator(services, "root", Role.ADMIN)
    client = browser(app)
    assert sign_in(client, "root") == 303
    return client


def test_what_is_for_admins_is_for_nobody_else(app: Flask, services: Services, root: FlaskClient) -> None:
    for name, role in (("anna", Role.OPERATOR), ("vera", Role.VIEWER)):
        add_operator(services, name, role)
        client = browser(app)
        assert sign_in(client, name) == 303
        for path in ADMINS:
            assert client.get(path, headers={"Accept": "text/html"}).status_code == 403, path
        account = client.get("/account")
        assert account.status_code == 200
        assert name in account.text
        assert 'href="/audit"' not in account.text
    for path in ADMINS:
        assert root.get(path).status_code == 200, path


def test_nothing_on_these_pages_needs_what_the_policy_forbids(root: FlaskClient) -> None:
    for path in ("/account", "/operators", "/operators/root", "/audit", "/settings", "/login"):
        text = root.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), path
        assert not re.search(r"\s(style|on[a-z]+)=", text), path


def test_whoever_is_not_signed_in_comes_back_after_signing_in(app: Flask, services: Services) -> None:
    add_operator(services, "root", Role.ADMIN)
    client = browser(app)
    sent = client.get("/audit?text=a b")
    assert sent.status_code == 303
    assert sent.location == "/login?next=/audit%3Ftext%3Da%20b"
    form = client.get(sent.location).text
    assert 'value="/audit?text=a b"' in form
    fragment = client.get("/audit", headers={"HX-Request": "true"})
    assert fragment.status_code == 401


def test_operators_and_tokens_are_listed_with_their_scope(services: Services, root: FlaskClient) -> None:
    add_operator(services, "anna", Role.OPERATOR, Scope(hosts=None, tags=("village",)))
    services.access.operators.create("bert", Role.VIEWER)
    services.tokens.create("ci", Role.VIEWER, scope=Scope(hosts=("farm-1",), tags=()), created_by="root")
    services.tokens.create("old", Role.VIEWER)
    services.tokens.revoke("old")
    text = root.get("/operators").text
    assert "village" in text
    assert "no password yet" in text
    assert "host farm-1" in text
    assert "old (revoked)" in text
    assert 'data-action="/api/v1/tokens/ci"' in text
    one = root.get("/operators/anna").text
    assert 'data-submit="/api/v1/operators/anna"' in one
    assert root.get("/operators/nobody", headers={"Accept": "text/html"}).status_code == 404


def test_a_token_sees_the_pages_but_has_no_account(
    client: FlaskClient, services: Services, admin: dict[str, str]
) -> None:
    text = client.get("/account", headers=admin).text
    assert "which has no password" in text
    assert "<form" not in text


class TestAudit:
    def test_what_was_changed_is_shown_and_searched(self, services: Services, root: FlaskClient) -> None:
        token = root.get("/api/auth/me").get_json()["csrf_token"]
        assert root.post(f"/api/modems/{MODEM}/disable", headers={"X-CSRF-Token": token}).status_code == 200
        text = root.get("/audit").text
        assert "modem.disable" in text
        assert "127.0.0.1" in text
        assert re.search(r'enabled: <span class="was">true</span> false', text)
        assert "modem.disable" in root.get("/audit?action=modem&principal=root&outcome=done").text
        assert "modem.disable" not in root.get("/audit?outcome=refused").text
        assert "Nothing matches" in root.get("/audit?text=zzzz").text

    def test_what_others_wrote_is_only_text(self, services: Services, root: FlaskClient) -> None:
        evil = Principal(name="<script>alert(1)</script>", role=Role.VIEWER, kind=PrincipalKind.TOKEN)
        what = {"ssid": '"><img src=x onerror=alert(1)>'}
        services.audit.write(evil, "device.<b>", "'\"><script>", what, before=what, outcome=Outcome.DONE)
        text = root.get("/audit").text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "&lt;script&gt;alert(1)" in text

    def test_pages_follow_each_other(self, services: Services, root: FlaskClient) -> None:
        who = Principal(name="ci", role=Role.OPERATOR)
        for number in range(60):
            services.audit.write(who, "test.row", f"row-{number:02}", outcome=Outcome.DONE)
        first = root.get("/audit?action=test").text
        assert "row-59" in first
        assert "row-09" not in first
        (following,) = re.findall(r'href="([^"]+)" rel="next"', first)
        second = root.get(following.replace("&amp;", "&")).text
        assert "row-09" in second
        assert "row-59" not in second
        assert 'rel="next"' not in second

    def test_what_makes_no_sense_is_said_and_passed_over(self, root: FlaskClient) -> None:
        text = root.get("/audit?since=tomorrow&before_id=x").text
        assert "Passed over" in text
        assert 'aria-invalid="true"' in text

    def test_filters_are_read(self) -> None:
        wanted, wrong = read_filter({**NOTHING, "since": "2026-01-31", "outcome": "done", "until": "2026-02-01T10:00Z"})
        assert not wrong
        assert wanted.since is not None
        assert wanted.since.isoformat() == "2026-01-31T00:00:00+00:00"
        assert wanted.outcome is Outcome.DONE
        assert read_filter({**NOTHING, "outcome": "x", "since": "31.1."})[1] == {"outcome", "since"}
        assert read_id("12") == 12
        for text in ("", "0", "-1", "x", "9" * 25, "９"):
            assert read_id(text) is None


def test_settings_are_shown_with_their_origin_and_without_secrets(
    app: Flask, services: Services, root: FlaskClient
) -> None:
    assert "not known here" in root.get("/settings").text
    loaded = merge(())
    object.__setattr__(services, "in_force", render_effective(loaded, origin=True))
    text = root.get("/settings").text
    assert "<code>tcp_port</code>" in text
    assert "8080" in text
    assert "Nothing was set" in root.get("/settings?only=set").text
