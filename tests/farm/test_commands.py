"""What operators ask of a modem, by the CLI and the API, and what strangers put into `modem_commands`."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from agent.cli import exits
from agent.cli.playground import Playground
from agent.modem.model import ModemState
from agent.store.rows import CommandRow, ModemRow
from tests.farm.conftest import MakeFarmyard
from tests.farm.harness import Farmyard
from tests.farm.witness import Standing, logged_actions, proxy_pid, wait_seen_online

pytestmark = pytest.mark.farm
PIN = "8642"
DEEP = "[" * 300 + "]" * 300

HOSTILE: tuple[tuple[str, str, str], ...] = (
    ("format", "{}", "bad_request"),
    ("at\nreset", '{"command": "AT"}', "bad_request"),
    ("at", '{"command": "AT+CSQ\\rAT+CFUN=0"}', "bad_request"),
    ("at", '{"command": "AT\\u001a"}', "bad_request"),
    ("at", '{"command": "AT\\u001b[2J\\u0007"}', "bad_request"),
    ("at", '{"command": "AT+CMGS=\\"5\\""}', "bad_request"),
    ("at", f'{{"command": "AT+CPIN=\\"{PIN}\\""}}', "bad_request"),
    ("at", f'{{"command": "AT{"A" * 60_000}"}}', "bad_request"),
    ("at", '{"command": 7}', "bad_request"),
    ("at", '{"command": null}', "bad_request"),
    ("at", '{"command": ["AT"]}', "bad_request"),
    ("at", '{"command": "AT", "also": "AT"}', "bad_request"),
    ("at", "{}", "bad_request"),
    ("at", "[]", "bad_argument"),
    ("at", "null", "bad_argument"),
    ("at", '"AT"', "bad_argument"),
    ("at", f'{{"command": {DEEP}}}', "bad_argument"),
    ("at", f'{{"command": {"9" * 5000}}}', "bad_argument"),
    ("qmi", '{"action": "reset"}', "bad_request"),
    ("qmi", '{"action": {"signal": true}}', "bad_request"),
    ("reset", '{"force": true}', "bad_request"),
    ("reconnect", '{"apn": "evil"}', "bad_request"),
    ("plan", '{"": ""}', "bad_request"),
)
"""(kind, argument, the code it is refused with)"""

REFUSED_BY_THE_DATABASE: tuple[dict[str, Any], ...] = (
    {"serial": "000000000000000"},
    {"serial": None},
    {"kind": ""},
    {"kind": None},
    {"kind": "x" * 65},
    {"argument": None},
    {"argument": '{"command": "AT\\u0000"}'},
    {"argument": json.dumps({"command": "A" * 70_000})},
    {"expires_at": "infinity"},
    {"requested_at": "-infinity"},
)


@contextmanager
def hostile_hand(yard: Farmyard) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(yard.playground.url, autocommit=True) as connection:
        yield connection


def insert(connection: psycopg.Connection[Any], **columns: Any) -> int:
    names = list(columns)
    text = f"INSERT INTO modem_commands ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))}) RETURNING id"
    row = connection.execute(text.encode(), [columns[name] for name in names]).fetchone()
    assert row is not None
    return int(row[0])


def finished(yard: Farmyard, command: int) -> CommandRow:
    def done() -> bool:
        row = yard.fleet.fetch_command(command)
        return row is not None and row.state.finished

    yard.wait_for(done, f"command {command} ends")
    row = yard.fleet.fetch_command(command)
    assert row is not None
    return row


def test_hostile_rows_are_refused_one_by_one_and_the_agent_works_on(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2)
    row, _ = yard.wait_online(1, 2)
    wait_seen_online(yard, row.serial)
    before, done = Standing.of(yard, 1), logged_actions(yard, row.serial)
    with hostile_hand(yard) as hand:
        for kind, argument, code in HOSTILE:
            answer = finished(yard, insert(hand, serial=row.serial, kind=kind, argument=argument))
            assert (answer.state.value, answer.error_code) == ("failed", code), (kind, argument[:80], answer)
            assert answer.error_message
        for columns in REFUSED_BY_THE_DATABASE:
            with pytest.raises((psycopg.IntegrityError, psycopg.DataError)):
                insert(hand, **{"serial": row.serial, "kind": "at", "argument": '{"command": "AT"}', **columns})
        # A flood: each is answered or told that there are too many, and none is forgotten.
        flood = [insert(hand, serial=row.serial, kind="at", argument='{"command": "AT"}') for _ in range(120)]
    answers = [finished(yard, command) for command in flood]
    assert {(answer.state.value, answer.error_code) for answer in answers} <= {("done", None), ("failed", "busy")}
    assert yard.playground.run("modem", "at", row.serial, "AT").stdout.strip() == "OK"
    wait_seen_online(yard, row.serial)
    assert Standing.of(yard, 1) == before
    assert logged_actions(yard, row.serial) == done
    assert PIN not in yard.agent_log()
    assert all(PIN not in entry.command + entry.response for entry in yard.logs(row.serial, limit=10_000))
    assert yard.farm.leaks() == ()
    assert yard.farm.failures() == ()


def status_of(yard: Farmyard, *arguments: str) -> int:
    return yard.playground.run(*arguments, check=False).returncode


def test_the_cli_commands_a_modem_and_its_exit_status_tells_what_happened(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard()
    (row,) = yard.wait_online(1)
    serial, run = row.serial, yard.playground.run
    wait_seen_online(yard, serial)
    before, done = Standing.of(yard, 1), logged_actions(yard, serial)

    lines = run("modem", "at", serial, "AT+CSQ").stdout.splitlines()
    assert lines[0].startswith("+CSQ: ")
    assert lines[-1] == "OK"
    shown = json.loads(run("modem", "show", serial, "--json").stdout)
    assert (shown["serial"], shown["state"], shown["proxy_address"]) == (serial, "online", row.proxy_address)
    assert row.wan_address is not None
    assert row.wan_address in run("modem", "show", serial).stdout
    assert run("plan").stdout.strip() == f"{serial}: online: nothing to do"
    assert json.loads(run("plan", serial, "--json").stdout) == [
        {"serial": serial, "state": "online", "reason": "", "actions": []}
    ]
    logs = json.loads(run("modem", "logs", serial, "--json", "--limit", "1000").stdout)
    assert any(entry["command"] == "AT+CSQ" and entry["response"].endswith("OK") for entry in logs)
    assert [entry["id"] for entry in logs] == sorted(entry["id"] for entry in logs)
    assert len(run("modem", "logs", serial, "--limit", "7").stdout.splitlines()) == 7
    # Looking and asking did nothing.
    assert (Standing.of(yard, 1), logged_actions(yard, serial)) == (before, done)

    for command in ("show", "logs", "reset", "reconnect", "enable", "disable"):
        assert status_of(yard, "modem", command, "111111111111111") == exits.NOT_FOUND, command
    assert status_of(yard, "modem", "at", "111111111111111", "AT") == exits.NOT_FOUND
    assert status_of(yard, "plan", "111111111111111") == exits.NOT_FOUND
    assert status_of(yard, "modem", "at", serial, "AT+NOSUCHTHING") == exits.REFUSED
    assert status_of(yard, "modem", "at", serial, "CSQ") == exits.USAGE
    assert status_of(yard, "modem", "at", serial) == exits.USAGE

    agent = yard.playground.agent
    assert agent is not None
    agent.send_signal(signal.SIGSTOP)
    assert status_of(yard, "modem", "at", serial, "AT", "--timeout", "2") == exits.TEMPORARY
    agent.send_signal(signal.SIGCONT)
    wait_seen_online(yard, serial)
    yard.playground.stop_agent()
    away = run("modem", "at", serial, "AT", "--timeout", "2", check=False)
    assert away.returncode in (exits.UNAVAILABLE, exits.TEMPORARY)
    assert "lastmile-agent" in away.stderr
    assert yard.farm.leaks() == ()
    assert yard.farm.failures() == ()


def routing_of(yard: Farmyard, row: ModemRow) -> str:
    """Rules and routes of a modem on the farm's host, as `ip` prints them."""
    printed = ""
    for words in (["rule"], ["-6", "rule"], ["route", "show", "table", "all"], ["-6", "route", "show", "table", "all"]):
        done = subprocess.run(yard.farm.command(["ip", *words]), capture_output=True, text=True, check=True)
        printed += "".join(f"{line}\n" for line in done.stdout.splitlines() if str(row.fib_table) in line)
    return printed


def test_a_modem_is_reconnected_reset_disabled_and_enabled(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard()
    (row,) = yard.wait_online(1)
    serial, run = row.serial, yard.playground.run
    pid = proxy_pid(yard, serial)

    def bearers() -> int:
        return sum(each.startswith("StartBearer") for each in logged_actions(yard, serial))

    dialled = bearers()
    run("modem", "reconnect", serial)
    yard.wait_for(lambda: bearers() == dialled + 1, "a new bearer")
    wait_seen_online(yard, serial)
    assert len(yard.farm.modem(1).qmi_clients["wds"]) == 1

    node = yard.farm.modem(1).link_index
    run("modem", "reset", serial)
    yard.wait_for(lambda: bearers() == dialled + 2, "a new bearer after the restart", seconds=60)
    (after,) = wait_seen_online(yard, serial)
    assert yard.farm.modem(1).link_index != node
    assert yard.browse(after) == after.wan_address == yard.farm.modem(1).addresses[0]
    assert proxy_pid(yard, serial) == pid, "its proxy was not to notice"

    assert f"uidrange {row.uid}-{row.uid} lookup {row.fib_table}" in routing_of(yard, row)
    run("modem", "disable", serial)
    disabled = yard.wait_state(serial, ModemState.OFFLINE)
    assert disabled.reason == "disabled by the operator"
    yard.wait_for(lambda: not routing_of(yard, row), "no rule and no route is left")
    assert not Path(f"/proc/{pid}").exists()
    assert yard.farm.modem(1).addresses == ()
    assert yard.browse(row) is None
    run("modem", "enable", serial)
    (back,) = yard.wait_online(1)
    assert (back.proxy_address, back.uid) == (row.proxy_address, row.uid)
    assert yard.browse(back) == back.wan_address == yard.farm.modem(1).addresses[0]
    assert len(yard.farm.modem(1).qmi_clients["wds"]) == 1
    assert yard.farm.leaks() == ()
    assert yard.farm.failures() == ()


class Api:
    """The API with one token."""

    def __init__(self, playground: Playground, name: str, role: str) -> None:
        self._token = playground.run("token", "create", name, "--role", role).stdout.strip()
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{playground.web_tcp_port}/api",
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=30,
        )

    def up(self) -> bool:
        try:
            return self._client.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def command(self, serial: str, **body: str) -> httpx.Response:
        return self._client.post(f"/modems/{serial}/command", json=body)

    def switch(self, serial: str, what: str) -> None:
        assert self._client.post(f"/modems/{serial}/{what}").status_code == 200

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def events(self, last_id: int | None = None) -> Iterator[Iterator[tuple[int, str, dict[str, Any]]]]:
        """The live events, each as (id, kind, data)."""
        headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
        with self._client.stream("GET", "/events", headers=headers) as response:
            assert response.status_code == 200
            yield _parse_events(response.iter_lines())


def _parse_events(lines: Iterator[str]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in fields:
                yield int(fields["id"]), fields["event"], json.loads(fields["data"])
            fields = {}
            continue
        name, _, value = line.partition(":")
        fields[name] = value.strip()


def until_status(
    events: Iterator[tuple[int, str, dict[str, Any]]], serial: str, status: str
) -> list[tuple[int, str, dict[str, Any]]]:
    """The events up to the one that says that the modem is in that status."""
    seen = []
    for event in events:
        seen.append(event)
        if event[1] == "modem_changed" and event[2]["serial"] == serial and event[2]["payload"]["status"] == status:
            return seen
    raise AssertionError(f"the stream ended before {status}: {seen}")


def test_the_api_commands_a_modem_and_tells_live_what_becomes_of_it(make_farmyard: MakeFarmyard) -> None:
    yard = make_farmyard(modems=2)
    row, other = yard.wait_online(1, 2)
    serial = row.serial
    yard.playground.start_web()
    operator, viewer = Api(yard.playground, "noc", "operator"), Api(yard.playground, "wall", "viewer")
    try:
        yard.wait_for(operator.up, "the API is up")
        asked = operator.command(serial, at="AT+CSQ")
        assert asked.status_code == 200, asked.text
        assert asked.json()["state"] == "done"
        assert asked.json()["result"]["final"] == "OK"
        assert asked.json()["result"]["lines"][0].startswith("+CSQ: ")
        assert operator.command(serial, qmi="settings").json()["result"]["interface"].startswith(f"{row.wan_address}/")
        assert operator.command(serial, qmi="signal").json()["result"]["rsrp_dbm"] < 0
        assert operator.command(serial, action="plan").json()["result"]["actions"] == []
        assert viewer.command(serial, at="AT+CSQ").status_code == 403
        refused = operator.command(serial, at="AT+NOSUCHTHING?")
        assert (refused.status_code, refused.json()["error"]["code"]) == (502, "modem_refused")
        assert operator.command("111111111111111", at="AT").status_code == 404

        with viewer.events() as events:
            assert next(events)[1] == "ready"
            operator.switch(serial, "disable")
            seen = until_status(events, serial, "offline")
        last_id = seen[-1][0]
        # Cut off: what happens now is told to the one who comes back with the last id it saw.
        operator.switch(serial, "enable")
        yard.wait_online(1)
        yard.farm.unplug(2)
        yard.wait_state(other.serial, ModemState.OFFLINE)
        with viewer.events(last_id) as events:
            assert next(events) == (last_id, "ready", {"after": last_id})
            missed = until_status(events, other.serial, "offline")
        ids = [last_id, *(number for number, _, _ in missed)]
        assert ids == sorted(set(ids))
        assert any(data["serial"] == serial and data["payload"]["status"] == "online" for _, _, data in missed)
        assert [number for number, _, _ in missed] == [
            event.id for event in yard.fleet.fetch_events(last_id) if event.id <= ids[-1]
        ]
        absent = operator.command(other.serial, at="AT")
        assert (absent.status_code, absent.json()["error"]["code"]) == (409, "modem_absent")
    finally:
        operator.close()
        viewer.close()
    assert yard.playground.stop_web() == 0
    assert yard.farm.leaks() == ()
    assert yard.farm.failures() == ()
