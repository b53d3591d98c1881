"""Tokens and the audit log."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from agent.core.errors import ConfigError
from agent.store.audit import AuditLog
from agent.store.database import Database
from agent.store.rows import Principal, Role
from agent.store.tokens import Tokens
from tests.store.farm import rows


@pytest.fixture
def tokens(database: Database) -> Tokens:
    return Tokens(database)


def test_a_token_is_known_until_it_is_revoked(tokens: Tokens, database_url: str) -> None:
    text = tokens.create("ci", Role.OPERATOR)
    assert text.startswith("lm_")
    assert len(text) == 46
    assert tokens.verify(text) == Principal(name="ci", role=Role.OPERATOR)
    assert text.encode() not in b"".join(
        bytes(row[0]) for row in rows(database_url, "SELECT token_hash FROM api_tokens")
    )
    assert tokens.revoke("ci")
    assert not tokens.revoke("ci")
    assert tokens.verify(text) is None
    (row,) = tokens.list()
    assert (row.name, row.role, row.revoked_at is None) == ("ci", Role.OPERATOR, False)


def test_an_expired_token_is_nobodys(tokens: Tokens) -> None:
    past = tokens.create("past", Role.VIEWER, datetime.now(UTC) - timedelta(seconds=1))
    future = tokens.create("future", Role.VIEWER, datetime.now(UTC) + timedelta(hours=1))
    assert tokens.verify(past) is None
    assert tokens.verify(future) is not None


@pytest.mark.parametrize(
    "text", ["", "lm_", "lm_" + "x" * 43, "lm_" + "é" * 43, "lm_\x00" + "x" * 42, "' OR 1=1 --", "x" * 10**6]
)
def test_what_is_no_token_is_nobodys(tokens: Tokens, text: str) -> None:
    tokens.create("ci", Role.ADMIN)
    assert tokens.verify(text) is None


def test_a_name_is_used_once(tokens: Tokens) -> None:
    tokens.create("ci", Role.VIEWER)
    tokens.revoke("ci")
    with pytest.raises(ConfigError, match="already"):
        tokens.create("ci", Role.VIEWER)
    for name in ("", "x" * 65, "a b", "-x", "x\x00"):
        with pytest.raises(ConfigError):
            tokens.create(name, Role.VIEWER)


def test_use_is_recorded_once_a_minute(tokens: Tokens, database_url: str) -> None:
    text = tokens.create("ci", Role.VIEWER)
    used = []
    for _ in range(3):
        tokens.verify(text)
        used.append(rows(database_url, "SELECT last_used_at, xmin::text FROM api_tokens"))
    assert used[0] == used[1] == used[2]
    assert used[0][0][0] is not None
    rows(database_url, "UPDATE api_tokens SET last_used_at = now() - interval '2 minutes'")
    tokens.verify(text)
    assert rows(database_url, "SELECT last_used_at > now() - interval '1 minute' FROM api_tokens") == [(True,)]


def test_roles_include_the_lesser_ones() -> None:
    assert Role.ADMIN.allows(Role.OPERATOR)
    assert Role.OPERATOR.allows(Role.OPERATOR)
    assert not Role.VIEWER.allows(Role.OPERATOR)


def test_the_audit_log_keeps_what_was_done(database: Database) -> None:
    audit = AuditLog(database)
    anna = Principal(name="anna", role=Role.OPERATOR)
    threads = [threading.Thread(target=audit.write, args=(anna, "modem.disable", str(n), {"n": n})) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    audit.write(anna, "modem.command", "hostile\x00\ud800", {"at": "AT+CSQ"})
    newest, *others = audit.fetch()
    assert (newest.principal, newest.role, newest.details) == ("anna", "operator", {"at": "AT+CSQ"})
    assert "\x00" not in newest.target
    assert {row.target for row in others} == {"0", "1", "2", "3", "4"}
    assert audit.fetch(before_id=newest.id, limit=2) == tuple(others[:2])
