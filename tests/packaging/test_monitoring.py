"""Prometheus' rules and Grafana's dashboard: good as such, and about metrics that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.sim.postgres import EmbeddedPostgres
from agent.store.acs_counters import AcsCounters
from agent.store.database import Database
from agent.store.rows import Role
from agent.web.app import create_app
from agent.web.cwmp.counters import Counters
from tests.postgres_fixture import fresh_database, missing_service
from tests.store.cpes import add_device
from tests.store.farm import rows
from tests.web.conftest import add_modems, make_services

MONITORING = Path(__file__).parents[2] / "packaging" / "monitoring"
RULES = MONITORING / "lastmile.rules.yml"
_METRIC = re.compile(r"\b(lastmile_[a-z0-9_]+)\b(?:\{([^}]*)\})?")
_LABEL = re.compile(r'([a-z_]+)\s*(?:=~|=|!=|!~)\s*"')
_GROUPED = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
_ADDED_BY_PROMETHEUS = {"job", "instance", "le"}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        missing_service("promtool (Debian's prometheus)")
    return subprocess.run(
        [program, *arguments], cwd=MONITORING, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", RULES.name),
        ("test", "rules", "lastmile.rules.test.yml"),
        ("check", "config", "--syntax-only", "prometheus.yml"),
    ],
    ids=" ".join,
)
def test_promtool_is_content(arguments: tuple[str, ...]) -> None:
    done = promtool(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8")))
    tested = set(re.findall(r"alertname: (\w+)", (MONITORING / "lastmile.rules.test.yml").read_text(encoding="utf-8")))
    assert alerts == tested


@pytest.fixture(scope="module")
def metrics(
    postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, set[str]]]:
    """Every sample's name that /metrics has when there is something of everything, with its labels."""
    with fresh_database(postgres_server) as url:
        add_modems(url, tmp_path_factory.mktemp("cache") / "wishes.json")
        rows(
            url,
            "UPDATE modems SET rssi_dbm = -60, rsrp_dbm = -90, rsrq_db = -10, sinr_db = 9, rx_bytes = 1, tx_bytes = 1",
        )
        add_device(url, 1)
        with Database(url) as database:
            counters = Counters(AcsCounters(database).add)
            counters.count("requests_total", "status", "200")
            counters.count("informs_total", "verdict", "begun")
            counters.count("sessions_total", "outcome", "completed")
            counters.count("rpcs_total", "method", "Reboot")
            counters.count("faults_total", "code", "9001")
            counters.time("request_seconds", 0.1)
            counters.flush()
        services = make_services(url)
        try:
            client = create_app(services).test_client()
            headers = {"Authorization": f"Bearer {services.tokens.create('prometheus', Role.VIEWER)}"}
            client.get("/api/modems", headers=headers)
            text = client.get("/metrics", headers=headers).get_data(as_text=True)
        finally:
            services.close()
        found: dict[str, set[str]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
        yield found


def expressions() -> Iterator[str]:
    text = RULES.read_text(encoding="utf-8")
    for found in re.finditer(r"expr: (?:>-\n((?: {10}.*\n)+)|(.*)\n)", text):
        yield found[1] or found[2]
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["definition"]


def test_what_is_asked_for_is_there(metrics: dict[str, set[str]]) -> None:
    asked = [(name, labels) for each in expressions() for name, labels in _METRIC.findall(each)]
    assert len({name for name, _ in asked}) > 20
    for name, labels in asked:
        assert name in metrics, name
        for label in _LABEL.findall(labels):
            assert label in metrics[name] | _ADDED_BY_PROMETHEUS, (name, label)


def test_what_is_grouped_by_is_a_label_of_something_in_the_expression(metrics: dict[str, set[str]]) -> None:
    for each in expressions():
        names = {name for name, _ in _METRIC.findall(each)} - {""}
        known = set().union(*(metrics[name] for name in names)) | _ADDED_BY_PROMETHEUS if names else set()
        for group in _GROUPED.findall(each):
            wanted = {label.strip() for label in group.split(",")}
            assert not names or wanted <= known | {"host"}, (each, wanted - known)


def test_the_dashboards_panels_have_places_and_ids_of_their_own() -> None:
    dashboard: dict[str, Any] = json.loads((MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8"))
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert all(target["datasource"]["uid"] == "${datasource}" for p in panels for target in p.get("targets", ()))
