"""A scope: what is outside of it is as if it were not there, whatever is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from agent.acs.tasks import parse_arguments
from agent.core.clock import Deadline, wall
from agent.store.device_rows import DeviceState
from agent.store.rows import EVERYTHING, Role, Scope
from agent.store.tasks import TaskOrder
from agent.web.endpoint import Endpoint
from agent.web.metrics import Metrics
from agent.web.routes import make_endpoints
from agent.web.services import Services
from tests.store.cpes import add_device, serial_number_of
from tests.store.farm import rows, serial_of
from tests.web.conftest import Headers
from tests.web.people import PASSWORD, add_operator, browser, sign_in

MINE, OTHER = str(serial_of(1)), "860000000000777"
SCOPE = Scope(hosts=("farm-1",), tags=("village",))


@pytest.fixture
def devices(url: str, tmp_path: Path) -> tuple[str, str]:
    """A device with the tag of the scope, and one without; a modem of another host."""
    mine, other = add_device(url, 1), add_device(url, 2)
    rows(url, "INSERT INTO device_tags SELECT id, 'village' FROM devices WHERE device_id = %s", mine)
    rows(url, "INSERT INTO device_tags SELECT id, 'town' FROM devices WHERE device_id = %s", other)
    rows(
        url,
        "INSERT INTO hosts (name, proxy_listen) VALUES ('farm-2', '192.0.2.2')",
    )
    rows(
        url,
        "INSERT INTO modems (serial, host, proxy_port, uid, fib_table) VALUES (%s, 'farm-2', 3128, 70000, 20000)",
        OTHER,
    )
    return mine, other


@pytest.fixture
def headers(services: Services) -> Headers:
    """An operator's, within the scope."""
    return {"Authorization": f"Bearer {services.tokens.create('scoped', Role.OPERATOR, scope=SCOPE)}"}


def test_lists_hold_what_is_within(client: FlaskClient, headers: Headers, devices: tuple[str, str]) -> None:
    mine, _ = devices
    modems = client.get("/api/modems", headers=headers).get_json()
    assert (modems["total"], {each["host"] for each in modems["modems"]}) == (3, {"farm-1"})
    found = client.get("/api/devices", headers=headers).get_json()
    assert ([each["device_id"] for each in found["devices"]], found["total"]) == ([mine], 1)
    sought = client.get(f"/api/devices?serial_number={serial_number_of(2)}", headers=headers).get_json()
    assert (sought["devices"], sought["total"]) == ([], 0)
    statistics = client.get("/api/statistics", headers=headers)
    if statistics.status_code == 200:
        assert statistics.get_json()["devices"]["total"] == 1


def single(url: str, other: str) -> list[tuple[str, str, object]]:
    (task,) = rows(
        url,
        "INSERT INTO tasks (device_id, kind, priority, expires_at) SELECT id, 'reboot', 1, now() + interval '1 day'"
        " FROM devices WHERE device_id = %s RETURNING id",
        other,
    )[0]
    (fault,) = rows(
        url,
        "INSERT INTO faults (device_id, channel, code, message) SELECT id, 'x', '9001', 'no' FROM devices"
        " WHERE device_id = %s RETURNING id",
        other,
    )[0]
    device = f"/devices/{other}"
    return [
        ("GET", f"/modems/{OTHER}", None),
        ("GET", f"/modems/{OTHER}/logs", None),
        ("POST", f"/modems/{OTHER}/disable", {}),
        ("POST", f"/modems/{OTHER}/enable", {}),
        ("POST", f"/modems/{OTHER}/restart", {}),
        ("POST", f"/modems/{OTHER}/command", {"at": "AT+CSQ"}),
        ("GET", device, None),
        ("GET", f"{device}/parameters", None),
        ("GET", f"{device}/tags", None),
        ("PUT", f"{device}/tags", {"tags": ["village"]}),
        ("PUT", f"{device}/tags/village", None),
        ("DELETE", f"{device}/tags/town", None),
        ("POST", f"{device}/accept", {}),
        ("POST", f"{device}/refuse", {}),
        ("GET", f"{device}/tasks", None),
        ("POST", f"{device}/tasks", {"kind": "reboot"}),
        ("POST", f"{device}/reboot", {}),
        ("POST", f"{device}/connection-request", {}),
        ("GET", f"{device}/tasks/{task}", None),
        ("DELETE", f"{device}/tasks/{task}", None),
        ("DELETE", f"/faults/{fault}", None),
        ("GET", f"/sessions/{serial_number_of(2)}", None),
    ]


def test_single_things_outside_are_not_found(
    client: FlaskClient, headers: Headers, devices: tuple[str, str], url: str, services: Services
) -> None:
    before = (
        rows(url, "SELECT serial, enabled FROM modems ORDER BY serial"),
        rows(url, "SELECT device_id, tag FROM device_tags ORDER BY tag"),
    )
    for method, path, body in single(url, devices[1]):
        answer = client.open(f"/api{path}", method=method, headers=headers, json=body)
        assert answer.status_code == 404, (method, path, answer.text)
    assert client.get("/api/faults", headers=headers).get_json()["faults"] == []
    assert rows(url, "SELECT count(*) FROM modem_commands") == [(0,)]
    assert rows(url, "SELECT status FROM tasks") == [("pending",)]
    assert rows(url, "SELECT count(*) FROM faults") == [(1,)]
    assert before == (
        rows(url, "SELECT serial, enabled FROM modems ORDER BY serial"),
        rows(url, "SELECT device_id, tag FROM device_tags ORDER BY tag"),
    )


def test_the_same_is_there_for_who_sees_everything(
    client: FlaskClient, operator: Headers, devices: tuple[str, str], url: str
) -> None:
    for method, path, body in single(url, devices[1]):
        if method == "GET":
            answer = client.open(f"/api{path}", method=method, headers=operator, json=body)
            assert answer.status_code == 200, (method, path, answer.text)


def test_what_is_within_can_be_changed(
    client: FlaskClient, headers: Headers, devices: tuple[str, str], url: str
) -> None:
    mine, _ = devices
    assert client.post(f"/api/modems/{MINE}/disable", headers=headers).status_code == 200
    assert client.post(f"/api/devices/{mine}/reboot", headers=headers).status_code == 202
    assert client.put(f"/api/devices/{mine}/tags/seen", headers=headers).status_code == 200
    task = client.get(f"/api/devices/{mine}/tasks", headers=headers).get_json()["tasks"][0]["id"]
    assert client.delete(f"/api/devices/{mine}/tasks/{task}", headers=headers).status_code == 200


def test_what_tells_of_the_whole_fleet_is_refused(client: FlaskClient, headers: Headers, services: Services) -> None:
    answer = client.get("/metrics", headers=headers)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "outside_scope")


def test_nobody_but_admins_makes_rights(client: FlaskClient, headers: Headers, services: Services) -> None:
    endpoints = make_endpoints(
        Metrics(services.fleet, services.events, services.acs.statistics, services.monitoring.alerts), dict
    )
    rights: list[Endpoint] = [each for each in endpoints if each.path.startswith(("/operators", "/tokens", "/audit"))]
    assert rights
    assert all(each.role is Role.ADMIN for each in rights)


def test_pages_show_what_is_within(app: object, services: Services, devices: tuple[str, str]) -> None:
    add_operator(services, "anna", Role.OPERATOR, SCOPE)
    client = browser(app)  # type: ignore[arg-type]
    assert sign_in(client, "anna", PASSWORD) == 303
    text = client.get("/modems").text
    assert MINE in text
    assert OTHER not in text
    assert client.get(f"/modems/{OTHER}", headers={"Accept": "text/html"}).status_code == 404


class TestEvents:
    def receive(self, services: Services, scope: Scope, act: Callable[[], object]) -> list[str]:
        scoped = services.fleet.within(scope) if not scope.is_everything else None
        subscription = services.events.subscribe(None, None, None, scoped)
        try:
            act()
            found: list[str] = []
            deadline = Deadline.after(1.5)
            while not deadline.passed:
                found += [row.serial or row.device_id or "" for row in subscription.receive(deadline)]
            return found
        finally:
            services.events.unsubscribe(subscription)

    def act(self, services: Services, devices: tuple[str, str]) -> None:
        for serial in (MINE, OTHER):
            services.fleet.set_enabled(serial, False)
        for device in devices:
            services.acs.devices.set_state(device, DeviceState.REFUSED)

    def test_a_stream_has_what_is_within(self, services: Services, devices: tuple[str, str]) -> None:
        assert self.receive(services, SCOPE, lambda: self.act(services, devices)) == [MINE, devices[0]]

    def test_who_sees_everything_gets_all(self, services: Services, devices: tuple[str, str]) -> None:
        got = self.receive(services, EVERYTHING, lambda: self.act(services, devices))
        assert got == [MINE, OTHER, *devices]

    def test_a_device_that_goes_is_told(self, services: Services, devices: tuple[str, str]) -> None:
        def delete() -> None:
            for device in devices:
                assert services.acs.devices.delete(device)

        assert self.receive(services, SCOPE, delete) == [devices[0]]

    def test_progress_is_within_too(self, services: Services, devices: tuple[str, str]) -> None:
        subscription = services.events.subscribe(None, None, None, services.fleet.within(SCOPE))
        try:
            for device in devices:
                services.events.hear("session_progress", json.dumps({"device": device, "batch": 1}))
            assert [each["device"] for each in subscription.take_progress()] == [devices[0]]
        finally:
            services.events.unsubscribe(subscription)


def test_nothing_at_all_is_seen_with_an_empty_scope(services: Services, devices: tuple[str, str]) -> None:
    nothing = services.of_request(Scope(hosts=(), tags=()), services.audit.trail(None))
    assert nothing.fleet.fetch_modems() == ()
    assert nothing.fleet.fetch_hosts() == ()
    assert nothing.acs.devices.fetch_many(devices) == ()
    order = TaskOrder(arguments=parse_arguments("reboot", {}), created_by="x", expires_at=wall())
    assert nothing.acs.tasks.create(devices[0], order) is None
    assert nothing.acs.statistics.count_devices().total == 0
    assert services.acs.statistics.count_devices().total == 2
