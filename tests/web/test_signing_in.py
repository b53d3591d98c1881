"""Signing in by the page: who gets a session, what it is good for, and how it ends."""

from __future__ import annotations

import logging

import pytest
from flask import Flask
from flask.testing import FlaskClient

from agent.core.settings.schema import WebSettings
from agent.store.rows import Role
from agent.store.sign_in_attempts import FREE_OF_ACCOUNT
from agent.web.app import create_app
from agent.web.identity import COOKIE
from agent.web.pages.guard import safe_next
from agent.web.services import Services
from tests.store.farm import rows
from tests.web.conftest import MODEM, SETTINGS, Headers, make_services
from tests.web.people import PASSWORD, add_operator, browser, csrf_of, sign_in


@pytest.fixture
def anna(app: Flask, services: Services) -> FlaskClient:
    """A browser in which an operator is signed in."""
    add_operator(services, "anna", Role.OPERATOR)
    client = browser(app)
    assert sign_in(client, "anna") == 303
    return client


def test_the_right_password_opens_a_session(app: Flask, services: Services) -> None:
    add_operator(services, "anna", Role.OPERATOR)
    client = browser(app)
    answer = client.post("/login", data={"name": "anna", "password": PASSWORD, "next": "/modems?x=1"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/modems?x=1")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    for attribute in ("HttpOnly", "SameSite=Strict", "Path=/"):
        assert attribute in cookie
    assert "Secure" not in cookie
    assert client.get("/api/modems").status_code == 200
    (row,) = services.access.sessions.list()
    assert (row.operator, row.address) == ("anna", "127.0.0.1")
    assert services.audit.fetch()[0].action == "session.open"


def test_over_tls_the_cookie_cannot_be_had_otherwise(url: str) -> None:
    settings = WebSettings(**{**SETTINGS.model_dump(), "behind_tls": True})
    services = make_services(url, settings)
    services.start()
    try:
        add_operator(services, "anna", Role.VIEWER)
        client = create_app(services).test_client()
        answer = client.post("/login", data={"name": "anna", "password": PASSWORD}, base_url="https://localhost")
        assert answer.headers["Set-Cookie"].startswith(f"__Host-{COOKIE}=")
        assert "Secure" in answer.headers["Set-Cookie"]
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert client.get("/api/modems", base_url="https://localhost").status_code == 200
    finally:
        services.close()


@pytest.mark.parametrize(
    ("name", "password"), [("anna", "wrong"), ("nobody", PASSWORD), ("", ""), ("anna", "x" * 5000)]
)
def test_strangers_learn_nothing(app: Flask, services: Services, name: str, password: str) -> None:
    add_operator(services, "anna", Role.OPERATOR)
    answer = browser(app).post("/login", data={"name": name, "password": password})
    assert answer.status_code == 401
    assert "Name, password or code are wrong." in answer.text
    assert "Set-Cookie" not in answer.headers


def test_a_disabled_operator_is_nobody(app: Flask, services: Services) -> None:
    add_operator(services, "anna", Role.OPERATOR)
    services.access.operators.change("anna", disabled=True)
    assert sign_in(browser(app), "anna") == 401


def test_the_door_closes_after_some_failures_for_names_that_exist_and_others(app: Flask, services: Services) -> None:
    add_operator(services, "anna", Role.OPERATOR)
    for name in ("anna", "nobody"):
        statuses = [sign_in(browser(app), name, "wrong password") for _ in range(FREE_OF_ACCOUNT + 2)]
        assert statuses == [401] * FREE_OF_ACCOUNT + [429] * 2
    answer = browser(app).post("/login", data={"name": "anna", "password": PASSWORD})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 15
    rows(services.database.url, "UPDATE sign_in_attempts SET blocked_until = now()")
    assert sign_in(browser(app), "anna") == 303
    assert sign_in(browser(app), "anna", "wrong password") == 401


def test_a_session_is_no_good_without_its_csrf_token(anna: FlaskClient) -> None:
    path = f"/api/modems/{MODEM}/disable"
    for headers in ({}, {"X-CSRF-Token": "nonsense"}, {"X-CSRF-Token": "ä" * 43}):
        refused = anna.post(path, headers=headers)
        assert (refused.status_code, refused.get_json()["error"]["code"]) == (403, "csrf_refused")
    assert anna.post(path, headers={"X-CSRF-Token": csrf_of(anna)}).status_code == 200


def test_the_csrf_token_of_another_session_is_no_good(app: Flask, anna: FlaskClient) -> None:
    other = browser(app)
    assert sign_in(other, "anna") == 303
    answer = anna.post(f"/api/modems/{MODEM}/disable", headers={"X-CSRF-Token": csrf_of(other)})
    assert answer.status_code == 403


def test_a_wrong_bearer_token_does_not_fall_back_to_the_cookie(anna: FlaskClient) -> None:
    assert anna.get("/api/modems", headers={"Authorization": "Bearer nonsense"}).status_code == 401


def test_an_origin_that_may_call_may_not_borrow_the_session(url: str) -> None:
    origin = "https://pages.example.org"
    services = make_services(url, WebSettings(**{**SETTINGS.model_dump(), "allowed_origins": (origin,)}))
    services.start()
    try:
        add_operator(services, "anna", Role.VIEWER)
        client = create_app(services).test_client()
        assert sign_in(client, "anna") == 303
        assert client.get("/api/modems").status_code == 200
        answer = client.get("/api/modems", headers={"Origin": origin})
        assert answer.status_code == 401
        assert "Access-Control-Allow-Credentials" not in answer.headers
    finally:
        services.close()


def test_signing_out_ends_the_session_for_a_copied_cookie_too(app: Flask, anna: FlaskClient) -> None:
    cookie = anna.get_cookie(COOKIE)
    assert cookie is not None
    thief = browser(app)
    thief.set_cookie(COOKIE, cookie.value)
    assert thief.get("/api/modems").status_code == 200
    assert anna.post("/logout").status_code == 403
    assert anna.post("/logout", data={"csrf_token": csrf_of(anna)}).status_code == 303
    assert anna.get("/api/modems").status_code == 401
    assert thief.get("/api/modems").status_code == 401


def test_a_planted_cookie_is_replaced(app: Flask, services: Services) -> None:
    add_operator(services, "anna", Role.OPERATOR)
    client = browser(app)
    client.set_cookie(COOKIE, "A" * 43)
    assert sign_in(client, "anna") == 303
    cookie = client.get_cookie(COOKIE)
    assert cookie is not None
    assert cookie.value != "A" * 43


@pytest.mark.parametrize("change", ["role", "password", "disabled", "removed"])
def test_a_change_of_the_operator_ends_their_sessions(services: Services, anna: FlaskClient, change: str) -> None:
    operators = services.access.operators
    match change:
        case "role":
            operators.change("anna", role=Role.VIEWER)
        case "password":
            operators.set_password("anna", services.access.passwords.hash("another good password"))
        case "disabled":
            operators.change("anna", disabled=True)
        case _:
            operators.remove("anna")
    assert anna.get("/api/modems").status_code == 401


@pytest.mark.parametrize(
    "late", ["used_at = now() - interval '61 minutes'", "expires_at = now() - interval '1 second'"]
)
def test_sessions_end_by_themselves(services: Services, anna: FlaskClient, late: str) -> None:
    rows(services.database.url, f"UPDATE operator_sessions SET {late}")
    assert anna.get("/api/modems").status_code == 401
    assert services.access.sessions.forget_ended() == 1


def test_an_open_page_does_not_keep_its_session_alive(services: Services, anna: FlaskClient) -> None:
    def used() -> object:
        return rows(services.database.url, "SELECT used_at FROM operator_sessions")

    rows(services.database.url, "UPDATE operator_sessions SET used_at = now() - interval '30 minutes'")
    before = used()
    assert anna.get("/modems", headers={"X-Fragment": "1"}).status_code == 200
    assert used() == before
    assert anna.get("/modems").status_code == 200
    assert used() != before


def test_forms_of_other_sites_sign_nobody_in(app: Flask, services: Services) -> None:
    add_operator(services, "anna", Role.OPERATOR)
    data = {"name": "anna", "password": PASSWORD}
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert browser(app).post("/login", data=data, headers=headers).status_code == 403
    own: Headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert browser(app).post("/login", data=data, headers=own).status_code == 303


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/modems?a=b", "/modems?a=b"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
        ("", "/"),
        ("/login?next=/login", "/"),
    ],
)
def test_after_signing_in_one_stays_here(text: str, path: str) -> None:
    assert safe_next(text) == path


def test_pages_tell_browsers_to_be_careful(client: FlaskClient) -> None:
    headers = client.get("/login").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Cache-Control"] == "no-store"


class TestSetupLinks:
    def test_the_first_admin_is_made_by_a_link_that_works_once(self, app: Flask, services: Services) -> None:
        token = services.access.links.create(None, "test")
        client = browser(app)
        assert client.get(f"/setup/{token}").status_code == 200
        form = {"name": "root", "password": PASSWORD, "again": PASSWORD}
        assert client.post(f"/setup/{token}", data={**form, "again": "x"}).status_code == 400
        assert client.post(f"/setup/{token}", data={**form, "password": "short", "again": "short"}).status_code == 400
        assert client.post(f"/setup/{token}", data={**form, "name": "no such name"}).status_code == 400
        assert client.post(f"/setup/{token}", data=form).status_code == 303
        assert client.get("/api/credentials").status_code == 200
        assert browser(app).get(f"/setup/{token}").status_code == 410
        assert browser(app).post(f"/setup/{token}", data={**form, "name": "eve"}).status_code == 410
        assert [row.name for row in services.access.operators.list()] == ["root"]

    def test_a_link_sets_a_forgotten_password_and_signs_others_out(
        self, app: Flask, services: Services, anna: FlaskClient
    ) -> None:
        token = services.access.links.create("anna", "test")
        new = "another good password"
        assert browser(app).post(f"/setup/{token}", data={"password": new, "again": new}).status_code == 303
        assert anna.get("/api/modems").status_code == 401
        assert sign_in(browser(app), "anna") == 401
        assert sign_in(browser(app), "anna", new) == 303

    def test_no_link_gets_into_the_log(self, app: Flask, services: Services, caplog: pytest.LogCaptureFixture) -> None:
        token = services.access.links.create(None, "test")
        with caplog.at_level(logging.DEBUG):
            assert browser(app).get(f"/setup/{token}").status_code == 200
            browser(app).post(f"/setup/{token}", data={"name": "root", "password": PASSWORD, "again": PASSWORD})
            assert sign_in(browser(app), "root", PASSWORD) == 303
        told = " ".join(str(vars(record)) for record in caplog.records)
        assert "/setup/…" in told
        assert token not in told
        assert PASSWORD not in told

    def test_links_end(self, app: Flask, services: Services) -> None:
        first = services.access.links.create(None, "test")
        second = services.access.links.create(None, "test")
        assert browser(app).get(f"/setup/{first}").status_code == 410
        assert browser(app).get(f"/setup/{second}").status_code == 200
        rows(services.database.url, "UPDATE setup_links SET expires_at = now()")
        assert browser(app).get(f"/setup/{second}").status_code == 410
        third = services.access.links.create(None, "test")
        add_operator(services, "root", Role.ADMIN)
        assert browser(app).get(f"/setup/{third}").status_code == 410
        assert browser(app).get("/setup/nonsense").status_code == 410
