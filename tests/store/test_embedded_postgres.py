"""The embedded PostgreSQL."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.core.errors import ConfigError, TransientError
from agent.sim import postgres
from agent.sim.postgres import SOCKET_PATH_LIMIT, EmbeddedPostgres
from tests.store.farm import rows


def test_it_starts_again_with_its_data_and_stops_a_server_left_behind(tmp_path: Path) -> None:
    first = EmbeddedPostgres(tmp_path / "pg", durable=False)
    first.start()
    url = first.create_database("kept")
    rows(url, "CREATE TABLE kept (id int)")
    # Another run, which knows nothing of the first but the folder.
    second = EmbeddedPostgres(tmp_path / "pg", durable=False)
    assert second.running
    second.start()
    assert second.create_database("kept") == url
    assert rows(url, "SELECT count(*) FROM kept") == [(0,)]
    second.stop()
    assert not first.running
    second.stop()
    first.start()
    try:
        assert rows(url, "SELECT count(*) FROM kept") == [(0,)]
    finally:
        first.stop()


def test_a_folder_with_a_long_name_gets_a_short_socket_path(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 90) / "pg"
    server = EmbeddedPostgres(deep, durable=False)
    assert len(os.fsencode(server.socket_directory / ".s.PGSQL.5432")) <= SOCKET_PATH_LIMIT
    server.start()
    try:
        assert rows(server.url("postgres"), "SELECT 1") == [(1,)]
        assert server.socket_directory.stat().st_mode & 0o077 == 0
    finally:
        server.stop()
    assert not server.socket_directory.exists()


def test_it_listens_on_no_tcp_port(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, durable=False)
    server.start()
    try:
        assert rows(server.url("postgres"), "SHOW listen_addresses") == [("",)]
    finally:
        server.stop()


def test_missing_binaries_are_named_by_their_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "BINARIES", tmp_path / "none")
    with pytest.raises(ConfigError, match="apt install postgresql"):
        EmbeddedPostgres(tmp_path / "pg").start()


def test_a_stopped_server_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(TransientError):
        EmbeddedPostgres(tmp_path).create_database("x")
