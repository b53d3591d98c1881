"""Tasks by the API: made, waited for and cancelled; devices woken; and how it all sounds in HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from agent.store.rows import Role
from agent.web.services import Services
from tests.store.cpes import Answering, add_device, fail_task, finish_task
from tests.store.farm import rows
from tests.web.conftest import Headers

Work = Callable[[int, str], object]


@pytest.fixture
def device(url: str) -> str:
    return add_device(url)


@pytest.fixture
def tasks(device: str) -> str:
    return f"/api/devices/{device}/tasks"


@pytest.fixture
def answering(url: str) -> Iterator[Callable[[Work], Answering]]:
    running: list[Answering] = []

    def begin(react: Work) -> Answering:
        running.append(Answering(url, react))
        return running[-1]

    yield begin
    for each in running:
        each.stop()


READ = {"kind": "getParameterValues", "arguments": {"names": ["Device.DeviceInfo."]}}


class TestMaking:
    def test_it_waits_for_the_next_session(
        self, client: FlaskClient, operator: Headers, viewer: Headers, services: Services, device: str, tasks: str
    ) -> None:
        response = client.post(tasks, headers=operator, json=READ)
        assert response.status_code == 202
        made = response.get_json()
        assert (made["kind"], made["status"], made["created_by"]) == ("getParameterValues", "pending", "operator")
        assert made["connection_request"] is None
        hours = (datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)) / timedelta(hours=1)
        assert 167.9 < hours <= 168
        shown = client.get(f"{tasks}/{made['id']}", headers=viewer).get_json()
        assert shown == {key: value for key, value in made.items() if key != "connection_request"}
        (audit,) = services.audit.fetch()
        assert (audit.action, audit.target) == ("device.task.getParameterValues", device)
        assert audit.details == {"names": ["Device.DeviceInfo."], "count": 1}

    @pytest.mark.parametrize(
        ("path", "body", "kind", "arguments"),
        [
            ("reboot", None, "reboot", {}),
            ("factory-reset", None, "factoryReset", {}),
            ("refresh", None, "refreshObject", {"path": ""}),
            ("refresh", {"path": "Device.Hosts."}, "refreshObject", {"path": "Device.Hosts."}),
        ],
    )
    def test_those_with_a_name_of_their_own(
        self, client: FlaskClient, operator: Headers, device: str, path: str, body: Any, kind: str, arguments: Any
    ) -> None:
        made = client.post(f"/api/devices/{device}/{path}", headers=operator, json=body or {})
        assert made.status_code == 202
        assert (made.get_json()["kind"], made.get_json()["arguments"]) == (kind, arguments)

    @pytest.mark.parametrize(
        ("body", "values"),
        [
            ({"Device.A.B": "x", "Device.A.C": 5, "Device.A.D": True}, ["x", "5", "true"]),
            ([{"name": "Device.A.B", "value": "1", "type": "unsignedInt"}], ["1"]),
        ],
    )
    def test_setting_parameters(
        self, client: FlaskClient, operator: Headers, url: str, device: str, body: Any, values: list[str]
    ) -> None:
        made = client.put(f"/api/devices/{device}/parameters", headers=operator, json=body)
        assert made.status_code == 202
        assert made.get_json()["kind"] == "setParameterValues"
        ((arguments,),) = rows(url, "SELECT arguments FROM tasks")
        assert [each["value"] for each in arguments["values"]] == values

    def test_an_end_of_its_own(self, client: FlaskClient, operator: Headers, tasks: str) -> None:
        end = datetime.now(UTC) + timedelta(minutes=5)
        made = client.post(tasks, headers=operator, json={**READ, "expires_at": end.isoformat()})
        assert datetime.fromisoformat(made.get_json()["expires_at"]) == end
        for other in (end - timedelta(hours=1), end + timedelta(days=400)):
            refused = client.post(tasks, headers=operator, json={**READ, "expires_at": other.isoformat()})
            assert refused.status_code == 400

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ({}, "not valid"),
            ({"kind": "explode"}, "is not a kind of task"),
            ({"kind": "getParameterValues"}, "names: Field required"),
            ({"kind": "getParameterValues", "arguments": {"names": []}}, "names"),
            ({"kind": "getParameterValues", "arguments": {"names": ["1 2"]}}, "'1 2' is not a path"),
            ({"kind": "addObject", "arguments": {"path": "Device.Hosts"}}, "must end with a dot"),
            ({"kind": "reboot", "arguments": {"now": True}}, "now"),
            ({"kind": "reboot", "arguments": []}, "not valid"),
            ({"kind": "reboot", "more": 1}, "not valid"),
            ({"kind": "download", "arguments": {}}, "either file"),
            ({"kind": "download", "arguments": {"file": "gone.bin"}}, "there is no file 'gone.bin'"),
            ({"kind": "reboot", "expires_at": "2999-01-01T00:00:00"}, "not valid"),
            ([], "not valid"),
            ("reboot", "not valid"),
        ],
    )
    def test_what_is_no_task_is_refused_with_a_reason(
        self, client: FlaskClient, operator: Headers, url: str, tasks: str, body: Any, words: str
    ) -> None:
        response = client.post(tasks, headers=operator, json=body)
        assert response.status_code == 400
        error = response.get_json()["error"]
        assert error["code"] in ("bad_request", "task_refused", "no_such_file")
        assert words in error["message"]
        assert rows(url, "SELECT count(*) FROM tasks") == [(0,)]

    @pytest.mark.parametrize(
        "body", [{}, [], {"Device.": "x"}, {"Device.A": 1.5}, {"Device.A": None}, [1], ["Device.A"], 5, None]
    )
    def test_what_are_no_values_is_refused(
        self, client: FlaskClient, operator: Headers, url: str, device: str, body: Any
    ) -> None:
        response = client.put(f"/api/devices/{device}/parameters", headers=operator, json=body)
        assert response.status_code == 400
        assert rows(url, "SELECT count(*) FROM tasks") == [(0,)]

    @pytest.mark.parametrize("query", ["wait=x", "wait=-1", "wait=nan", "wait=601", "connection_request=maybe", "x=1"])
    def test_a_query_that_makes_no_sense(
        self, client: FlaskClient, operator: Headers, url: str, tasks: str, query: str
    ) -> None:
        assert client.post(f"{tasks}?{query}", headers=operator, json=READ).status_code == 400
        assert rows(url, "SELECT count(*) FROM tasks") == [(0,)]

    def test_secrets_are_not_told(
        self, client: FlaskClient, operator: Headers, admin: Headers, services: Services, device: str, tasks: str
    ) -> None:
        values = {"Device.WiFi.1.KeyPassphrase": "geheim", "Device.WiFi.1.SSID": "home"}
        answers = [client.put(f"/api/devices/{device}/parameters", headers=operator, json=values)]
        download = {"url": "http://192.0.2.1/x", "password": "geheim"}
        answers.append(client.post(tasks, headers=operator, json={"kind": "download", "arguments": download}))
        answers.append(client.get(tasks, headers=admin))
        for answer in answers:
            assert answer.status_code in (200, 202)
            assert "geheim" not in answer.get_data(as_text=True)
        assert "home" in answers[0].get_data(as_text=True)
        assert not any("geheim" in str(each.details) for each in services.audit.fetch())

    def test_viewers_get_no_passwords_that_were_read(
        self, client: FlaskClient, operator: Headers, viewer: Headers, url: str, tasks: str
    ) -> None:
        number = client.post(tasks, headers=operator, json=READ).get_json()["id"]
        finish_task(url, number, {"count": 2, "values": {"Device.X.Password": "geheim", "Device.X.Name": "n"}})
        shown = client.get(f"{tasks}/{number}", headers=viewer).get_json()["result"]
        assert shown == {"count": 2, "values": {"Device.X.Password": "***", "Device.X.Name": "n"}}
        assert client.get(f"{tasks}/{number}", headers=operator).get_json()["result"]["values"] != shown["values"]


class TestWaiting:
    def test_the_result_comes_back(
        self, client: FlaskClient, operator: Headers, url: str, tasks: str, answering: Callable[[Work], Answering]
    ) -> None:
        answering(lambda task, _kind: finish_task(url, task, {"count": 1}))
        begun = time.monotonic()
        response = client.post(f"{tasks}?wait=5&connection_request", headers=operator, json=READ)
        assert time.monotonic() - begun < 4
        assert response.status_code == 200
        answer = response.get_json()
        assert (answer["status"], answer["result"]) == ("completed", {"count": 1})
        assert answer["connection_request"]["state"] == "pending"

    def test_a_refusal_of_the_device(
        self, client: FlaskClient, operator: Headers, url: str, tasks: str, answering: Callable[[Work], Answering]
    ) -> None:
        single = {"name": "Device.X", "code": "9005", "message": "Invalid parameter name"}
        answering(lambda task, _kind: fail_task(url, task, "9003", "Invalid arguments", parameters=(single,)))
        response = client.post(f"{tasks}?wait=5", headers=operator, json=READ)
        assert response.status_code == 502
        error = response.get_json()["error"]
        assert (error["code"], error["message"]) == ("device_refused", "9003: Invalid arguments")
        assert error["details"]["fault"] == {"parameters": [single]}
        assert error["details"]["task"]["status"] == "failed"

    def test_a_refusal_that_is_tried_again(
        self, client: FlaskClient, operator: Headers, url: str, tasks: str, answering: Callable[[Work], Answering]
    ) -> None:
        answering(lambda task, _kind: fail_task(url, task, "9001", "Request denied", 300))
        begun = time.monotonic()
        response = client.post(f"{tasks}?wait=5", headers=operator, json=READ)
        assert time.monotonic() - begun < 4
        assert response.status_code == 202
        assert response.get_json()["fault_code"] == "9001"
        assert response.get_json()["not_before"] is not None

    @pytest.mark.parametrize(
        ("status", "http_status", "code"), [("cancelled", 409, "task_cancelled"), ("expired", 504, "task_expired")]
    )
    def test_other_ends(
        self,
        client: FlaskClient,
        operator: Headers,
        url: str,
        tasks: str,
        answering: Callable[[Work], Answering],
        status: str,
        http_status: int,
        code: str,
    ) -> None:
        def end(task: int, _kind: str) -> None:
            rows(url, "UPDATE tasks SET status = %s WHERE id = %s", status, task)

        answering(end)
        response = client.post(f"{tasks}?wait=5", headers=operator, json=READ)
        assert (response.status_code, response.get_json()["error"]["code"]) == (http_status, code)

    def test_no_longer_than_asked(self, client: FlaskClient, operator: Headers, tasks: str) -> None:
        begun = time.monotonic()
        response = client.post(f"{tasks}?wait=0.3", headers=operator, json=READ)
        assert time.monotonic() - begun < 3
        assert (response.status_code, response.get_json()["status"]) == (202, "pending")

    def test_places_are_bounded(self, app: Flask, operator: Headers, services: Services, tasks: str) -> None:
        slots = services.command_slots._value
        waiting = [
            threading.Thread(target=lambda: app.test_client().post(f"{tasks}?wait=2", headers=operator, json=READ))
            for _ in range(slots)
        ]
        for thread in waiting:
            thread.start()
        deadline = time.monotonic() + 5
        while services.command_slots._value and time.monotonic() < deadline:
            time.sleep(0.01)
        refused = app.test_client().post(f"{tasks}?wait=1", headers=operator, json=READ)
        assert (refused.status_code, refused.get_json()["error"]["code"]) == (503, "busy")
        assert refused.headers["Retry-After"]
        assert app.test_client().post(tasks, headers=operator, json=READ).status_code == 202
        for thread in waiting:
            thread.join(10)
        assert services.command_slots._value == slots


class TestConnectionRequests:
    def test_asked_and_joined(
        self, client: FlaskClient, operator: Headers, services: Services, device: str, tasks: str
    ) -> None:
        path = f"/api/devices/{device}/connection-request"
        first = client.post(path, headers=operator)
        assert first.status_code == 202
        assert (first.get_json()["state"], first.get_json()["requested_by"]) == ("pending", "operator")
        again = client.post(f"{path}?wait=0.2", headers=operator)
        assert (again.status_code, again.get_json()["id"]) == (202, first.get_json()["id"])
        task = client.post(f"{tasks}?connection_request=true", headers=operator, json=READ)
        assert task.get_json()["connection_request"]["id"] == first.get_json()["id"]
        assert services.audit.fetch()[-1].action == "device.connection_request"
        assert client.post("/api/devices/nobody/connection-request", headers=operator).status_code == 404

    @pytest.mark.parametrize(("state", "status"), [("done", 200), ("failed", 502)])
    def test_waited_for(
        self, client: FlaskClient, operator: Headers, url: str, device: str, state: str, status: int
    ) -> None:
        end = "UPDATE connection_requests SET state = %s, reason = 'HTTP 401'"
        threading.Timer(0.5, rows, (url, end, state)).start()
        response = client.post(f"/api/devices/{device}/connection-request?wait=5", headers=operator)
        assert response.status_code == status
        if status == 502:
            error = response.get_json()["error"]
            assert (error["code"], error["message"]) == ("connection_request_failed", "HTTP 401")


class TestListingAndCancelling:
    def test_listed_by_status_and_page(self, client: FlaskClient, operator: Headers, url: str, tasks: str) -> None:
        made = [client.post(tasks, headers=operator, json=READ).get_json()["id"] for _ in range(4)]
        finish_task(url, made[0])
        page = client.get(f"{tasks}?limit=3", headers=operator).get_json()
        assert [each["id"] for each in page["tasks"]] == made[:0:-1]
        rest = client.get(f"{tasks}?before_id={page['next_before_id']}", headers=operator).get_json()
        assert ([each["id"] for each in rest["tasks"]], rest["next_before_id"]) == ([made[0]], None)
        done = client.get(f"{tasks}?status=completed&status=failed", headers=operator).get_json()["tasks"]
        assert [each["id"] for each in done] == [made[0]]
        assert client.get(f"{tasks}?status=lost", headers=operator).status_code == 400

    def test_cancelled_once(
        self, client: FlaskClient, operator: Headers, services: Services, url: str, tasks: str
    ) -> None:
        number = client.post(tasks, headers=operator, json=READ).get_json()["id"]
        cancelled = client.delete(f"{tasks}/{number}", headers=operator)
        assert (cancelled.status_code, cancelled.get_json()["status"]) == (200, "cancelled")
        again = client.delete(f"{tasks}/{number}", headers=operator)
        assert (again.status_code, again.get_json()["error"]["code"]) == (409, "task_finished")
        for missing in ("0", "x", "9" * 30, str(number + 1)):
            for method in ("GET", "DELETE"):
                response = client.open(f"{tasks}/{missing}", method=method, headers=operator)
                assert (response.status_code, response.get_json()["error"]["code"]) == (404, "task_not_found")
        other = add_device(url, 2)
        assert client.get(f"/api/devices/{other}/tasks/{number}", headers=operator).status_code == 404
        assert services.audit.fetch()[0].action == "device.task.cancel"


def test_roles(client: FlaskClient, login: Callable[[Role], Headers], device: str) -> None:
    for rest in ("/tasks", "/reboot", "/factory-reset", "/refresh", "/connection-request", "/accept"):
        assert client.post(f"/api/devices/{device}{rest}", headers=login(Role.VIEWER), json={}).status_code == 403
