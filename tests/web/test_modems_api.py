"""Reading the fleet, and wishing modems up or down."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from agent.web.services import Services
from tests.store.farm import rows, serial_of
from tests.web.conftest import MODEM, Headers


@pytest.mark.parametrize("prefix", ["/api", "/api/v1"])
def test_a_modem_is_shown_with_its_proxy(client: FlaskClient, viewer: Headers, url: str, prefix: str) -> None:
    rows(
        url, "UPDATE modems SET status = 'online', wan_address = '10.0.0.7', rsrp_dbm = -91.5 WHERE serial = %s", MODEM
    )
    response = client.get(f"{prefix}/modems/{MODEM}", headers=viewer)
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    modem = response.get_json()
    assert modem["serial"] == MODEM
    assert modem["state"] == modem["status"] == "online"
    assert modem["proxy_address"] == "192.0.2.1:3128"
    assert modem["wan_address"] == "10.0.0.7"
    assert modem["rsrp_dbm"] == -91.5
    assert "uid" not in modem


def test_lists_are_filtered_and_paged_in_a_stable_order(client: FlaskClient, viewer: Headers, url: str) -> None:
    def serials(query: str) -> tuple[list[str], int, str | None]:
        page = client.get(f"/api/modems{query}", headers=viewer).get_json()
        return [modem["serial"] for modem in page["modems"]], page["total"], page["next_after"]

    everyone = [serial_of(number) for number in (1, 2, 3)]
    assert serials("") == (everyone, 3, None)
    assert serials("?limit=2") == (everyone[:2], 3, everyone[1])
    assert serials(f"?limit=2&after={everyone[1]}") == (everyone[2:], 3, None)
    rows(url, "UPDATE modems SET status = 'online' WHERE serial = %s", everyone[1])
    assert serials("?status=online") == ([everyone[1]], 1, None)
    assert serials("?status=online&status=detected") == (everyone, 3, None)
    assert serials("?host=farm-1") == (everyone, 3, None)
    assert serials("?host=elsewhere") == ([], 0, None)


@pytest.mark.parametrize(
    "query", ["?status=cheerful", "?limit=0", "?limit=1001", "?limit=many", "?sort=serial", "?host=a&host=b"]
)
def test_a_query_that_makes_no_sense_is_refused(client: FlaskClient, viewer: Headers, query: str) -> None:
    response = client.get(f"/api/modems{query}", headers=viewer)
    assert response.status_code == 400
    assert response.get_json()["error"]["code"] == "bad_request"


@pytest.mark.parametrize("serial", ["860000000099999", "x", "a" * 65, "%00%00%00", "..%2e"])
def test_an_unknown_modem_is_not_found(client: FlaskClient, viewer: Headers, serial: str) -> None:
    response = client.get(f"/api/modems/{serial}", headers=viewer)
    assert response.status_code == 404
    assert response.get_json()["error"]["code"] == "modem_not_found"


def test_logs_are_paged_from_the_newest(client: FlaskClient, viewer: Headers, url: str) -> None:
    for number in range(5):
        rows(
            url,
            "INSERT INTO modem_logs (at, host, serial, channel, command, response, outcome)"
            " VALUES (now(), 'farm-1', %s, 'at', %s, 'OK', 'ok')",
            *(MODEM, f"AT+N={number}"),
        )

    def page(query: str) -> tuple[list[str], int | None]:
        answer = client.get(f"/api/modems/{MODEM}/logs{query}", headers=viewer).get_json()
        return [entry["command"] for entry in answer["logs"]], answer["next_before_id"]

    first, next_id = page("?limit=3")
    assert first == ["AT+N=4", "AT+N=3", "AT+N=2"]
    assert page(f"?limit=3&before_id={next_id}") == (["AT+N=1", "AT+N=0"], None)
    assert page("?limit=5")[1] is None
    assert client.get("/api/modems/860000000099999/logs", headers=viewer).status_code == 404


def test_wishes_are_kept_and_accounted_for(client: FlaskClient, operator: Headers, services: Services) -> None:
    disabled = client.post(f"/api/modems/{MODEM}/disable", headers=operator)
    assert disabled.status_code == 200
    assert disabled.get_json()["enabled"] is False
    row = services.fleet.fetch_modem(MODEM)
    assert row is not None
    assert row.enabled is False
    enabled = client.post(f"/api/v1/modems/{MODEM}/enable", headers=operator, json={})
    assert enabled.get_json()["enabled"] is True
    audit = services.audit.fetch()
    assert [(each.principal, each.role, each.action, each.target) for each in audit] == [
        ("operator", "operator", "modem.enable", MODEM),
        ("operator", "operator", "modem.disable", MODEM),
    ]


def test_a_wish_for_nobody_leaves_no_trace(client: FlaskClient, operator: Headers, services: Services) -> None:
    assert client.post("/api/modems/860000000099999/enable", headers=operator).status_code == 404
    assert services.audit.fetch() == ()


def test_enable_takes_no_arguments(client: FlaskClient, operator: Headers) -> None:
    response = client.post(f"/api/modems/{MODEM}/enable", headers=operator, json={"apn": "internet"})
    assert response.status_code == 400
    assert response.get_json()["error"]["details"]["problems"][0]["field"] == "apn"
