"""Commands that work on the database: migrate, status, token, modem, plan; and what they say when it is away."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.cli import exits
from agent.sim.postgres import EmbeddedPostgres
from agent.store.presence import HostPresence
from tests.cli.conftest import Outcome, Run, add_modems, write_config
from tests.store.farm import HOST, rows, serial_of

MODEM = str(serial_of(1))
ASKS = (
    ("plan",),
    ("plan", MODEM),
    ("modem", "at", MODEM, "AT+CSQ"),
    ("modem", "reset", MODEM),
    ("modem", "reconnect", MODEM),
)
NEEDS_DATABASE = (
    ("migrate",),
    ("status",),
    ("status", "--json"),
    ("token", "list"),
    ("token", "create", "x"),
    ("modem", "show", MODEM),
    ("modem", "enable", MODEM),
    ("modem", "logs", MODEM),
    *ASKS,
)


# -- migrate ----------------------------------------------------------------------------------------------------------


def test_migrate_twice(run: Run, tmp_path: Path, postgres_server: EmbeddedPostgres) -> None:
    config = write_config(tmp_path / "lastmile.toml", postgres_server.create_database("cli_empty"))
    try:
        early = run("--config", config, "status")
        first = run("--config", config, "migrate")
        second = run("--config", config, "migrate")
    finally:
        postgres_server.drop_database("cli_empty")
    assert early.status in (exits.CONFIGURATION, exits.UNAVAILABLE)
    assert "lastmile migrate" in early.err
    assert "Traceback" not in early.err
    assert first.status == second.status == 0
    assert first.out.startswith("applied 0001")
    assert second.out == "The schema is up to date.\n"


# -- the database is away ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", NEEDS_DATABASE, ids=" ".join)
def test_an_unreachable_database_is_one_line_and_status_69(
    run: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    secret = f"postgresql://someone:geheim@/lastmile?host={tmp_path}"
    told = run("--config", write_config(tmp_path / "lastmile.toml", secret), *arguments)
    assert (told.status, told.out) == (exits.UNAVAILABLE, "")
    assert told.err.startswith("lastmile: ")
    assert "PostgreSQL" in told.err
    assert told.err.count("\n") <= 2
    assert "geheim" not in told.err


# -- status -----------------------------------------------------------------------------------------------------------


def test_an_empty_fleet(run: Run, config: Path) -> None:
    assert run("--config", config, "status", "--json") == Outcome(status=0, out="[]\n", err="")
    told = run("--config", config, "status")
    assert told.status == 0
    assert "No modem has been seen yet" in told.out
    assert run("--config", config, "plan").out == "No modem is plugged in.\n"


def test_status_lists_the_modems(run: Run, config: Path, database_url: str, tmp_path: Path) -> None:
    add_modems(database_url, tmp_path / "wishes.json")
    listed = json.loads(run("--config", config, "status", "--json").out)
    assert [each["serial"] for each in listed] == [str(serial_of(1)), str(serial_of(2))]
    assert list(listed[0])[:3] == ["serial", "state", "proxy_address"]
    assert listed[0]["proxy_address"] == "192.0.2.1:3128"
    table = run("--config", config, "status").out
    assert "192.0.2.1:3129" in table
    assert "\x1b" not in table
    assert json.loads(run("--config", config, "status", "--json", "--host", "another").out) == []


# -- token ------------------------------------------------------------------------------------------------------------


def test_a_token_from_creation_to_revocation(run: Run, config: Path, database_url: str) -> None:
    assert "no token yet" in run("--config", config, "token", "list").out
    made = run("--config", config, "token", "create", "noc", "--role", "operator", "--days", "7")
    token = made.out.strip()
    assert (made.status, made.err) == (0, "")
    assert token.startswith("lm_")
    listed = run("--config", config, "token", "list")
    until = datetime.now(UTC) + timedelta(days=7)
    assert "noc" in listed.out
    assert "operator" in listed.out
    assert f"until {until:%Y-%m-%d}" in listed.out
    assert "never used" in listed.out
    as_json = run("--config", config, "token", "list", "--json")
    assert [each["name"] for each in json.loads(as_json.out)] == ["noc"]
    assert token not in listed.out + as_json.out
    assert run("--config", config, "token", "revoke", "noc") == Outcome(status=0, out="Token noc is revoked.\n", err="")
    assert "revoked" in run("--config", config, "token", "list").out
    assert run("--config", config, "token", "revoke", "noc").status == exits.NOT_FOUND
    audited = rows(database_url, "SELECT action, target FROM audit_log ORDER BY id")
    assert audited == [("token.create", "noc"), ("token.revoke", "noc"), ("token.revoke", "noc")]
    assert rows(database_url, "SELECT count(*) FROM api_tokens WHERE api_tokens::text LIKE %s", f"%{token}%") == [(0,)]


def test_an_expired_token_is_listed_as_such(run: Run, config: Path, database_url: str) -> None:
    run("--config", config, "token", "create", "old", "--days", "1")
    rows(
        database_url,
        "UPDATE api_tokens SET created_at = created_at - interval '9 d', expires_at = expires_at - interval '9 d'",
    )
    assert "expired" in run("--config", config, "token", "list").out


@pytest.mark.parametrize("name", ["", " ", "x" * 500, "a\x00b"])
def test_a_bad_name_of_a_token_is_refused(run: Run, config: Path, name: str) -> None:
    told = run("--config", config, "token", "create", name)
    assert told.status in (exits.USAGE, exits.CONFIGURATION)
    assert told.out == ""
    assert "Traceback" not in told.err


def test_two_tokens_of_one_name(run: Run, config: Path) -> None:
    assert run("--config", config, "token", "create", "noc").status == 0
    told = run("--config", config, "token", "create", "noc")
    assert told.status in (exits.USAGE, exits.CONFIGURATION)
    assert "noc" in told.err


# -- modem and plan ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("modem", "show", "867000000000000"),
        ("modem", "enable", "867000000000000"),
        ("modem", "logs", "867000000000000"),
        ("modem", "at", "867000000000000", "AT"),
        ("plan", "867000000000000"),
        ("modem", "show", "no such\x00thing"),
    ],
    ids=" ".join,
)
def test_a_modem_that_nobody_knows(run: Run, config: Path, arguments: tuple[str, ...]) -> None:
    told = run("--config", config, *arguments)
    assert (told.status, told.out) == (exits.NOT_FOUND, "")
    assert "`lastmile status` lists them" in told.err


def test_enable_and_disable(run: Run, config: Path, database_url: str, tmp_path: Path) -> None:
    add_modems(database_url, tmp_path / "wishes.json")
    assert run("--config", config, "modem", "disable", MODEM).status == 0
    assert rows(database_url, "SELECT enabled FROM modems ORDER BY serial") == [(False,), (True,)]
    assert run("--config", config, "modem", "enable", MODEM).status == 0
    assert rows(database_url, "SELECT enabled FROM modems ORDER BY serial") == [(True,), (True,)]
    shown = json.loads(run("--config", config, "modem", "show", MODEM, "--json").out)
    assert shown["enabled"] is True
    assert f"serial  {' ' * 11}{MODEM}".split() == run("--config", config, "modem", "show", MODEM).out.split()[:2]
    assert run("--config", config, "modem", "logs", MODEM, "--json").out == "[]\n"


@pytest.mark.parametrize("arguments", ASKS, ids=" ".join)
def test_without_an_agent_the_answer_comes_at_once(
    run: Run, config: Path, database_url: str, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    add_modems(database_url, tmp_path / "wishes.json")
    rows(database_url, "UPDATE hosts SET last_seen = now() - interval '3 hours'")
    started = time.monotonic()
    told = run("--config", config, *arguments)
    assert time.monotonic() - started < 10
    assert told.status == exits.UNAVAILABLE
    assert f"no agent runs on the modem's host {HOST} (last heard of 3 h ago)" in told.out + told.err
    assert rows(database_url, "SELECT count(*) FROM modem_commands") == [(0,)]


def test_with_an_agent_the_command_is_waited_for(run: Run, config: Path, database_url: str, tmp_path: Path) -> None:
    add_modems(database_url, tmp_path / "wishes.json")
    presence = HostPresence(database_url, HOST, "1.0")
    try:
        assert presence.announce()
        told = run("--config", config, "plan", MODEM, "--timeout", "0.5")
        assert told.status == exits.TEMPORARY
        assert "is lastmile-agent running" in told.err
        assert rows(database_url, "SELECT kind, state FROM modem_commands") == [("plan", "expired")]
    finally:
        presence.close()
    assert "no agent runs" in run("--config", config, "plan", MODEM).err


def test_an_at_command_is_audited_without_its_secret(run: Run, config: Path, database_url: str, tmp_path: Path) -> None:
    add_modems(database_url, tmp_path / "wishes.json")
    run("--config", config, "modem", "at", MODEM, 'AT+CPIN="4711"')
    audited = rows(database_url, "SELECT details::text FROM audit_log WHERE action = 'modem.at'")
    assert len(audited) == 1
    assert "4711" not in audited[0][0]
