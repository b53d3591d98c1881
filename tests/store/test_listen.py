"""Notifications."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.clock import BackOff
from agent.sim.postgres import EmbeddedPostgres
from agent.store.listen import MODEM_CHANGE, MODEM_COMMAND, MODEM_COMMAND_DONE, Listener
from agent.store.wishes import HostWishes
from tests.store.farm import HOST, SERIAL, SLOT, eventually, rows

SOON = BackOff(first_seconds=0.05, most_seconds=0.2)


class Heard:
    """What a listener was told."""

    def __init__(self, url: str) -> None:
        self.notifications: list[tuple[str, str]] = []
        self.connects = 0
        self.fail_next = False
        channels = (MODEM_CHANGE, MODEM_COMMAND, MODEM_COMMAND_DONE)
        self.listener = Listener(url, channels, self._on_notification, self._on_connect, back_off=SOON)

    def _on_notification(self, channel: str, payload: str) -> None:
        if self.fail_next:
            self.fail_next = False
            raise RuntimeError("a reader fails")
        self.notifications.append((channel, payload))

    def _on_connect(self) -> None:
        self.connects += 1


@pytest.fixture
def heard(database_url: str) -> Iterator[Heard]:
    made = Heard(database_url)
    made.listener.start()
    assert made.listener.wait_connected(10)
    yield made
    made.listener.stop()


def test_changes_of_modems_are_told(heard: Heard, wishes: HostWishes, database_url: str) -> None:
    wishes.register(SERIAL, SLOT, None)
    rows(database_url, "UPDATE modems SET status = 'online'")
    rows(database_url, "UPDATE modems SET rssi_dbm = -55")
    eventually(lambda: len(heard.notifications) >= 3)
    told = [json.loads(payload) for _, payload in heard.notifications]
    assert [(each["serial"], each["host"], each["status"]) for each in told] == [
        (SERIAL, HOST, "detected"),
        (SERIAL, HOST, "online"),
        (SERIAL, HOST, "online"),
    ]
    events = [row[0] for row in rows(database_url, "SELECT id FROM events ORDER BY id")]
    assert [each["event"] for each in told] == [*events, None]


def test_commands_are_told_to_their_host_and_back(heard: Heard, wishes: HostWishes, database_url: str) -> None:
    wishes.register(SERIAL, SLOT, None)
    ((command,),) = rows(
        database_url, "INSERT INTO modem_commands (serial, kind) VALUES (%s, 'at') RETURNING id", SERIAL
    )
    rows(database_url, "UPDATE modem_commands SET state = 'running'")
    rows(database_url, "UPDATE modem_commands SET state = 'done'")
    eventually(lambda: (MODEM_COMMAND_DONE, str(command)) in heard.notifications)
    assert [told for told in heard.notifications if told[0] != MODEM_CHANGE] == [
        (MODEM_COMMAND, HOST),
        (MODEM_COMMAND_DONE, str(command)),
    ]


def test_a_lost_connection_is_made_anew_and_said(heard: Heard, database_url: str) -> None:
    rows(
        database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lastmile-listen'",
    )
    eventually(lambda: heard.connects == 2)
    rows(database_url, "NOTIFY modem_change, 'x'")
    eventually(lambda: heard.notifications == [(MODEM_CHANGE, "x")])


def test_a_failing_reader_does_not_end_the_listening(heard: Heard, database_url: str) -> None:
    heard.fail_next = True
    rows(database_url, "NOTIFY modem_change, 'lost'")
    eventually(lambda: heard.connects == 2)
    rows(database_url, "NOTIFY modem_change, 'heard'")
    eventually(lambda: heard.notifications == [(MODEM_CHANGE, "heard")])


def test_stopping_is_prompt_while_idle_connecting_and_before_the_start(database_url: str, tmp_path: Path) -> None:
    idle, lost, fresh = Heard(database_url), Heard(f"postgresql:///x?host={tmp_path}"), Heard(database_url)
    idle.listener.start()
    lost.listener.start()
    assert idle.listener.wait_connected(10)
    assert not lost.listener.connected
    begin = time.monotonic()
    for each in (idle, lost, fresh):
        each.listener.stop()
        each.listener.stop()
    assert time.monotonic() - begin < 1
    assert not any(thread.name == "lastmile-listen" for thread in threading.enumerate())


def test_it_survives_a_restart_of_the_server(own_postgres: EmbeddedPostgres, own_url: str) -> None:
    heard = Heard(own_url)
    heard.listener.start()
    assert heard.listener.wait_connected(10)
    own_postgres.stop()
    eventually(lambda: not heard.listener.connected)
    own_postgres.start()
    eventually(lambda: heard.connects == 2)
    rows(own_url, "NOTIFY modem_change, 'again'")
    eventually(lambda: heard.notifications == [(MODEM_CHANGE, "again")])
    heard.listener.stop()
