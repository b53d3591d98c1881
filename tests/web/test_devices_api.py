"""Devices: listed, shown, decided about, tagged; their parameters; and what is no good question."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from agent.web.services import Services
from tests.store.cpes import (
    MANUFACTURER,
    add_device,
    begin_session,
    device_id_of,
    end_session,
    serial_number_of,
    tree,
    write_values,
)
from tests.store.farm import rows
from tests.web.conftest import Headers

ROOT = "InternetGatewayDevice."
SSID, PASSPHRASE = f"{ROOT}WLAN.1.SSID", f"{ROOT}WLAN.1.KeyPassphrase"


@pytest.fixture
def device(url: str) -> str:
    return add_device(url)


def path_of(device: str, rest: str = "") -> str:
    return f"/api/devices/{quote(device, safe='')}{rest}"


class TestList:
    def serials(self, client: FlaskClient, headers: Headers, query: str = "") -> list[str]:
        response = client.get(f"/api/devices{query}", headers=headers)
        assert response.status_code == 200, response.get_json()
        return [each["serial_number"] for each in response.get_json()["devices"]]

    def test_filters(self, client: FlaskClient, viewer: Headers, services: Services, url: str) -> None:
        ids = [add_device(url, number, age_seconds=number * 400.0) for number in (1, 2, 3)]
        services.acs.devices.add_tags(ids[0], ("a", "b"))
        services.acs.devices.add_tags(ids[1], ("b",))
        rows(url, "UPDATE devices SET state = 'held' WHERE device_id = %s", ids[2])
        write_values(url, ids[1], {SSID: "10:20:30 & co"})
        first, second, third = (serial_number_of(number) for number in (1, 2, 3))
        for query, expected in (
            ("", [first, second, third]),
            (f"?serial_number={second}", [second]),
            (f"?manufacturer={quote(MANUFACTURER)}&oui=00259E&product_class=EG8145V5", [first, second, third]),
            ("?state=held", [third]),
            ("?state=held&state=accepted", [first, second, third]),
            ("?online=true", [first]),
            ("?online=false", [second, third]),
            ("?tag=b", [first, second]),
            ("?tag=b&tag=a", [first]),
            (f"?parameter={quote(f'{SSID}:10:20:30 & co')}", [second]),
            (f"?parameter={ROOT}DeviceInfo.SoftwareVersion:V5R019", [first, second, third]),
            ("?software_version=V6", []),
            ("?sort=last_inform", [third, second, first]),
            ("?sort=serial_number&order=desc&limit=2", [third, second]),
        ):
            assert self.serials(client, viewer, query) == expected, query

    def test_pages(self, client: FlaskClient, viewer: Headers, url: str) -> None:
        for number in range(1, 8):
            add_device(url, number, product_class="%Box-")
        seen: list[str] = []
        cursor = ""
        while True:
            query = f"?limit=3&sort=first_seen&order=desc&fields=serial_number{cursor}"
            page = client.get(f"/api/devices{query}", headers=viewer).get_json()
            assert page["total"] == 7
            assert all(list(each) == ["serial_number"] for each in page["devices"])
            seen += [each["serial_number"] for each in page["devices"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == [serial_number_of(number) for number in range(7, 0, -1)]

    def test_fields(self, client: FlaskClient, viewer: Headers, device: str) -> None:
        for query in ("?fields=device_id,tags,last_inform", "?fields=device_id&fields=tags,last_inform"):
            (shown,) = client.get(f"/api/devices{query}", headers=viewer).get_json()["devices"]
            assert list(shown) == ["device_id", "last_inform", "tags"]
            assert datetime.fromisoformat(shown["last_inform"]).tzinfo is not None

    @pytest.mark.parametrize(
        "query",
        [
            "?limit=0",
            "?limit=1001",
            "?sort=colour",
            "?order=up",
            "?state=cheerful",
            "?online=perhaps",
            "?tag=a%20b",
            "?fields=device_id,password",
            "?parameter=Device.X",
            "?parameter=:x",
            "?serial=1",
            "?serial_number=a&serial_number=b",
            "?cursor=nonsense",
            "?cursor=W10",
            "?cursor=%00",
            "?cursor=WyJzZXJpYWxfbnVtYmVyIiwiYXNjIiwiYSIsImIiXQ",
            "?sort=last_inform&cursor=WyJsYXN0X2luZm9ybSIsImFzYyIsImEiLCJiIl0",
        ],
    )
    def test_a_query_that_makes_no_sense_is_refused(
        self, client: FlaskClient, viewer: Headers, device: str, query: str
    ) -> None:
        response = client.get(f"/api/devices{query}", headers=viewer)
        assert response.status_code == 400
        assert response.get_json()["error"]["code"] in ("bad_request", "bad_cursor")

    def test_who_may_not_see_a_password_may_not_guess_it(
        self, client: FlaskClient, viewer: Headers, operator: Headers, url: str, device: str
    ) -> None:
        write_values(url, device, {PASSPHRASE: "geheim"})
        query = f"/api/devices?parameter={PASSPHRASE}:geheim"
        assert client.get(query, headers=viewer).status_code == 403
        assert client.get(query, headers=operator).get_json()["total"] == 1


class TestDevice:
    def test_it_is_shown_with_its_session(self, client: FlaskClient, viewer: Headers, url: str, device: str) -> None:
        shown = client.get(path_of(device), headers=viewer).get_json()
        assert (shown["device_id"], shown["state"], shown["online"]) == (device, "accepted", True)
        assert shown["session"]["status"] == "idle"
        begin_session(url, device, discovery=tree(), batch=15, batches=48)
        session = client.get(path_of(device), headers=viewer).get_json()["session"]
        assert (session["status"], session["batch"], session["batches"]) == ("discovering", 15, 48)

    @pytest.mark.parametrize("product_class", ["EG8145V5", "Home-Box", "a/b?c#d%e", "Ü ber", "..", ""])
    def test_every_id_round_trips(
        self, client: FlaskClient, viewer: Headers, operator: Headers, url: str, product_class: str
    ) -> None:
        device = add_device(url, product_class=product_class)
        shown = client.get(path_of(device), headers=viewer).get_json()
        assert (shown["device_id"], shown["product_class"]) == (device, product_class)
        assert client.get(path_of(device, "/parameters"), headers=viewer).status_code == 200
        assert client.put(path_of(device, "/tags/x"), headers=operator).get_json() == {"tags": ["x"]}

    @pytest.mark.parametrize("device", ["nobody", "00259E-EG8145V5-1", "%00", "x" * 2000, "a-b-c-d", "%2e%2e"])
    @pytest.mark.parametrize("rest", ["", "/parameters", "/tags", "/tasks", "/tasks/1"])
    def test_an_unknown_device_is_not_found(self, client: FlaskClient, viewer: Headers, device: str, rest: str) -> None:
        response = client.get(f"/api/devices/{device}{rest}", headers=viewer)
        assert response.status_code == 404
        assert response.get_json()["error"]["code"] == "device_not_found"

    def test_deciding(self, client: FlaskClient, operator: Headers, services: Services, url: str) -> None:
        device = add_device(url, state="held")
        assert client.post(path_of(device, "/accept"), headers=operator).get_json()["state"] == "accepted"
        assert client.post(path_of(device, "/refuse"), headers=operator).get_json()["state"] == "refused"
        assert client.post(path_of("nobody", "/accept"), headers=operator).status_code == 404
        assert client.post(path_of(device, "/accept"), headers=operator, json={"x": 1}).status_code == 400
        assert [
            (each.action, each.target, each.before, each.after, each.outcome) for each in services.audit.fetch()
        ] == [
            ("device.refused", device, {"state": "accepted"}, {"state": "refused"}, "done"),
            ("device.accepted", device, {"state": "held"}, {"state": "accepted"}, "done"),
        ]

    def test_deleting(
        self, client: FlaskClient, operator: Headers, admin: Headers, services: Services, url: str, device: str
    ) -> None:
        begin_session(url, device)
        assert client.delete(path_of(device), headers=operator).status_code == 403
        busy = client.delete(path_of(device), headers=admin)
        assert (busy.status_code, busy.get_json()["error"]["code"]) == (409, "device_busy")
        end_session(url, device)
        gone = client.delete(path_of(device), headers=admin)
        assert (gone.status_code, gone.data) == (204, b"")
        assert client.delete(path_of(device), headers=admin).status_code == 404
        assert services.audit.fetch()[0].action == "device.delete"


class TestTags:
    def test_put_on_and_taken_off(
        self, client: FlaskClient, viewer: Headers, operator: Headers, services: Services, device: str
    ) -> None:
        tags = path_of(device, "/tags")
        assert client.get(tags, headers=viewer).get_json() == {"tags": []}
        assert client.put(f"{tags}/vip", headers=operator).get_json() == {"tags": ["vip"]}
        assert client.put(tags, headers=operator, json={"tags": ["b", "a", "b"]}).get_json() == {"tags": ["a", "b"]}
        assert client.delete(f"{tags}/b", headers=operator).get_json() == {"tags": ["a"]}
        assert client.delete(f"{tags}/b", headers=operator).get_json() == {"tags": ["a"]}
        assert client.delete(tags, headers=operator).get_json() == {"tags": []}
        actions = [each.action.removeprefix("device.tags.") for each in reversed(services.audit.fetch())]
        assert actions == ["add", "replace", "remove", "remove", "replace"]

    @pytest.mark.parametrize("body", [{}, {"tags": ["a b"]}, {"tags": "a"}, {"tags": ["a"] * 101}, [], {"tags": [1]}])
    def test_what_are_no_tags(self, client: FlaskClient, operator: Headers, device: str, body: Any) -> None:
        response = client.put(path_of(device, "/tags"), headers=operator, json=body)
        assert response.status_code == 400

    def test_what_is_no_tag(self, client: FlaskClient, operator: Headers, device: str) -> None:
        response = client.put(path_of(device, "/tags/-x"), headers=operator)
        assert (response.status_code, response.get_json()["error"]["code"]) == (400, "tag_refused")


class TestParameters:
    def test_prefix_since_and_pages(self, client: FlaskClient, viewer: Headers, url: str, device: str) -> None:
        write_values(url, device, {f"{ROOT}Host.{number}.Name": str(number) for number in range(1, 13)})
        seen: list[str] = []
        cursor = ""
        while True:
            query = f"/parameters?prefix={ROOT}Host.&limit=5{cursor}"
            page = client.get(path_of(device, query), headers=viewer).get_json()
            assert page["total"] == 12
            seen += [each["value"] for each in page["parameters"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == [str(number) for number in range(1, 13)]
        ahead = quote((datetime.now(UTC) + timedelta(hours=1)).isoformat())
        page = client.get(path_of(device, f"/parameters?since={ahead}"), headers=viewer).get_json()
        assert page == {"parameters": [], "total": 0, "next_cursor": None}

    @pytest.mark.parametrize(
        "query", ["since=yesterday", "since=2026-01-02T03:04:05", "limit=0", "cursor=x", "after=x"]
    )
    def test_what_makes_no_sense(self, client: FlaskClient, viewer: Headers, device: str, query: str) -> None:
        response = client.get(path_of(device, f"/parameters?{query}"), headers=viewer)
        assert response.status_code == 400

    def test_viewers_get_no_passwords(
        self, client: FlaskClient, viewer: Headers, operator: Headers, url: str, device: str
    ) -> None:
        write_values(url, device, {PASSPHRASE: "geheim", SSID: "home", f"{ROOT}ManagementServer.Password": ""})

        def values(headers: Headers) -> dict[str, str]:
            page = client.get(path_of(device, "/parameters"), headers=headers).get_json()
            return {each["name"]: each["value"] for each in page["parameters"]}

        assert values(operator)[PASSPHRASE] == "geheim"
        shown = values(viewer)
        assert (shown[PASSPHRASE], shown[SSID], shown[f"{ROOT}ManagementServer.Password"]) == ("***", "home", "")


class TestSessionsAndNumbers:
    def test_sessions(self, client: FlaskClient, viewer: Headers, url: str, device: str) -> None:
        for outcome in ("completed", "failed", "completed"):
            begin_session(url, device)
            end_session(url, device, outcome)
        begin_session(url, device, discovery=tree(), batch=2, batches=9)
        begin_session(url, add_device(url, 2))
        everything = client.get("/api/sessions", headers=viewer).get_json()
        assert everything["total"] == len(everything["sessions"]) == 2
        (discovering,) = client.get("/api/sessions?discovering", headers=viewer).get_json()["sessions"]
        assert discovering["device_id"] == device
        mine = f"/api/sessions/{serial_number_of(1)}"
        first = client.get(f"{mine}?limit=2", headers=viewer).get_json()
        assert (first["status"], len(first["sessions"])) == ("discovering", 1)
        assert [each["outcome"] for each in first["history"]] == ["completed", "failed"]
        rest = client.get(f"{mine}?limit=2&cursor={first['next_cursor']}", headers=viewer).get_json()
        assert (len(rest["history"]), rest["next_cursor"]) == (1, None)
        assert client.get("/api/sessions/nobody", headers=viewer).status_code == 404
        for cursor in ("x", "W10", "WyJ4IiwieSJd", "WyJ4IiwiMSJd"):
            assert client.get(f"{mine}?cursor={cursor}", headers=viewer).status_code == 400

    def test_in_numbers(self, client: FlaskClient, viewer: Headers, url: str, device: str) -> None:
        add_device(url, 2, state="held", age_seconds=1e6)
        rows(url, "UPDATE devices SET discovered_at = now() WHERE device_id = %s", device)
        begin_session(url, device, wanted=True)
        stats = client.get("/api/sessions/stats", headers=viewer).get_json()
        assert (stats["active"], stats["discovering"], stats["active_workers"]) == (1, 1, 1)
        assert (stats["total_devices"], stats["completed_discoveries"], stats["completed_today"]) == (2, 1, 0)
        assert stats["mean_duration_seconds"] is None
        numbers = client.get("/api/v1/stats", headers=viewer).get_json()
        assert numbers["devices"] == {"total": 2, "online": 1, "held": 1, "refused": 0}
        assert (numbers["tasks"]["pending"], numbers["faults"], numbers["sessions_active"]) == (0, 0, 1)

    def test_faults(self, client: FlaskClient, viewer: Headers, operator: Headers, url: str, device: str) -> None:
        rows(
            url,
            "INSERT INTO faults (device_id, channel, code, message) SELECT id, n, '900' || n, 'no' FROM devices,"
            " unnest(ARRAY['1', '2', '3']) AS n",
        )
        page = client.get(f"/api/faults?device={device}&limit=2", headers=viewer).get_json()
        assert [each["code"] for each in page["faults"]] == ["9003", "9002"]
        rest = client.get(f"/api/faults?before_id={page['next_before_id']}", headers=viewer).get_json()
        assert [each["code"] for each in rest["faults"]] == ["9001"]
        assert client.get("/api/faults?code=9002", headers=viewer).get_json()["next_before_id"] is None
        number = rest["faults"][0]["id"]
        assert client.delete(f"/api/faults/{number}", headers=operator).status_code == 204
        for missing in (number, 0, "x", "9" * 30):
            response = client.delete(f"/api/faults/{missing}", headers=operator)
            assert (response.status_code, response.get_json()["error"]["code"]) == (404, "fault_not_found")


def test_device_ids_of_the_tests_are_what_they_seem() -> None:
    assert device_id_of(1) == "00259E-EG8145V5-4857544300000001"
    assert device_id_of(1, "Home-Box") == "00259E-Home%2DBox-4857544300000001"
