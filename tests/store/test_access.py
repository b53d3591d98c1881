"""Operators, sign-in attempts, setup links, keys, and an audit log that is only ever added to."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest

from agent.core.errors import ConfigError
from agent.sim.postgres import EmbeddedPostgres
from agent.store.access_retention import AccessRetention
from agent.store.audit import AuditFilter, AuditLog, Outcome
from agent.store.database import Database
from agent.store.operator_sessions import SESSIONS_MOST, OperatorSessions
from agent.store.operators import LastAdminError, Operators
from agent.store.passwords import Passwords, WeakPasswordError, check_password
from agent.store.rows import Principal, Role, Scope
from agent.store.sign_in_attempts import FREE_OF_ACCOUNT, FREE_OF_ADDRESS, SignInAttempts, TooManyAttemptsError
from agent.store.signing_keys import SigningKeys
from tests.store.farm import rows

ANNA = Principal(name="anna", role=Role.OPERATOR)
QUICK = Passwords(time_cost=1, memory_kib=1024, lanes=1)


def attempt(attempts: SignInAttempts, account: str, address: str | None, *, succeeds: bool = False) -> bool:
    """Try once; False when the door is closed."""
    try:
        with attempts.attempt(account, address) as one:
            one.succeeded = succeeds
    except TooManyAttemptsError:
        return False
    return True


class TestAttempts:
    def test_an_account_closes_and_opens_again(self, database: Database) -> None:
        attempts = SignInAttempts(database)
        tries = [attempt(attempts, "Anna", f"192.0.2.{number}") for number in range(FREE_OF_ACCOUNT + 3)]
        assert tries == [True] * FREE_OF_ACCOUNT + [False] * 3
        assert not attempt(attempts, "anna", "198.51.100.1", succeeds=True), "the case of a name opens no door"
        assert attempt(attempts, "bert", "192.0.2.1")
        rows(database.url, "UPDATE sign_in_attempts SET blocked_until = now()")
        assert attempt(attempts, "anna", "192.0.2.1")
        waits = rows(
            database.url,
            "SELECT extract(epoch FROM blocked_until - now()) FROM sign_in_attempts WHERE blocked_until > now()",
        )
        assert 25 < waits[0][0] <= 30, "twice as long as the first time"

    def test_success_forgets_the_account(self, database: Database) -> None:
        attempts = SignInAttempts(database)
        for _ in range(3):
            for _ in range(FREE_OF_ACCOUNT - 1):
                assert attempt(attempts, "anna", "192.0.2.1")
            assert attempt(attempts, "anna", "192.0.2.1", succeeds=True)

    def test_an_address_that_tries_many_names_closes(self, database: Database) -> None:
        attempts = SignInAttempts(database)
        tries = [attempt(attempts, f"name-{n}", f"2001:db8::{n:x}") for n in range(FREE_OF_ADDRESS + 2)]
        assert tries == [True] * FREE_OF_ADDRESS + [False] * 2
        assert attempt(attempts, "anna", "2001:db8:0:1::1"), "another /64 is another place"

    def test_many_at_once_get_no_more_tries(self, database: Database) -> None:
        attempts = SignInAttempts(database)
        admitted: list[bool] = []
        barrier = threading.Barrier(12)

        def run() -> None:
            barrier.wait(10)
            admitted.append(attempt(attempts, "anna", None))

        threads = [threading.Thread(target=run) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(admitted) == 12
        assert sum(admitted) == FREE_OF_ACCOUNT

    def test_nothing_of_a_name_is_kept(self, database: Database) -> None:
        attempts = SignInAttempts(database)
        attempt(attempts, "my secret password", "192.0.2.1")
        assert b"secret" not in b"".join(
            bytes(row[0]) for row in rows(database.url, "SELECT key FROM sign_in_attempts")
        )
        rows(database.url, "UPDATE sign_in_attempts SET failed_at = now() - interval '2 hours'")
        assert attempts.forget_old() == 2


class TestOperators:
    def test_one_admin_stays_when_two_are_taken_at_once(self, database: Database) -> None:
        operators = Operators(database)
        for name in ("a", "b"):
            operators.create(name, Role.ADMIN, password_hash=QUICK.hash("x" * 12))
        outcomes: list[bool] = []

        def demote(name: str) -> None:
            try:
                operators.change(name, role=Role.VIEWER)
                outcomes.append(True)
            except LastAdminError:
                outcomes.append(False)

        threads = [threading.Thread(target=demote, args=(name,)) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(outcomes) == [False, True]
        assert operators.has_admin()

    def test_what_does_not_change_signs_nobody_out(self, database: Database) -> None:
        operators = Operators(database)
        first = operators.create("anna", Role.VIEWER, Scope(hosts=("a",), tags=None))
        same = operators.change("anna", role=Role.VIEWER, scope=Scope(hosts=("a",), tags=None), disabled=False)
        assert same is not None
        assert same.version == first.version
        other = operators.change("anna", scope=Scope(hosts=("b",), tags=()))
        assert other is not None
        assert (other.version, other.scope) == (first.version + 1, Scope(hosts=("b",), tags=()))

    def test_who_becomes_an_admin_sees_everything(self, database: Database) -> None:
        operators = Operators(database)
        operators.create("anna", Role.VIEWER, Scope(hosts=("a",), tags=None))
        row = operators.change("anna", role=Role.ADMIN)
        assert row is not None
        assert row.scope.is_everything
        with pytest.raises(ConfigError, match="everything"):
            operators.change("anna", scope=Scope(hosts=(), tags=None))

    def test_a_code_counts_once_and_never_an_earlier_one(self, database: Database) -> None:
        operators = Operators(database)
        row = operators.create("anna", Role.VIEWER)
        assert operators.begin_totp("anna", "S")
        assert operators.use_totp(row.id, "S", 100)
        assert not operators.use_totp(row.id, "S", 100)
        assert not operators.use_totp(row.id, "S", 99)
        assert operators.use_totp(row.id, "S", 101)
        assert not operators.use_totp(row.id, "T", 102)
        assert not operators.begin_totp("anna", "T"), "one that counts is not replaced without being removed"


def test_an_operator_has_so_many_browsers_and_no_more(database: Database) -> None:
    row = Operators(database).create("anna", Role.VIEWER)
    sessions = OperatorSessions(database, idle_seconds=600, most_seconds=3600)
    tokens = [sessions.open(row.id, row.version, None, "x" * 1000) for _ in range(SESSIONS_MOST + 2)]
    alive = [token for token in tokens if token is not None and sessions.verify(token) is not None]
    assert alive == tokens[2:]
    assert sessions.open(row.id, row.version + 1, None, "") is None
    kept = b"".join(bytes(each[0]) for each in rows(database.url, "SELECT token_hash FROM operator_sessions"))
    assert all(token is not None and token.encode() not in kept for token in tokens)


def test_keys_are_replaced_after_a_month_and_the_old_ones_are_good_a_day_more(database: Database) -> None:
    keys = SigningKeys(database)
    first = keys.current()
    assert keys.current() == first
    rows(database.url, "UPDATE signing_keys SET created_at = now() - interval '30 days 1 hour'")
    second = keys.current()
    assert second.id != first.id
    assert keys.fetch(first.id) == first.key
    rows(database.url, "UPDATE signing_keys SET created_at = created_at - interval '40 days'")
    third = keys.current()
    assert keys.fetch(second.id) is None
    assert keys.fetch(third.id) == third.key


@pytest.mark.parametrize("password", ["short", "x" * 257, "aaaaaaaaaaaaaaaa", "anna1234567890", "ANNA-ANNA-ANNA!"])
def test_weak_passwords(password: str) -> None:
    with pytest.raises(WeakPasswordError):
        check_password(password, "anna")


def test_passwords_are_checked_whatever_is_typed() -> None:
    kept = QUICK.hash("pässword\ud800 of anna")
    assert QUICK.matches(kept, "pa\u0308ssword\ud800 of anna"), "composed or not: it is the same word"
    assert not QUICK.matches(kept, "password of anna")
    assert not QUICK.matches(None, "anything")
    assert not QUICK.matches("no hash", "anything")
    assert Passwords().outdated(kept)


class TestAppendOnly:
    @pytest.mark.parametrize("table", ["audit_log", "audit_outcomes"])
    def test_nobody_changes_what_was_written(self, database: Database, table: str) -> None:
        audit = AuditLog(database)
        written = audit.write(ANNA, "test", "x")
        audit.close(written, Outcome.DONE)
        parts = [
            row[0]
            for row in rows(
                database.url, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", table
            )
        ]
        assert len(parts) >= 13
        for name in (table, *parts):
            for statement in (f"UPDATE {name} SET at = now()", f"DELETE FROM {name}", f"TRUNCATE {name}"):
                if name not in (table, _part_of_now(database.url, table)) and not statement.startswith("TRUNCATE"):
                    continue  # a row trigger has nothing to refuse in an empty partition
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only ever added to"):
                    rows(database.url, statement)
        assert [row.outcome for row in audit.fetch()] == ["done"]

    def test_a_role_that_may_only_add_can_have_old_months_dropped(self, database: Database) -> None:
        audit = AuditLog(database)
        audit.write(ANNA, "test", "young")
        month = "(date_trunc('month', now()) - interval '6 months')"
        rows(database.url, f"SELECT maintain_audit_partitions(3650, {month}::date)")
        rows(
            database.url,
            "INSERT INTO audit_log (at, principal, role, action, target)"
            f" VALUES ({month}, 'anna', 'viewer', 'test', 'old')",
        )
        assert audit.retire(365) == 0
        assert {row.target for row in audit.fetch()} == {"young", "old"}
        rows(database.url, "CREATE ROLE adder")
        try:
            rows(database.url, "GRANT INSERT, SELECT ON audit_log TO adder")
            with psycopg.connect(database.url, autocommit=True) as connection:
                connection.execute("SET ROLE adder")
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute("DELETE FROM audit_log")
                dropped = connection.execute("SELECT maintain_audit_partitions(0)").fetchone()
            assert dropped is not None
            assert dropped[0] >= 2, "less than 90 days are 90"
        finally:
            rows(database.url, "DROP OWNED BY adder")
            rows(database.url, "DROP ROLE adder")
        assert {row.target for row in audit.fetch()} == {"young"}

    def test_the_first_word_on_an_outcome_counts(self, database: Database) -> None:
        audit = AuditLog(database)
        written = audit.write(ANNA, "test", "x")
        audit.close(written, Outcome.FAILED, "timeout")
        audit.close(written, Outcome.DONE)
        (row,) = audit.fetch(wanted=AuditFilter(target="x"))
        assert (row.outcome, row.code) == ("failed", "timeout")

    def test_retention_forgets_all_that_is_over(self, database: Database) -> None:
        sessions = OperatorSessions(database, idle_seconds=600, most_seconds=3600)
        row = Operators(database).create("anna", Role.VIEWER)
        sessions.open(row.id, row.version, None, "")
        rows(database.url, "UPDATE operator_sessions SET expires_at = now()")
        retention = AccessRetention(
            audit=AuditLog(database), sessions=sessions, attempts=SignInAttempts(database), audit_days=730
        )
        assert retention.retire() == 1


def test_what_was_logged_before_is_kept(postgres_server: EmbeddedPostgres, tmp_path: Path) -> None:
    from agent.store import migrate as migrate_module

    url = postgres_server.create_database("audit_upgrade")
    try:
        migrate_module.migrate(url)
        rows(url, "DROP TABLE audit_log, audit_outcomes CASCADE")
        rows(url, "DROP FUNCTION refuse_audit_change, maintain_audit_partitions CASCADE")
        rows(
            url,
            "DROP TABLE operators, operator_recovery_codes, operator_sessions, setup_links, sign_in_attempts,"
            " signing_keys CASCADE",
        )
        rows(
            url,
            "ALTER TABLE api_tokens"
            " DROP COLUMN scope_hosts CASCADE, DROP COLUMN scope_tags CASCADE, DROP COLUMN created_by",
        )
        rows(
            url,
            "CREATE TABLE audit_log (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL"
            " DEFAULT now(), principal text NOT NULL, role text NOT NULL, action text NOT NULL, target text NOT NULL,"
            " details jsonb NOT NULL DEFAULT '{}')",
        )
        rows(
            url,
            "INSERT INTO audit_log (at, principal, role, action, target) VALUES"
            " (now() - interval '100 days', 'cli:root', 'admin', 'token.create', 'a'),"
            " (now(), 'ci', 'viewer', 'x', 'b')",
        )
        rows(url, "DELETE FROM _yoyo_migration WHERE migration_id = '0006.operators'")
        assert migrate_module.migrate(url) == ("0006.operators",)
        with Database(url) as database:
            audit = AuditLog(database)
            assert [(row.id, row.principal, row.kind, row.outcome) for row in audit.fetch()] == [
                (2, "ci", "token", "unknown"),
                (1, "cli:root", "local", "unknown"),
            ]
            assert audit.write(ANNA, "test", "x") == 3
            assert rows(url, "SELECT count(*) FROM audit_log_default") == [(0,)]
    finally:
        postgres_server.drop_database("audit_upgrade")


def _part_of_now(url: str, table: str) -> str:
    return str(rows(url, f"SELECT tableoid::regclass::text FROM {table} LIMIT 1")[0][0])
