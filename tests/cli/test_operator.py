"""`lastmile operator` and scopes of tokens."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from agent.cli import exits
from agent.store.audit import AuditLog
from agent.store.database import Database
from agent.store.operators import Operators
from agent.store.passwords import Passwords
from agent.store.rows import Role, Scope
from agent.store.setup_links import SetupLinks
from tests.cli.conftest import Run

PASSWORD = "correct horse battery"


@pytest.fixture
def database(database_url: str) -> Database:
    return Database(database_url)


def test_the_first_admin_gets_a_link(run: Run, config: Path, database: Database) -> None:
    outcome = run("--config", config, "operator", "setup-link")
    assert outcome.status == 0
    assert outcome.out.startswith("http://127.0.0.1:8080/setup/")
    operators = Operators(database)
    links = SetupLinks(database, operators)
    token = outcome.out.strip().rpartition("/")[2]
    assert links.fetch(token) is not None
    links.use(token, "root", Passwords(time_cost=1, memory_kib=1024, lanes=1).hash(PASSWORD))
    again = run("--config", config, "operator", "setup-link")
    assert again.status == exits.CONFIGURATION
    assert "there is an admin already" in again.err
    assert run("--config", config, "operator", "setup-link", "root").status == 0
    assert run("--config", config, "operator", "setup-link", "nobody").status == exits.CONFIGURATION


def test_operators_are_added_changed_and_removed(run: Run, config: Path, database: Database) -> None:
    added = run("--config", config, "operator", "add", "anna", "--role", "operator", "--tag", "village")
    assert "/setup/" in added.out
    row = Operators(database).fetch("anna")
    assert row is not None
    assert (row.role, row.scope) == (Role.OPERATOR, Scope(hosts=(), tags=("village",)))
    assert run("--config", config, "operator", "add", "anna").status == exits.CONFIGURATION
    assert run("--config", config, "operator", "set", "anna").status == 2
    changed = run("--config", config, "operator", "set", "anna", "--role", "viewer", "--everything", "--disable")
    assert changed.out == "anna: viewer, everything, disabled\n"
    listed = json.loads(run("--config", config, "operator", "list", "--json").out)
    assert [(each["name"], each["role"], each["disabled"]) for each in listed] == [("anna", "viewer", True)]
    assert "password" not in listed[0]
    assert run("--config", config, "operator", "remove", "anna").status == 0
    assert run("--config", config, "operator", "remove", "anna").status == exits.NOT_FOUND
    newest = AuditLog(database).fetch()
    assert [(each.action, each.target, each.outcome, each.kind) for each in newest] == [
        ("operator.remove", "anna", "done", "local"),
        ("operator.change", "anna", "done", "local"),
        ("operator.add", "anna", "done", "local"),
    ]
    assert newest[1].before == {"role": "operator", "hosts": [], "tags": ["village"], "disabled": False}


def test_an_admin_has_no_scope(run: Run, config: Path) -> None:
    for arguments in (("operator", "add", "x", "--role", "admin", "--tag", "t"), ("token", "create", "x")):
        options = ("--role", "admin", "--host", "h") if arguments[0] == "token" else ()
        outcome = run("--config", config, *arguments, *options)
        assert outcome.status == exits.CONFIGURATION
        assert "an admin sees everything" in outcome.err


def test_a_password_from_the_input(run: Run, config: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    refused = run("--config", config, "operator", "add", "anna", "--password-stdin")
    assert refused.status == exits.CONFIGURATION
    assert "12 to 256" in refused.err
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    added = run("--config", config, "operator", "add", "anna", "--role", "admin", "--password-stdin")
    assert added.out == "Operator anna may sign in.\n"
    kept = Operators(database).fetch_secrets("anna")
    assert kept is not None
    assert Passwords().matches(kept.password_hash, PASSWORD)
    last = run("--config", config, "operator", "set", "anna", "--role", "viewer")
    assert last.status == exits.CONFIGURATION
    assert "the only admin" in last.err
    assert run("--config", config, "operator", "reset-totp", "anna").status == exits.NOT_FOUND


def test_tokens_have_scopes(run: Run, config: Path) -> None:
    assert run("--config", config, "token", "create", "ci", "--host", "farm-1").status == 0
    (row,) = json.loads(run("--config", config, "token", "list", "--json").out)
    assert row["scope"] == {"hosts": ["farm-1"], "tags": []}
    assert row["created_by"].startswith("cli:")
    assert "hosts farm-1; tags none" in run("--config", config, "token", "list").out
