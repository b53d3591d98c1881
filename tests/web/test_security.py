"""Who may ask, from where, and what nobody gets to see."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from agent.core.clock import wall
from agent.core.settings.schema import WebSettings
from agent.store.rows import Role
from agent.web.app import create_app
from agent.web.endpoint import BODY_BYTES_MOST, TASK_BYTES_MOST, Endpoint
from agent.web.metrics import Metrics
from agent.web.routes import make_endpoints
from agent.web.services import Services
from tests.web.conftest import MODEM, SETTINGS, Headers, make_services


def endpoints_of(app: Flask) -> list[tuple[str, str]]:
    """(method, path) of everything that is served to programs; of pages, see tests/web/pages."""
    return [
        (method, rule.rule.replace("<serial>", MODEM))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(("/api", "/metrics"))
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def test_only_health_is_open(app: Flask, client: FlaskClient) -> None:
    table = endpoints_of(app)
    assert len(table) == 2 * (10 + 34 + 10 + 11 + 2 + 12 + 3 + 22 + 2) + 1
    opened = {path for method, path in table if client.open(path, method=method, json={}).status_code != 401}
    assert opened == {"/api/health", "/api/v1/health"}


def test_viewers_change_nothing(app: Flask, client: FlaskClient, viewer: Headers) -> None:
    table = [(method, path) for method, path in endpoints_of(app) if method != "GET"]
    # What is below /auth is about one's own account; everybody may keep filters, and watch events by a ticket.
    own = ("/auth/", "/device-filters", "/events/ticket")
    refused = [(method, path) for method, path in table if not any(each in path for each in own)]
    assert len(refused) == 2 * (4 + 19 + 8 + 3 + 12)
    for method, path in refused:
        assert client.open(path, method=method, headers=viewer, json={}).status_code == 403


def test_what_takes_an_admin(services: Services) -> None:
    def is_secret_or_destroys(endpoint: Endpoint) -> bool:
        admins = ("/credentials", "/operators", "/tokens", "/audit", "/alert-targets")
        rules = endpoint.path.startswith("/alert-rules") and endpoint.method != "GET"
        return rules or endpoint.path.startswith(admins) or endpoint.name in ("deleteDevice", "deleteFile")

    endpoints = make_endpoints(
        Metrics(services.fleet, services.events, services.acs.statistics, services.monitoring.alerts), dict
    )
    for endpoint in endpoints:
        assert (endpoint.role is Role.ADMIN) == is_secret_or_destroys(endpoint), endpoint.name


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Bearer nonsense", "Basic dTpw", "Bearer lm_" + "A" * 43])
def test_a_wrong_token_is_challenged(client: FlaskClient, value: str) -> None:
    response = client.get("/api/modems", headers={"Authorization": value})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    assert "invalid_token" in response.headers["WWW-Authenticate"]
    assert response.get_json()["error"]["code"] == "unauthorized"


def test_without_a_token_no_error_is_named(client: FlaskClient) -> None:
    challenge = client.get("/api/modems").headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer ")
    assert "error" not in challenge


def test_tokens_end(client: FlaskClient, services: Services) -> None:
    spent = services.tokens.create("spent", Role.ADMIN, wall() - timedelta(seconds=1))
    revoked = services.tokens.create("revoked", Role.ADMIN)
    assert client.get("/api/modems", headers={"Authorization": f"bearer {revoked}"}).status_code == 200
    services.tokens.revoke("revoked")
    for token in (spent, revoked):
        assert client.get("/api/modems", headers={"Authorization": f"Bearer {token}"}).status_code == 401


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8080",
        "127.0.0.1:8080",
        "[::1]:8080",
        "[::1]",
        "farm.example.org",
        "FARM.example.org.:80",
    ],
)
def test_our_own_names_are_answered(client: FlaskClient, viewer: Headers, host: str) -> None:
    assert client.get("/api/modems", headers={**viewer, "Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "a@b"]
)
def test_foreign_names_are_not(client: FlaskClient, viewer: Headers, host: str) -> None:
    for path in ("/api/modems", "/api/health"):
        response = client.get(path, headers={**viewer, "Host": host})
        assert response.status_code in (400, 421)
        assert response.get_json()["error"]["code"] in ("unknown_host", "bad_request")


def test_other_origins_are_refused_and_ours_is_not(client: FlaskClient, viewer: Headers) -> None:
    for origin in ("https://evil.example", "null", "http://localhost:81"):
        response = client.get("/api/modems", headers={**viewer, "Origin": origin})
        assert response.status_code == 403
        assert response.get_json()["error"]["code"] == "origin_refused"
        assert "Access-Control-Allow-Origin" not in response.headers
    assert client.get("/api/modems", headers={**viewer, "Origin": "http://localhost"}).status_code == 200


def test_configured_origins_may_call(url: str) -> None:
    origin = "https://pages.example.org"
    settings = WebSettings(
        **{**SETTINGS.model_dump(), "allowed_origins": (origin,), "host_names": ("www.example.org",)}
    )
    services = make_services(url, settings)
    services.start()
    try:
        client = create_app(services).test_client()
        headers = {"Origin": origin, "Host": "www.example.org"}
        preflight = client.options("/api/modems", headers={**headers, "Access-Control-Request-Method": "GET"})
        assert preflight.status_code == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == origin
        assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Credentials" not in preflight.headers
        token = services.tokens.create("page", Role.VIEWER)
        answer = client.get("/api/modems", headers={**headers, "Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Origin" in answer.headers["Vary"]
        assert client.get("/api/health", headers={"Origin": "https://evil.example"}).status_code == 403
    finally:
        services.close()


def test_browsers_are_told_to_be_careful(client: FlaskClient, viewer: Headers) -> None:
    for response in (client.get("/api/modems", headers=viewer), client.get("/nowhere"), client.get("/api/modems")):
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]


class TestErrors:
    def test_unknown_paths_and_methods(self, client: FlaskClient, viewer: Headers) -> None:
        missing = client.get("/api/nowhere", headers=viewer)
        assert (missing.status_code, missing.get_json()["error"]["code"]) == (404, "not_found")
        wrong = client.delete("/api/modems", headers=viewer)
        assert (wrong.status_code, wrong.get_json()["error"]["code"]) == (405, "method_not_allowed")
        assert "GET" in wrong.headers["Allow"]
        assert client.options("/api/modems", headers=viewer).status_code == 405

    def test_bodies_are_json_and_small(self, client: FlaskClient, operator: Headers) -> None:
        path = f"/api/modems/{MODEM}/command"
        plain = client.post(path, headers=operator, data='{"at": "AT"}', content_type="text/plain")
        assert (plain.status_code, plain.get_json()["error"]["code"]) == (415, "unsupported_media_type")
        form = client.post(f"/api/modems/{MODEM}/disable", headers=operator, data={"a": "b"})
        assert form.status_code == 415
        large = client.post(path, headers=operator, json={"at": "A" * BODY_BYTES_MOST})
        assert (large.status_code, large.get_json()["error"]["code"]) == (413, "content_too_large")
        tasks = f"/api/devices/{MODEM}/tasks"
        large = client.post(tasks, headers=operator, json={"kind": "A" * TASK_BYTES_MOST})
        assert (large.status_code, large.get_json()["error"]["code"]) == (413, "content_too_large")
        middling = client.post(tasks, headers=operator, json={"kind": "reboot", "arguments": {"x": "A" * 99_000}})
        assert middling.status_code == 404
        broken = client.post(path, headers=operator, data=b'{"at": ', content_type="application/json")
        assert (broken.status_code, broken.get_json()["error"]["code"]) == (400, "bad_request")

    def test_a_bug_is_logged_with_an_id_and_not_shown(
        self,
        client: FlaskClient,
        viewer: Headers,
        services: Services,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def fail(_self: object) -> None:
            raise RuntimeError("the secret of the house")

        monkeypatch.setattr(type(services.fleet), "fetch_modems", fail)
        response = client.get("/api/modems", headers=viewer)
        assert response.status_code == 500
        assert "secret" not in response.get_data(as_text=True)
        error = response.get_json()["error"]
        assert error["code"] == "internal_error"
        (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
        assert vars(record)["ERROR_ID"] == error["details"]["id"]
        assert record.exc_info is not None

    def test_without_the_database_it_says_so(self, url: str) -> None:
        nowhere = make_services(url.partition("?")[0] + "?host=/nonexistent")
        try:
            client = create_app(nowhere).test_client()
            response = client.get("/api/modems", headers={"Authorization": "Bearer lm_" + "A" * 43})
            assert response.status_code == 503
            assert response.get_json()["error"]["code"] == "database_unavailable"
            assert response.headers["Retry-After"]
        finally:
            nowhere.database.close()

    def test_requests_are_logged_without_tokens(
        self, client: FlaskClient, viewer: Headers, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "agent.web")
        client.get("/api/modems", headers=viewer)
        (record,) = [each for each in caplog.records if each.getMessage() == "request"]
        assert vars(record)["PRINCIPAL"] == "viewer"
        assert vars(record)["STATUS"] == 200
        assert viewer["Authorization"].partition(" ")[2] not in str(vars(record))
