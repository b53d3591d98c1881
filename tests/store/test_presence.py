"""One agent per host name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.errors import ConfigError, TransientError
from agent.sim.postgres import EmbeddedPostgres
from agent.store import presence as presence_module
from agent.store.migrate import migrate
from agent.store.presence import HostPresence
from tests.store.farm import HOST, eventually, rows

ROOT = Path(__file__).parents[2]
AGENT = (
    "import sys, time; from agent.store.presence import HostPresence\n"
    "kept = HostPresence(sys.argv[1], 'farm-1', '0.1'); kept.announce()\n"
    "print('up', flush=True); time.sleep(60)\n"
)


@pytest.fixture
def presence(database_url: str) -> Iterator[HostPresence]:
    made = HostPresence(database_url, HOST, "0.1.0")
    yield made
    made.close()


@pytest.fixture
def other_agent(database_url: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", AGENT, database_url], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


def test_the_heartbeat_says_who_lives_where(presence: HostPresence, database_url: str) -> None:
    assert presence.announce("192.168.1.100")
    assert presence.announce()
    assert presence.held
    found = rows(database_url, "SELECT name, version, host(proxy_listen), pid IS NOT NULL FROM hosts")
    assert found == [(HOST, "0.1.0", "192.168.1.100", True)]


def test_a_second_agent_of_one_machine_is_refused_and_the_next_one_is_not(
    presence: HostPresence, other_agent: subprocess.Popen[str]
) -> None:
    with pytest.raises(ConfigError, match=f"process {other_agent.pid}"):
        presence.announce()
    other_agent.kill()
    other_agent.wait(10)
    eventually(presence.announce)


def test_an_agent_of_another_machine_is_refused_when_its_heart_beats(
    presence: HostPresence, other_agent: subprocess.Popen[str], database_url: str
) -> None:
    rows(database_url, "UPDATE hosts SET boot_id = 'another machine'")
    assert not presence.announce()
    assert not presence.announce()
    rows(database_url, "UPDATE hosts SET last_seen = now()")
    with pytest.raises(ConfigError, match="another machine"):
        presence.announce()


def test_a_session_left_behind_by_a_machine_without_power_is_ended(
    presence: HostPresence, other_agent: subprocess.Popen[str], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_module, "GHOST_SECONDS", 0.0)
    rows(database_url, "UPDATE hosts SET boot_id = 'before the power cut'")
    assert not presence.announce()
    eventually(presence.announce)
    assert presence.held


@pytest.fixture
def url_of_a_member(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """As the package sets it up: a login role without rights of its own that acts as the owner of the database."""
    url = postgres_server.create_database("owned")
    rows(url, "CREATE ROLE owning LOGIN; CREATE ROLE member LOGIN; GRANT owning TO member")
    rows(url, "ALTER DATABASE owned OWNER TO owning; ALTER ROLE member IN DATABASE owned SET role TO owning")
    migrate(url.replace("//lastmile@", "//owning@"))
    yield url.replace("//lastmile@", "//member@")
    postgres_server.drop_database("owned")
    rows(postgres_server.url("postgres"), "DROP ROLE member; DROP ROLE owning")


def test_a_session_left_behind_is_ended_by_a_role_that_acts_as_the_owner(
    url_of_a_member: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_module, "GHOST_SECONDS", 0.0)
    assert rows(url_of_a_member, "SELECT session_user::text, current_user::text") == [("member", "owning")]
    left_behind = HostPresence(url_of_a_member, HOST, "0.1.0")
    presence = HostPresence(url_of_a_member, HOST, "0.1.0")
    try:
        assert left_behind.announce()
        rows(url_of_a_member, "UPDATE hosts SET boot_id = 'before the power cut'")
        assert not presence.announce()
        eventually(presence.announce)
        # What it writes afterwards is written as the owner again.
        assert presence.announce("192.0.2.1")
    finally:
        presence.close()
        left_behind.close()


def test_the_database_may_go_and_come(own_postgres: EmbeddedPostgres, own_url: str) -> None:
    presence = HostPresence(own_url, HOST, "0.1.0", timeout_seconds=1.0)
    assert presence.announce()
    own_postgres.stop()
    for _ in range(2):
        with pytest.raises(TransientError):
            presence.announce()
    own_postgres.start()
    assert presence.announce()
    presence.close()


def test_hosts_of_different_names_do_not_meet(presence: HostPresence, database_url: str) -> None:
    other = HostPresence(database_url, "farm-2", "0.1.0")
    assert presence.announce()
    assert other.announce()
    other.close()
