"""`lastmile config`, and settings that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli import exits
from tests.cli.conftest import Run, write_config

URL = "postgresql://user:geheim@db.example.org/lastmile"


def test_good_settings(run: Run, tmp_path: Path) -> None:
    told = run("--config", write_config(tmp_path / "lastmile.toml", URL), "config", "check")
    assert (told.status, told.out, told.err) == (0, "The settings are good.\n", "")


def test_every_mistake_is_told_with_place_value_and_what_is_allowed(run: Run, tmp_path: Path) -> None:
    more = '[web]\ntcp_port = 70000\n[proxy]\nlissen = "auto"\n[nonsense]\nx = 1\n'
    path = write_config(tmp_path / "lastmile.toml", URL, more)
    told = run("--config", path, "config", "check")
    assert (told.status, told.out) == (exits.CONFIGURATION, "")
    for words in (str(path), "tcp_port", "70000", "1 to 65535", "lissen", "nonsense"):
        assert words in told.err
    assert "geheim" not in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize("text", ["[web\n", "web = 3\n", "\x00", "[web]\ntcp_port = 1\ntcp_port = 2\n"])
def test_a_file_that_cannot_be_read_as_settings(run: Run, tmp_path: Path, text: str) -> None:
    path = tmp_path / "lastmile.toml"
    path.write_text(text)
    told = run("--config", path, "status")
    assert told.status == exits.CONFIGURATION
    assert str(path) in told.err
    assert "Traceback" not in told.err


def test_a_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    told = run("--config", tmp_path / "none.toml", "config", "check")
    assert told.status == exits.CONFIGURATION
    assert str(tmp_path / "none.toml") in told.err


def test_a_secret_that_others_can_read_is_warned_of(run: Run, tmp_path: Path) -> None:
    path = write_config(tmp_path / "lastmile.toml", URL)
    path.chmod(0o644)
    told = run("--config", path, "config", "check")
    assert told.status == 0
    assert told.err.startswith("warning: ")
    assert str(path) in told.err


def test_show_tells_where_each_value_comes_from_and_no_secret(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_config(tmp_path / "lastmile.toml", URL)
    (tmp_path / "lastmile.d").mkdir()
    (tmp_path / "lastmile.d" / "10-web.toml").write_text("[web]\ntcp_port = 8081\n")
    monkeypatch.setenv("LASTMILE_LOG_LEVEL", "debug")
    told = run("--config", path, "config", "show", "--origin")
    assert told.status == 0
    lines = {line.split(" = ")[0]: line for line in told.out.splitlines()}
    assert lines["web.tcp_port"].startswith("web.tcp_port = 8081 ")
    assert lines["web.tcp_port"].endswith("10-web.toml:2")
    assert "LASTMILE_LOG_LEVEL" in lines["log.level"]
    assert str(path) in lines["database.url"]
    assert "# default" in lines["modem.apn"]
    assert "geheim" not in told.out
    assert "#" not in run("--config", path, "config", "show").out


def test_a_variable_that_is_no_setting(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LASTMILE_WEB_TCP_PROT", "1")
    told = run("--config", write_config(tmp_path / "lastmile.toml", URL), "config", "check")
    assert told.status == exits.CONFIGURATION
    assert "LASTMILE_WEB_TCP_PROT" in told.err
