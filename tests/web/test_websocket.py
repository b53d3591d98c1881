"""/api/events/ws under the real server."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from agent.store.database import Database
from agent.store.tokens import Tokens
from tests.store.farm import eventually, rows, serial_of
from tests.web.conftest import MODEM, Headers
from tests.web.test_server import Server, free_tcp_port, server, viewer

__all__ = ["server", "viewer"]


@pytest.fixture
def quick_server(url: str) -> Iterator[Server]:
    """Asks every moment whether its readers may go on."""
    running = Server(url, free_tcp_port(), "--quick")
    try:
        eventually(running.answers, 20)
        yield running
    finally:
        running.end()


def open_socket(
    server: Server, headers: Headers | None, query: str = "", *, path: str = "/api/v1/events/ws", **more: Any
) -> ClientConnection:
    connection: ClientConnection = connect(
        f"ws://127.0.0.1:{server.port}{path}{query}",
        additional_headers=headers,
        open_timeout=10,
        close_timeout=2,
        **more,
    )
    return connection


def receive(connection: ClientConnection, seconds: float = 10) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(connection.recv(timeout=seconds))
    return message


def skip_heartbeats(connection: ClientConnection) -> dict[str, Any]:
    while (message := receive(connection))["event"] == "heartbeat":
        pass
    return message


def refusal(server: Server, headers: Headers | None, query: str = "", **more: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(InvalidStatus) as refused, open_socket(server, headers, query, **more):
        pass
    response = refused.value.response
    return response.status_code, json.loads(response.body or b"{}")["error"]


def test_events_arrive_and_are_resumed(server: Server, viewer: Headers, url: str) -> None:
    with open_socket(server, viewer) as connection:
        ready = receive(connection)
        assert ready == {"event": "ready", "id": ready["id"], "data": {"after": ready["id"]}}
        rows(url, "UPDATE modems SET status = 'online' WHERE serial = %s", MODEM)
        event = receive(connection)
        assert event["event"] == "modem_changed"
        assert event["data"]["serial"] == MODEM
        assert event["id"] > ready["id"]
    with open_socket(server, viewer, f"?after={ready['id']}") as connection:
        assert receive(connection)["event"] == "ready"
        assert receive(connection) == event
    with open_socket(server, {**viewer, "Last-Event-ID": str(ready["id"])}, f"?serial={serial_of(2)}") as connection:
        assert receive(connection)["event"] == "ready"
        rows(url, "UPDATE modems SET status = 'online' WHERE serial = %s", serial_of(2))
        assert receive(connection)["data"]["serial"] == serial_of(2)


def test_progress_is_told(server: Server, viewer: Headers, url: str) -> None:
    with open_socket(server, viewer) as connection:
        assert receive(connection)["event"] == "ready"

        def told() -> bool:
            payload = json.dumps({"device": "d", "batch": 3, "batches": 9, "parameters": 150, "total": 450})
            rows(url, "SELECT pg_notify('session_progress', %s)", payload)
            try:
                return receive(connection, 0.5) == {"event": "session_progress", "data": json.loads(payload)}
            except TimeoutError:
                return False

        eventually(told, 10)


def test_who_may_not_is_told_why(server: Server, viewer: Headers) -> None:
    assert refusal(server, None)[0] == 401
    assert refusal(server, {"Authorization": "Bearer lm_" + "x" * 43})[0] == 401
    status, error = refusal(server, viewer, origin="https://evil.example.org")
    assert (status, error["code"]) == (403, "origin_refused")
    status, error = refusal(server, viewer, "?after=x")
    assert (status, error["code"]) == (400, "bad_request")
    status, error = refusal(server, viewer, path="/api/v1/events")
    assert (status, error["message"]) == (400, "there is no WebSocket here")


def test_without_an_upgrade(server: Server, viewer: Headers) -> None:
    answer = server.get("/api/events/ws", viewer)
    assert answer.status_code == 426
    assert answer.headers["Upgrade"] == "websocket"


def test_places_are_bounded_shared_and_given_back(server: Server, viewer: Headers) -> None:
    url = f"http://127.0.0.1:{server.port}/api/events"
    with httpx.stream("GET", url, headers=viewer, timeout=10) as stream, open_socket(server, viewer) as connection:
        assert stream.status_code == 200
        assert receive(connection)["event"] == "ready"
        status, error = refusal(server, viewer)
        assert (status, error["code"]) == (503, "too_many_streams")

    def there_is_room() -> bool:
        try:
            with open_socket(server, viewer) as connection:
                return bool(receive(connection)["event"] == "ready")
        except InvalidStatus:
            return False

    eventually(there_is_room, 10)


def test_a_client_that_vanishes_gives_its_place_back(server: Server, viewer: Headers) -> None:
    for _ in range(2):
        with open_socket(server, viewer) as connection:
            assert receive(connection)["event"] == "ready"
            # Nothing of the protocol: the client is gone.
            connection.socket.shutdown(socket.SHUT_RDWR)

    def there_is_room() -> bool:
        try:
            with open_socket(server, viewer) as connection:
                return bool(receive(connection)["event"] == "ready")
        except InvalidStatus:
            return False

    eventually(there_is_room, 10)


def test_what_a_client_says_is_not_wanted(server: Server, viewer: Headers) -> None:
    with open_socket(server, viewer) as connection:
        assert receive(connection)["event"] == "ready"
        connection.send("hello")
        with pytest.raises(ConnectionClosed) as closed:
            receive(connection)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1003


def test_it_ends_with_the_server(server: Server, viewer: Headers) -> None:
    with open_socket(server, viewer) as connection:
        assert receive(connection)["event"] == "ready"
        begun = time.monotonic()
        _, errors = server.stop()
        assert time.monotonic() - begun < 6
        with pytest.raises(ConnectionClosed) as closed:
            receive(connection)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    assert server.process.returncode == 0, errors
    assert "Traceback" not in errors


def test_it_ends_with_its_token(url: str, viewer: Headers, quick_server: Server) -> None:
    with open_socket(quick_server, viewer) as connection:
        assert receive(connection)["event"] == "ready"
        with Database(url) as database:
            assert Tokens(database).revoke("viewer")
        with pytest.raises(ConnectionClosed) as closed:
            skip_heartbeats(connection)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def post(server: Server, path: str, headers: Headers) -> httpx.Response:
    return httpx.post(f"http://127.0.0.1:{server.port}{path}", headers=headers, json={}, timeout=10)


class TestTicket:
    def test_it_opens_one_websocket(self, server: Server, viewer: Headers) -> None:
        made = post(server, "/api/events/ticket", viewer)
        assert made.status_code == 201
        ticket = made.json()["ticket"]
        with open_socket(server, None, f"?ticket={ticket}") as connection:
            assert receive(connection)["event"] == "ready"
        assert refusal(server, None, f"?ticket={ticket}")[0] == 401

    def test_it_opens_nothing_else(self, server: Server, viewer: Headers) -> None:
        ticket = post(server, "/api/events/ticket", viewer).json()["ticket"]
        assert server.get("/api/modems", {"Authorization": f"Bearer {ticket}"}).status_code == 401
        assert server.get(f"/api/events/ws?ticket={ticket}").status_code == 401
        assert server.get(f"/api/events?ticket={ticket}").status_code == 401
        short = post(server, "/api/auth/token", viewer).json()["token"]
        assert refusal(server, None, f"?ticket={short}")[0] == 401
        with open_socket(server, None, f"?ticket={ticket}") as connection:
            assert receive(connection)["event"] == "ready"

    def test_one_of_a_short_lived_token(self, server: Server, viewer: Headers) -> None:
        short = {"Authorization": f"Bearer {post(server, '/api/auth/token', viewer).json()['token']}"}
        ticket = post(server, "/api/events/ticket", short).json()["ticket"]
        with open_socket(server, None, f"?ticket={ticket}") as connection:
            assert receive(connection)["event"] == "ready"

    def test_it_is_worth_no_more_than_its_token(self, server: Server, viewer: Headers, url: str) -> None:
        ticket = post(server, "/api/events/ticket", viewer).json()["ticket"]
        with Database(url) as database:
            assert Tokens(database).revoke("viewer")
        assert refusal(server, None, f"?ticket={ticket}")[0] == 401

    def test_what_it_opened_ends_with_its_token(self, quick_server: Server, viewer: Headers, url: str) -> None:
        ticket = post(quick_server, "/api/events/ticket", viewer).json()["ticket"]
        with open_socket(quick_server, None, f"?ticket={ticket}") as connection:
            assert receive(connection)["event"] == "ready"
            with Database(url) as database:
                assert Tokens(database).revoke("viewer")
            with pytest.raises(ConnectionClosed):
                skip_heartbeats(connection)
