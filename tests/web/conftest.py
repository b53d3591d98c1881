"""The application on a real database, with modems in it and an agent that answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from psycopg.types.json import Jsonb

from agent.cli.access_store import access_services
from agent.cli.device_store import device_services
from agent.cli.monitoring_store import monitoring_services
from agent.core.settings.schema import AcsSettings, Settings, WebSettings
from agent.modem.ports import CommandRequest
from agent.store.audit import AuditLog
from agent.store.database import Database
from agent.store.fleet import Fleet
from agent.store.inbox import CommandInbox
from agent.store.listen import Listener
from agent.store.passwords import Passwords
from agent.store.rows import Role
from agent.store.tokens import Tokens
from agent.web.app import create_app
from agent.web.events import CHANNELS, EventHub
from agent.web.services import Services
from tests.store.farm import HOST, make_wishes, rows, serial_of, slot_of

SETTINGS = WebSettings(threads=8, event_streams=2, command_timeout_seconds=5.0)
MODEM = serial_of(1)
QUICK_PASSWORDS = Passwords(time_cost=1, memory_kib=1024, lanes=1)
"""As good as the others for tests, which make many."""


def make_services(url: str, settings: WebSettings = SETTINGS, acs: AcsSettings | None = None) -> Services:
    """What `agent.cli` makes for the server."""
    database = Database(url, name="web-test")
    fleet = Fleet(database)
    events = EventHub(fleet, streams_most=settings.event_streams)
    return Services(
        settings=settings,
        database=database,
        fleet=fleet,
        acs=device_services(database, acs or AcsSettings()),
        monitoring=monitoring_services(database, Settings()),
        tokens=Tokens(database),
        access=access_services(database, settings, QUICK_PASSWORDS),
        audit=AuditLog(database),
        events=events,
        listener=Listener(url, CHANNELS, events.hear, events.resync),
        machine_name="farm.example.org",
    )


def add_modems(url: str, cache: Path, count: int = 3) -> None:
    """Modems 1 to `count` on one host that was seen just now."""
    with Database(url) as database:
        wishes = make_wishes(database, cache)
        for number in range(1, count + 1):
            wishes.register(serial_of(number), slot_of(number), None)
    rows(url, "UPDATE hosts SET proxy_listen = '192.0.2.1', last_seen = now()")


@pytest.fixture
def url(database_url: str, tmp_path: Path) -> str:
    add_modems(database_url, tmp_path / "wishes.json")
    return database_url


@pytest.fixture
def services(url: str, tmp_path: Path) -> Iterator[Services]:
    built = make_services(url, acs=AcsSettings(file_dir=tmp_path / "files", file_bytes_most=1024 * 1024))
    built.start()
    assert built.listener.wait_connected(10)
    yield built
    built.close()


@pytest.fixture
def app(services: Services) -> Flask:
    return create_app(services)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


Headers = dict[str, str]


@pytest.fixture
def login(services: Services) -> Callable[[Role], Headers]:
    """Headers of a token of a role."""
    made: dict[Role, Headers] = {}

    def headers_of(role: Role) -> Headers:
        if role not in made:
            made[role] = {"Authorization": f"Bearer {services.tokens.create(role.value, role)}"}
        return made[role]

    return headers_of


@pytest.fixture
def viewer(login: Callable[[Role], Headers]) -> Headers:
    return login(Role.VIEWER)


@pytest.fixture
def operator(login: Callable[[Role], Headers]) -> Headers:
    return login(Role.OPERATOR)


@pytest.fixture
def admin(login: Callable[[Role], Headers]) -> Headers:
    return login(Role.ADMIN)


class Agent:
    """Takes this host's commands and answers each with what `reply` says: (state, result, code, message)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[CommandRequest] = []
        self.reply: tuple[str, dict[str, Any], str | None, str | None] = ("done", {"lines": ["OK"]}, None, None)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)

    def _run(self) -> None:
        with Database(self.url) as database:
            inbox = CommandInbox(database, HOST)
            while not self._stopping.wait(0.02):
                for request in inbox.claim(10):
                    self.seen.append(request)
                    state, result, code, message = self.reply
                    if state == "silent":
                        continue
                    rows(
                        self.url,
                        "UPDATE modem_commands SET state = %s, result = %s, error_code = %s, error_message = %s,"
                        " finished_at = now() WHERE id = %s",
                        *(state, Jsonb(result), code, message, request.id),
                    )


@pytest.fixture
def agent(url: str) -> Iterator[Agent]:
    running = Agent(url)
    yield running
    running.stop()
