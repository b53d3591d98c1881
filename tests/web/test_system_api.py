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
from agent.store.acs_counters import AcsCounters
from agent.store.database import Database
from agent.store.rows import HostRow
from agent.version import __version__
from agent.web.app import create_app
from agent.web.cwmp.counters import Counters
from agent.web.metrics import Metrics
from agent.web.views_system import AGENT_SILENT_AFTER, judge
from tests.store.cpes import add_device, begin_session, end_session, key_of, serial_number_of, tree, write_values
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

    def test_devices(self, client: FlaskClient, viewer: Headers, url: str) -> None:
        first, second = add_device(url, 1), add_device(url, 2)
        add_device(url, 3, state="held", age_seconds=1e6)
        for device, outcome in ((first, "completed"), (second, "timeout")):
            begin_session(url, device)
            end_session(url, device, outcome)
        rows(url, "UPDATE sessions SET started_at = ended_at - interval '2 s'")
        begin_session(url, first, discovery=tree())
        rows(url, "INSERT INTO tasks (device_id, kind, priority, expires_at) SELECT id, 'x', 1, now() FROM devices")
        found = self.samples(client, viewer)

        def value(name: str, **labels: str) -> float:
            return found[f"lastmile_{name}", frozenset(labels.items())]

        assert value("devices", state="accepted", online="true") == 2
        assert value("devices", state="held", online="false") == 1
        assert (value("cwmp_sessions_active"), value("cwmp_sessions_discovering")) == (1, 1)
        assert (value("tasks", status="pending"), value("tasks", status="failed")) == (3, 0)
        assert value("faults") == 0
        assert value("cwmp_sessions_last_minute", outcome="completed") == 1
        assert value("cwmp_sessions_last_minute", outcome="timeout") == 1
        assert value("cwmp_sessions_last_minute", outcome="failed") == 0
        assert value("cwmp_session_mean_duration_seconds") == pytest.approx(2, abs=0.01)

    def test_what_the_workers_of_the_acs_count(self, client: FlaskClient, viewer: Headers, url: str) -> None:
        with Database(url) as database:
            for _ in range(2):
                counters = Counters(AcsCounters(database).add)
                counters.count("sessions_total", "outcome", "completed", by=3)
                counters.count("rpcs_total", "method", "Reboot")
                for seconds in (0.004, 0.03, 99.0):
                    counters.time("request_seconds", seconds)
                counters.flush()
        found = self.samples(client, viewer)
        assert found["lastmile_cwmp_sessions_total", frozenset({("outcome", "completed")})] == 6
        assert found["lastmile_cwmp_rpcs_total", frozenset({("method", "Reboot")})] == 2
        for bound, count in (("0.005", 2), ("0.025", 2), ("0.05", 4), ("5.0", 4), ("+Inf", 6)):
            assert found["lastmile_cwmp_request_seconds_bucket", frozenset({("le", bound)})] == count
        assert found["lastmile_cwmp_request_seconds_count", frozenset()] == 6
        assert found["lastmile_cwmp_request_seconds_sum", frozenset()] == pytest.approx(198.068)

    def test_without_the_database(self, url: str) -> None:
        nowhere = make_services(url.partition("?")[0] + "?host=/nonexistent")
        try:
            text = (
                Metrics(nowhere.fleet, nowhere.events, nowhere.acs.statistics, nowhere.monitoring.alerts)
                .render()
                .decode()
            )
        finally:
            nowhere.database.close()
        assert "lastmile_database_up 0.0" in text
        assert "lastmile_devices" not in text


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
        device = add_device(url)
        write_values(url, device, {"InternetGatewayDevice.A.B": "1"})
        begin_session(url, device)
        end_session(url, device)
        begin_session(url, device, discovery=tree(), batch=1, batches=2)
        key, _ = key_of(url, device)
        rows(
            url,
            "INSERT INTO tasks (device_id, kind, priority, expires_at) VALUES (%s, 'reboot', 80, now())",
            key,
        )
        rows(url, "INSERT INTO faults (device_id, channel, code, message) VALUES (%s, 'discovery', '9002', 'x')", key)
        rows(url, "INSERT INTO files (name, kind, size, sha256) VALUES ('a.bin', '1', 1, %s)", "0" * 64)
        for path, described in (
            ("/devices", "/devices"),
            ("/devices?fields=device_id,online,last_inform", "/devices"),
            (f"/devices/{device}", "/devices/{device_id}"),
            (f"/devices/{device}/parameters", "/devices/{device_id}/parameters"),
            (f"/devices/{device}/tags", "/devices/{device_id}/tags"),
            (f"/devices/{device}/tasks", "/devices/{device_id}/tasks"),
            ("/sessions", "/sessions"),
            ("/sessions/stats", "/sessions/stats"),
            (f"/sessions/{serial_number_of(1)}", "/sessions/{serial_number}"),
            ("/stats", "/stats"),
            ("/faults", "/faults"),
            ("/files", "/files"),
            ("/files/a.bin", "/files/{name}"),
            ("/modems", "/modems"),
            (f"/modems/{MODEM}", "/modems/{serial}"),
            (f"/modems/{MODEM}/logs", "/modems/{serial}/logs"),
            ("/health", "/health"),
        ):
            operation = document["paths"][described]["get"]  # type: ignore[index]
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            answer = client.get(f"/api{path}", headers=viewer).get_json()
            Draft202012Validator({**schema, "components": document["components"]}).validate(answer)
            nonsense = f"/api{path}{'&' if '?' in path else '?'}nonsense=1"
            error = client.get(nonsense, headers=viewer).get_json()
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
