"""The list of devices by stored values, as a file, kept filters, the summary, recordings: by the API."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from agent.core.clock import wall
from agent.store.recordings import NewMessage
from agent.store.search_parameters import Filling
from agent.web.services import Services
from tests.store.cpes import add_device, begin_session, end_session, key_of, serial_number_of, write_values
from tests.store.farm import rows
from tests.web.conftest import Headers

ROOT = "InternetGatewayDevice."
POWER, SSID = f"{ROOT}WANDevice.1.RXPower", f"{ROOT}LANDevice.1.WLANConfiguration.1.SSID"
SECRET = f"{ROOT}LANDevice.1.WLANConfiguration.1.KeyPassphrase"
FORMULAS = ("=1+1", "+1", "-cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1", " =1")


@pytest.fixture
def fleet(url: str) -> list[str]:
    ids = [add_device(url, number) for number in (1, 2, 3)]
    for device, power in zip(ids, ("-20.5", "-9", None), strict=True):
        values = {SSID: f"<b>{device[-1]}</b>", SECRET: "sesame"}
        write_values(url, device, values if power is None else {**values, POWER: power})
    return ids


def names(client: FlaskClient, headers: Headers, query: str) -> list[str]:
    response = client.get(f"/api/devices?{query}", headers=headers)
    assert response.status_code == 200, response.get_json()
    return [each["device_id"] for each in response.get_json()["devices"]]


class TestListByValues:
    def test_conditions_order_and_columns(self, client: FlaskClient, viewer: Headers, fleet: list[str]) -> None:
        assert names(client, viewer, f"where={quote(POWER + '<-10')}") == [fleet[0]]
        assert names(client, viewer, f"where={quote(POWER + '?')}&where={quote(SSID + '~B>2')}") == [fleet[1]]
        assert names(client, viewer, f"sort={POWER}") == fleet
        assert names(client, viewer, f"sort={POWER}&order=desc") == [fleet[1], fleet[0], fleet[2]]
        assert names(client, viewer, "q=" + serial_number_of(2).lower()) == [fleet[1]]
        page = client.get(f"/api/devices?sort={POWER}&columns={POWER},{SSID}&limit=2", headers=viewer).get_json()
        assert [each["columns"].get(POWER) for each in page["devices"]] == ["-20.5", "-9"]
        rest = client.get(
            f"/api/devices?sort={POWER}&columns={POWER}&limit=2&cursor={page['next_cursor']}", headers=viewer
        ).get_json()
        assert [(each["device_id"], each["columns"]) for each in rest["devices"]] == [(fleet[2], {})]
        assert (page["total"], rest["total"], rest["next_cursor"]) == (3, 3, None)

    @pytest.mark.parametrize(
        "query",
        ["where=nonsense", "where=Device.X", "where=Device.*.X=1", "sort=nonsense", "sort=Device.*.X", "columns=x",
         "columns=Device.X.", f"sort={POWER}&cursor=WyJhIiwiYiIsImMiLCJkIl0", "where=" + "D.X=" + "x" * 257],
    )  # fmt: skip
    def test_what_is_no_question_is_refused(self, client: FlaskClient, viewer: Headers, query: str) -> None:
        assert client.get(f"/api/devices?{query}", headers=viewer).status_code == 400

    @pytest.mark.parametrize("query", [f"where={SECRET}=sesame", f"sort={SECRET}", f"columns={SECRET}"])
    def test_secrets_are_not_to_be_guessed(
        self, client: FlaskClient, viewer: Headers, operator: Headers, fleet: list[str], query: str
    ) -> None:
        for path in ("/api/devices", "/api/devices/export"):
            assert client.get(f"{path}?{query}", headers=viewer).status_code == 403
            assert client.get(f"{path}?{query}", headers=operator).status_code == 200

    def test_what_takes_too_long_says_that_it_is_being_prepared(
        self, client: FlaskClient, viewer: Headers, services: Services, fleet: list[str], url: str
    ) -> None:
        condition = f"where={quote(POWER + '<-10')}"
        # Whoever looks for values in the chunks waits here, and whoever has the index does not.
        with services.database.transaction() as connection:
            connection.execute(b"LOCK TABLE parameter_chunks IN ACCESS EXCLUSIVE MODE")
            response = client.get(f"/api/devices?{condition}", headers=viewer)
        assert response.status_code == 503
        assert response.get_json()["error"]["code"] == "search_preparing"
        assert response.headers["Retry-After"] == "3"
        (parameter,) = services.acs.search.fetch_unready()
        while services.acs.search.fill(parameter) is not Filling.READY:
            pass
        assert names(client, viewer, condition) == [fleet[0]]


class TestExport:
    def test_every_device_on_every_page_is_in_the_file(
        self, client: FlaskClient, viewer: Headers, fleet: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("agent.web.views_device_pages.EXPORT_PAGE", 2)
        response = client.get(f"/api/devices/export?sort={POWER}&order=desc&columns={POWER}", headers=viewer)
        assert response.mimetype == "text/csv"
        assert "attachment" in response.headers["Content-Disposition"]
        table = list(csv.reader(io.StringIO(response.get_data(as_text=True))))
        assert table[0][0] == "device_id"
        assert [row[0] for row in table[1:]] == [fleet[1], fleet[0], fleet[2]]
        assert [row[-1].lstrip("'") for row in table[1:]] == ["-9", "-20.5", ""]

    @pytest.mark.parametrize("formula", FORMULAS)
    def test_no_cell_is_a_formula(self, client: FlaskClient, viewer: Headers, url: str, formula: str) -> None:
        device = add_device(url, 1, manufacturer=formula)
        write_values(url, device, {SSID: formula})
        text = client.get(f"/api/devices/export?columns={SSID}&fields=manufacturer", headers=viewer).get_data(
            as_text=True
        )
        (_, cells) = csv.reader(io.StringIO(text, newline=""))
        assert all(cell.startswith("'") for cell in cells)


class TestSavedFilters:
    def test_own_and_shared_ones(self, client: FlaskClient, viewer: Headers, operator: Headers, admin: Headers) -> None:
        body = {"name": "weak light", "query": f"where={quote(POWER + '<-25')}", "shared": True}
        assert client.post("/api/device-filters", json=body, headers=viewer).status_code == 403
        shared = client.post("/api/device-filters", json=body, headers=operator).get_json()
        own = client.post("/api/device-filters", json={**body, "shared": False}, headers=viewer).get_json()
        seen = client.get("/api/device-filters", headers=viewer).get_json()["filters"]
        assert [(each["id"], each["shared"]) for each in seen] == [(shared["id"], True), (own["id"], False)]
        assert [each["id"] for each in client.get("/api/device-filters", headers=admin).get_json()["filters"]] == [
            shared["id"]
        ]
        again = client.post("/api/device-filters", json={**body, "query": "online=true"}, headers=operator).get_json()
        assert (again["id"], again["query"]) == (shared["id"], "online=true")
        assert client.delete(f"/api/device-filters/{shared['id']}", headers=viewer).status_code == 404
        assert client.delete(f"/api/device-filters/{own['id']}", headers=admin).status_code == 404
        assert client.delete(f"/api/device-filters/{shared['id']}", headers=admin).status_code == 204
        assert client.delete(f"/api/device-filters/{own['id']}", headers=viewer).status_code == 204

    @pytest.mark.parametrize("query", ["nonsense=1", "where=x", "sort=nope", "limit=0"])
    def test_what_is_no_filter_is_not_kept(self, client: FlaskClient, operator: Headers, query: str) -> None:
        body = {"name": "x", "query": query}
        assert client.post("/api/device-filters", json=body, headers=operator).status_code == 400


class TestRecordings:
    def test_on_off_and_what_was_kept(
        self, client: FlaskClient, viewer: Headers, operator: Headers, services: Services, fleet: list[str], url: str
    ) -> None:
        path = f"/api/devices/{fleet[0]}"
        assert client.get(f"{path}/recording", headers=viewer).get_json()["until"] is None
        assert client.put(f"{path}/recording", json={"minutes": 5}, headers=viewer).status_code == 403
        assert client.put(f"{path}/recording", json={"minutes": 0}, headers=operator).status_code == 400
        on = client.put(f"{path}/recording", json={"minutes": 5}, headers=operator).get_json()
        assert on["created_by"] == "operator"
        row = key_of(url, fleet[0])[0]
        assert services.acs.recordings.fetch_active().keys() == {row}
        message = NewMessage(sender="cpe", method="Inform", http_status=None, body="<a>", size=3)
        begin_session(url, fleet[0])
        tag = rows(url, "SELECT left(token, 10) FROM cwmp_sessions")[0][0]
        for _ in range(3):
            assert services.acs.recordings.save(row, tag, (message,))
        end_session(url, fleet[0])
        (session,) = client.get(f"{path}/recorded", headers=viewer).get_json()["sessions"]
        assert (session["tag"], session["messages"], session["size"]) == (tag, 3, 9)
        page = client.get(f"{path}/recorded/{tag}?limit=2", headers=viewer).get_json()
        rest = client.get(f"{path}/recorded/{tag}?after_id={page['next_after_id']}", headers=viewer).get_json()
        assert [len(page["messages"]), len(rest["messages"]), rest["next_after_id"]] == [2, 1, None]
        history = client.get("/api/session-history?outcome=completed", headers=viewer).get_json()["sessions"]
        assert [(each["device_id"], each["tag"], each["recorded"]) for each in history] == [(fleet[0], tag, True)]
        assert client.get("/api/session-history?outcome=failed", headers=viewer).get_json()["sessions"] == []
        assert client.delete(f"{path}/recording", headers=operator).get_json()["until"] is None
        assert not services.acs.recordings.save(row, tag, (message,))
        assert client.delete(f"{path}/recorded", headers=viewer).status_code == 403
        assert client.delete(f"{path}/recorded", headers=operator).status_code == 204
        assert client.get(f"{path}/recorded/{tag}", headers=viewer).status_code == 404

    def test_a_recording_that_is_over_is_off(self, services: Services, fleet: list[str]) -> None:
        recordings = services.acs.recordings
        assert recordings.start(fleet[0], until=wall() - timedelta(seconds=1), by="x")
        assert recordings.fetch(fleet[0]) is None
        assert recordings.fetch_active() == {}
        assert not recordings.start("nobody", until=wall(), by="x")

    def test_history_goes_page_by_page(self, client: FlaskClient, viewer: Headers, fleet: list[str], url: str) -> None:
        for _ in range(5):
            for device in fleet[:2]:
                begin_session(url, device)
                end_session(url, device)
        seen: list[int] = []
        query = ""
        while True:
            page = client.get(f"/api/session-history?limit=3{query}", headers=viewer).get_json()
            seen += [each["id"] for each in page["sessions"]]
            if page["next_cursor"] is None:
                break
            query = f"&cursor={page['next_cursor']}"
        assert len(seen) == 10
        assert seen == sorted(seen, reverse=True)
        assert client.get("/api/session-history?cursor=WyJ4IiwieSJd", headers=viewer).status_code == 400


def test_a_summary_of_a_device(client: FlaskClient, viewer: Headers, fleet: list[str]) -> None:
    summary = client.get(f"/api/devices/{fleet[0]}/summary", headers=viewer).get_json()
    assert summary["wifi"][0]["ssid"] == f"<b>{fleet[0][-1]}</b>"
    assert summary["optical"]["rx_power_dbm"] == -20.5
    assert client.get("/api/devices/nobody/summary", headers=viewer).status_code == 404


def test_parameters_are_searched(client: FlaskClient, viewer: Headers, operator: Headers, fleet: list[str]) -> None:
    path = f"/api/devices/{fleet[0]}/parameters"

    def found(headers: Headers, query: str) -> list[str]:
        return [each["name"] for each in client.get(f"{path}?{query}", headers=headers).get_json()["parameters"]]

    assert found(viewer, "q=rxpow") == [POWER]
    assert found(viewer, "q=-20.5") == [POWER]
    assert found(operator, "q=SESAME") == [SECRET]
    assert found(viewer, "q=sesame") == [], "who may not see it may not find it"
    assert found(viewer, "writable=true") == []
