"""Operators, tokens, second factors and the audit log by the API."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import jwt
import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient

from agent.core.clock import wall
from agent.store.audit import Outcome
from agent.store.rows import Principal, Role
from agent.web.services import Services
from agent.web.short_tokens import AUDIENCE, ISSUER
from tests.web.conftest import MODEM, Headers
from tests.web.people import PASSWORD, add_operator, browser, csrf_of, sign_in


class Person:
    """Somebody who is signed in with a browser, and sends its CSRF token."""

    def __init__(self, app: Flask, services: Services, name: str, role: Role) -> None:
        add_operator(services, name, role)
        self.client = browser(app)
        assert sign_in(self.client, name) == 303
        self.headers = {"X-CSRF-Token": csrf_of(self.client)}

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
        answer = self.client.open(f"/api/v1{path}", method=method, headers=self.headers, json=body)
        found = answer.get_json(silent=True) or {}
        if "csrf_token" in found:
            self.headers = {"X-CSRF-Token": found["csrf_token"]}
        return answer.status_code, found


@pytest.fixture
def anna(app: Flask, services: Services) -> Person:
    return Person(app, services, "anna", Role.OPERATOR)


def code_of(answer: tuple[int, dict[str, object]]) -> tuple[int, str]:
    error = answer[1]["error"]
    assert isinstance(error, dict)
    return answer[0], error["code"]


def totp(secret: object, periods: int = 0) -> str:
    return pyotp.TOTP(str(secret)).at(wall() + timedelta(seconds=30 * periods))


class TestShortTokens:
    def test_a_password_gets_one(self, client: FlaskClient, services: Services) -> None:
        add_operator(services, "anna", Role.OPERATOR)
        answer = client.post("/api/auth/token", json={"name": "anna", "password": PASSWORD})
        assert answer.status_code == 200
        made = answer.get_json()
        assert 890 <= made["expires_in"] <= 900
        headers = {"Authorization": f"Bearer {made['token']}"}
        assert client.get("/api/auth/me", headers=headers).get_json()["name"] == "anna"
        assert client.post(f"/api/modems/{MODEM}/disable", headers=headers).status_code == 200
        services.access.operators.change("anna", role=Role.VIEWER)
        assert client.get("/api/auth/me", headers=headers).status_code == 401

    def test_an_api_token_gets_one_until_it_is_revoked(self, client: FlaskClient, services: Services) -> None:
        text = services.tokens.create("ci", Role.VIEWER)
        made = client.post("/api/auth/token", headers={"Authorization": f"Bearer {text}"}).get_json()["token"]
        headers = {"Authorization": f"Bearer {made}"}
        assert client.get("/api/modems", headers=headers).status_code == 200
        assert client.post("/api/auth/token", headers=headers).status_code == 401, "it must not renew itself"
        services.tokens.revoke("ci")
        assert client.get("/api/modems", headers=headers).status_code == 401

    def test_wrong_passwords_are_counted_here_too(self, client: FlaskClient, services: Services) -> None:
        add_operator(services, "anna", Role.OPERATOR)
        body = {"name": "anna", "password": "wrong"}
        statuses = [client.post("/api/auth/token", json=body).status_code for _ in range(6)]
        assert statuses == [401] * 5 + [429]
        assert sign_in(client, "anna") == 429

    def test_forged_ones_are_nobodys(self, client: FlaskClient, services: Services) -> None:
        add_operator(services, "root", Role.ADMIN)
        key = services.access.keys.current()
        now = wall()
        good = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "root",
            "kind": "operator",
            "ver": 1,
            "iat": now,
            "exp": now + timedelta(minutes=5),
        }

        def status(claims: dict[str, object], secret: bytes = key.key, algorithm: str = "HS256", kid: str = "") -> int:
            token = jwt.encode(claims, secret, algorithm=algorithm, headers={"kid": kid or str(key.id)})
            return client.get("/api/modems", headers={"Authorization": f"Bearer {token}"}).status_code

        assert status(good) == 200
        assert status(good, b"x" * 32) == 401
        assert status(good, kid="999") == 401
        assert status(good, kid="'; DROP") == 401
        assert status({**good, "exp": now - timedelta(seconds=1)}) == 401
        assert status({**good, "aud": "else"}) == 401
        assert status({**good, "ver": 2}) == 401
        assert status({**good, "ver": "1"}) == 401
        assert status({**good, "kind": "local"}) == 401
        assert status({name: value for name, value in good.items() if name != "exp"}) == 401
        unsigned = jwt.encode(good, "", algorithm="none", headers={"kid": str(key.id)})
        assert client.get("/api/modems", headers={"Authorization": f"Bearer {unsigned}"}).status_code == 401


class TestAccount:
    def test_a_new_password_signs_others_out_and_renews_this_browser(self, app: Flask, anna: Person) -> None:
        other = browser(app)
        assert sign_in(other, "anna") == 303
        new = "another good password"
        assert code_of(anna.ask("PUT", "/auth/password", {"current": "wrong", "new": new})) == (401, "sign_in_refused")
        assert code_of(anna.ask("PUT", "/auth/password", {"current": PASSWORD, "new": "short"}))[1] == "weak_password"
        before = anna.client.get_cookie("lastmile_session")
        assert anna.ask("PUT", "/auth/password", {"current": PASSWORD, "new": new})[0] == 200
        after = anna.client.get_cookie("lastmile_session")
        assert before is not None
        assert after is not None
        assert before.value != after.value
        assert anna.ask("POST", f"/modems/{MODEM}/disable")[0] == 200
        assert other.get("/api/modems").status_code == 401
        assert sign_in(browser(app), "anna", new) == 303

    def test_an_authenticator_from_first_to_last(self, app: Flask, services: Services, anna: Person) -> None:
        assert anna.ask("POST", "/auth/totp", {"password": "wrong"})[0] == 401
        status, offer = anna.ask("POST", "/auth/totp", {"password": PASSWORD})
        assert status == 200
        assert str(offer["qr_code"]).startswith("data:image/svg+xml;base64,")
        assert str(offer["uri"]).startswith("otpauth://totp/lastmile:anna")
        assert sign_in(browser(app), "anna") == 303, "it does not count before it was confirmed"
        assert code_of(anna.ask("POST", "/auth/totp/confirm", {"code": "000000"})) == (400, "code_refused")
        confirmed = totp(offer["secret"], -1)
        status, given = anna.ask("POST", "/auth/totp/confirm", {"code": confirmed})
        assert status == 200
        codes = given["codes"]
        assert isinstance(codes, list)
        assert len(codes) == 10

        wants_code = browser(app).post("/login", data={"name": "anna", "password": PASSWORD})
        assert wants_code.status_code == 401
        assert "required" in wants_code.text
        assert sign_in(browser(app), "anna", code=confirmed) == 401, "a code is good once"
        code = totp(offer["secret"])
        assert sign_in(browser(app), "anna", code=code) == 303
        assert sign_in(browser(app), "anna", code=code) == 401
        assert sign_in(browser(app), "anna", code=codes[0].upper()) == 303
        assert sign_in(browser(app), "anna", code=codes[0]) == 401
        assert code_of(anna.ask("POST", "/auth/totp", {"password": PASSWORD, "code": codes[1]})) == (409, "totp_exists")

        removing = {"password": PASSWORD, "code": codes[2]}
        assert anna.ask("POST", "/auth/totp/remove", removing)[0] == 200
        assert sign_in(browser(app), "anna") == 303
        assert anna.ask("GET", "/auth/me")[0] == 200

    def test_one_sees_and_ends_ones_own_sessions_only(self, app: Flask, services: Services, anna: Person) -> None:
        other = browser(app)
        assert sign_in(other, "anna") == 303
        bert = Person(app, services, "bert", Role.ADMIN)
        listed = anna.ask("GET", "/auth/sessions")[1]
        sessions = listed["sessions"]
        assert isinstance(sessions, list)
        assert [each["current"] for each in sessions].count(True) == 1
        (foreign,) = services.access.sessions.list("bert")
        assert anna.ask("DELETE", f"/auth/sessions/{foreign.id}")[0] == 404
        assert bert.ask("GET", "/auth/me")[0] == 200
        (mine,) = [each["id"] for each in sessions if not each["current"]]
        assert anna.ask("DELETE", f"/auth/sessions/{mine}")[0] == 204
        assert other.get("/api/modems").status_code == 401
        assert sign_in(other, "anna") == 303
        assert anna.ask("DELETE", "/auth/sessions")[0] == 204
        assert other.get("/api/modems").status_code == 401
        assert anna.ask("GET", "/auth/me")[0] == 200

    def test_a_token_has_no_account(self, client: FlaskClient, viewer: Headers) -> None:
        answer = client.get("/api/auth/sessions", headers=viewer)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (409, "no_account")


class TestOperators:
    def test_added_by_an_admin_they_set_their_password_by_the_link(self, app: Flask, services: Services) -> None:
        root = Person(app, services, "root", Role.ADMIN)
        body = {"name": "anna", "role": "operator", "scope": {"tags": ["village"]}}
        status, made = root.ask("POST", "/operators", body)
        assert status == 201
        link = made["setup_link"]
        assert isinstance(link, dict)
        client = browser(app)
        assert client.post(link["path"], data={"password": PASSWORD, "again": PASSWORD}).status_code == 303
        assert client.get("/api/auth/me").get_json()["scope"] == {"hosts": None, "tags": ["village"]}
        assert code_of(root.ask("POST", "/operators", body)) == (409, "operator_exists")
        changed = root.ask("PUT", "/operators/anna", {"role": "viewer"})[1]
        assert (changed["role"], changed["scope"]) == ("viewer", {"hosts": None, "tags": ["village"]})
        assert client.get("/api/auth/me").status_code == 401
        (row, *_) = services.audit.fetch()
        assert (row.principal, row.kind, row.action, row.outcome) == ("root", "operator", "operator.change", "done")
        assert row.before is not None
        assert row.after is not None
        assert (row.before["role"], row.after["role"], row.address) == ("operator", "viewer", "127.0.0.1")
        assert root.ask("DELETE", "/operators/anna")[0] == 204
        assert root.ask("GET", "/operators/anna/sessions")[0] == 404

    def test_the_last_admin_stays(self, app: Flask, services: Services) -> None:
        root = Person(app, services, "root", Role.ADMIN)
        for method, body in (("PUT", {"role": "viewer"}), ("PUT", {"disabled": True}), ("DELETE", None)):
            assert code_of(root.ask(method, "/operators/root", body)) == (409, "last_admin")
        assert services.audit.fetch()[0].outcome == "refused"

    @pytest.mark.parametrize(
        "body",
        [
            {"name": "a b", "role": "viewer"},
            {"name": "x", "role": "king"},
            {"name": "x", "role": "admin", "scope": {"hosts": ["a"]}},
            {"name": "x", "role": "viewer", "scope": {"tags": ["a b"]}},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, client: FlaskClient, admin: Headers, body: dict[str, object]) -> None:
        assert client.post("/api/operators", headers=admin, json=body).status_code == 400

    def test_tokens_are_made_shown_once_and_revoked(
        self, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        body = {"name": "grafana", "role": "viewer", "days": 30, "scope": {"hosts": ["farm-1"], "tags": []}}
        made = client.post("/api/tokens", headers=admin, json=body)
        assert made.status_code == 201
        text = made.get_json()["token"]
        assert client.get("/api/modems", headers={"Authorization": f"Bearer {text}"}).status_code == 200
        assert client.post("/api/tokens", headers=admin, json=body).status_code == 409
        listed = client.get("/api/tokens", headers=admin)
        assert text not in listed.text
        (shown,) = [each for each in listed.get_json()["tokens"] if each["name"] == "grafana"]
        assert (shown["scope"], shown["created_by"]) == ({"hosts": ["farm-1"], "tags": []}, "admin")
        assert client.delete("/api/tokens/grafana", headers=admin).status_code == 204
        assert client.delete("/api/tokens/grafana", headers=admin).status_code == 404
        assert client.get("/api/modems", headers={"Authorization": f"Bearer {text}"}).status_code == 401
        assert not any(text in str(row) for row in services.audit.fetch())


class TestAudit:
    def test_refused_changes_are_in_it(self, client: FlaskClient, viewer: Headers, services: Services) -> None:
        assert client.post(f"/api/modems/{MODEM}/disable", headers=viewer).status_code == 403
        row = services.audit.fetch()[0]
        assert (row.principal, row.action, row.outcome) == ("viewer", "api.disableModem", "refused")
        assert client.post(f"/api/modems/{MODEM}/disable").status_code == 401
        assert services.audit.fetch()[0].id == row.id, "strangers cannot fill the log"

    def test_it_is_searched_and_paged(self, client: FlaskClient, admin: Headers, services: Services) -> None:
        who = Principal(name="ci", role=Role.OPERATOR)
        for number in range(5):
            services.audit.write(who, "device.task.reboot", f"device-{number}", {"n": number}, outcome=Outcome.DONE)
        page = client.get("/api/audit?action=device&limit=3", headers=admin).get_json()
        assert [each["target"] for each in page["entries"]] == ["device-4", "device-3", "device-2"]
        rest = client.get(f"/api/audit?action=device&before_id={page['next_before_id']}", headers=admin).get_json()
        assert [each["target"] for each in rest["entries"]] == ["device-1", "device-0"]
        assert rest["next_before_id"] is None
        assert client.get("/api/audit?action=dev", headers=admin).get_json()["entries"] == []
        found = client.get("/api/audit?text=DEVICE-3&principal=ci&outcome=done", headers=admin).get_json()["entries"]
        assert [each["details"] for each in found] == [{"n": 3}]
        late = (wall() + timedelta(hours=1)).isoformat().replace("+", "%2B")
        assert client.get(f"/api/audit?since={late}", headers=admin).get_json()["entries"] == []
        assert client.get("/api/audit?outcome=x", headers=admin).status_code == 400

    def test_it_is_exported_and_no_cell_is_a_formula(
        self, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        who = Principal(name="ci", role=Role.OPERATOR)
        for text in ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1", 'a,"b"\nc'):
            services.audit.write(who, "test.row", text, {"x": "y"}, outcome=Outcome.DONE)
        answer = client.get("/api/audit/export?action=test", headers=admin)
        assert answer.mimetype == "text/csv"
        assert "attachment" in answer.headers["Content-Disposition"]
        table = list(csv.DictReader(io.StringIO(answer.text)))
        targets = [row["target"] for row in table]
        assert targets == ['a,"b"\nc', "'\t=1", "'@SUM(1)", "'-1", "'+1", "'=cmd|' /C calc'!A0"]
        assert table[0]["details"] == '{"x":"y"}'
        lines = client.get("/api/audit/export?action=test&format=jsonl", headers=admin).text.splitlines()
        assert [json.loads(line)["target"] for line in lines][-1] == "=cmd|' /C calc'!A0"
        assert services.audit.fetch()[0].action == "audit.export"

    def test_a_change_whose_process_died_has_no_outcome(self, services: Services) -> None:
        services.audit.trail(None).write(Principal(name="ci", role=Role.ADMIN), "test.row", "x")
        assert services.audit.fetch()[0].outcome == "unknown"

    def test_an_unexpected_failure_is_in_it(
        self, client: FlaskClient, admin: Headers, services: Services, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise ValueError("a bug")

        monkeypatch.setattr(type(services.fleet), "set_enabled", fail)
        assert client.post(f"/api/modems/{MODEM}/disable", headers=admin).status_code == 500
        row = services.audit.fetch()[0]
        assert (row.action, row.outcome, row.code) == ("modem.disable", "failed", "ValueError")
