"""Health, metrics, and a description that is true."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families

from agent.core.clock import wall
from agent.store.rows import HostRow
from agent.version import __version__
from agent.web.app import create_app
from agent.web.views_system import AGENT_SILENT_AFTER, judge
from tests.store.farm import rows
from tests.web.conftest import MODEM, Agent, Headers, make_services


class TestHealth:
    def test_well(self, client: FlaskClient) -> None:
        response = client.get("/api/health")
        assert response.status_code == 200
        assert response.get_json() == {"status": "ok", "database": True, "agents": {"fresh": 1, "stale": 0}}

    def test_no_agent_lately(self, client: FlaskClient, url: str) -> None:
        rows(url, "UPDATE hosts SET last_seen = now() - interval '10 minutes'")
        response = client.get("/api/health")
        assert response.status_code == 503
        error = response.get_json()["error"]
        assert error["code"] == "unhealthy"
        assert error["details"] == {"status": "unhealthy", "database": True, "agents": {"fresh": 0, "stale": 1}}
        assert "farm-1" not in response.get_data(as_text=True)

    def test_no_database(self, url: str) -> None:
        nowhere = make_services(url.partition("?")[0] + "?host=/nonexistent")
        try:
            response = create_app(nowhere).test_client().get("/api/health")
        finally:
            nowhere.database.close()
        assert response.status_code == 503
        assert response.get_json()["error"]["details"]["database"] is False

    @pytest.mark.parametrize(
        ("ages", "status"), [([], "unhealthy"), ([0], "ok"), ([0, 3600], "ok"), ([3600], "unhealthy")]
    )
    def test_one_living_agent_is_enough(self, ages: list[int], status: str) -> None:
        at = wall()
        hosts = [
            HostRow(
                name=str(age),
                version=None,
                pid=None,
                proxy_listen=None,
                started_at=None,
                last_seen=at - timedelta(seconds=age),
                modems=0,
            )
            for age in ages
        ]
        assert judge(hosts, at).status == status

    def test_the_limit_itself_is_fresh(self) -> None:
        at = wall()
        host = HostRow(
            name="h",
            version=None,
            pid=None,
            proxy_listen=None,
            started_at=None,
            last_seen=at - AGENT_SILENT_AFTER,
            modems=0,
        )
        assert judge([host], at).agents.fresh == 1


class TestMetrics:
    def samples(self, client: FlaskClient, headers: Headers) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        response = client.get("/metrics", headers=headers)
        assert response.status_code == 200
        assert response.content_type.startswith("text/plain; version=")
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(response.get_data(as_text=True))
            for sample in family.samples
        }

    def test_modems_and_requests(
        self, client: FlaskClient, viewer: Headers, operator: Headers, agent: Agent, url: str
    ) -> None:
        rows(
            url,
            "UPDATE modems SET status = 'online', rsrp_dbm = -90, rx_bytes = 12345678901, proxy_running = true"
            " WHERE serial = %s",
            MODEM,
        )
        agent.reply = ("failed", {}, "modem_refused", "no")
        client.post(f"/api/modems/{MODEM}/command", headers=operator, json={"at": "AT"})
        client.get("/api/modems/nobody", headers=viewer)
        found = self.samples(client, viewer)
        modem = frozenset({("serial", MODEM), ("host", "farm-1")})
        assert found["lastmile_modem_state", modem | {("state", "online")}] == 1
        assert found["lastmile_modem_state", modem | {("state", "offline")}] == 0
        assert found["lastmile_modem_rsrp_dbm", modem] == -90
        assert ("lastmile_modem_sinr_db", modem) not in found
        assert found["lastmile_modem_receive_bytes_total", modem] == 12345678901
        assert found["lastmile_proxy_up", modem] == 1
        assert found["lastmile_build_info", frozenset({("version", __version__)})] == 1
        assert found["lastmile_database_up", frozenset()] == 1
        assert found["lastmile_api_commands_total", frozenset({("kind", "at"), ("outcome", "modem_refused")})] == 1
        missing = frozenset({("endpoint", "getModem"), ("method", "GET"), ("status", "404")})
        assert found["lastmile_api_requests_total", missing] == 1


class TestDescription:
    def document(self, client: FlaskClient, headers: Headers) -> dict[str, object]:
        document = client.get("/api/openapi.json", headers=headers).get_json()
        assert isinstance(document, dict)
        return document

    def test_it_is_valid_openapi(self, client: FlaskClient, viewer: Headers) -> None:
        validate(self.document(client, viewer))

    def test_it_names_everything_that_is_served(self, app: Flask, client: FlaskClient, viewer: Headers) -> None:
        described = {
            (method.upper(), path)
            for path, item in self.document(client, viewer)["paths"].items()  # type: ignore[attr-defined]
            for method in item
            if method != "servers"
        }
        served = {
            (method, rule.rule.removeprefix("/api/v1").replace("<", "{").replace(">", "}"))
            for rule in app.url_map.iter_rules()
            if rule.rule.startswith("/api/v1") or rule.rule == "/metrics"
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        }
        assert described == served

    def test_answers_are_as_described(self, client: FlaskClient, viewer: Headers, url: str) -> None:
        rows(url, "UPDATE modems SET status = 'online', rsrp_dbm = -90, wan_address = '10.0.0.7'")
        document = self.document(client, viewer)
        for path, described in (
            ("/modems", "/modems"),
            (f"/modems/{MODEM}", "/modems/{serial}"),
            (f"/modems/{MODEM}/logs", "/modems/{serial}/logs"),
            ("/health", "/health"),
        ):
            operation = document["paths"][described]["get"]  # type: ignore[index]
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            answer = client.get(f"/api{path}", headers=viewer).get_json()
            Draft202012Validator({**schema, "components": document["components"]}).validate(answer)
            error = client.get(f"/api{path}?nonsense=1", headers=viewer).get_json()
            reference = {"$ref": "#/components/schemas/Error", "components": document["components"]}
            Draft202012Validator(reference).validate(error)

    def test_it_is_the_same_in_every_process(self, client: FlaskClient, viewer: Headers) -> None:
        first = client.get("/api/openapi.json", headers=viewer).get_data()
        assert json.loads(first)["info"]["version"] == __version__
        assert first == client.get("/api/v1/openapi.json", headers=viewer).get_data()

    def test_every_endpoint_is_in_the_documentation(self, client: FlaskClient, viewer: Headers) -> None:
        page = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8").splitlines()
        for path, item in self.document(client, viewer)["paths"].items():  # type: ignore[attr-defined]
            for method in item.keys() - {"servers"}:
                assert f"### {method.upper()} {path}" in page
