"""`lastmile host clear`: when it acts, and when it does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli.main import lastmile
from tests.host.netns import fresh_namespace, ip, needs_root

pytestmark = [pytest.mark.root, needs_root]

RULE = ("uidrange", "70003-70003", "lookup", "20003", "pref", "2000")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "lastmile.toml"
    path.write_text(
        f'[agent]\nstate_dir = "{tmp_path}/state"\nrun_dir = "{tmp_path}/run"\ndevice_dir = "{tmp_path}/modems"\n'
        f'[proxy]\nrunner = "process"\ncommand = "false"\nconfig_dir = "{tmp_path}/3proxy"\n'
    )
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "outbox.sqlite").touch()
    return path


def clear(config: Path, *options: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(lastmile, ["--config", str(config), "host", "clear", *options], input=answer)


def test_it_clears_the_host_without_an_agent_or_a_database(config: Path) -> None:
    with fresh_namespace():
        ip("rule", "add", *RULE)
        done = clear(config, "--yes")
        assert (done.exit_code, done.exception) == (0, None)
        assert "rules removed, with their tables: 1" in done.output
        assert "70003" not in ip("rule")


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_it_asks_and_takes_silence_for_no(config: Path, answer: str) -> None:
    with fresh_namespace():
        ip("rule", "add", *RULE)
        assert clear(config, answer=answer).exit_code == 1
        assert "70003" in ip("rule")


def test_it_refuses_while_the_agent_runs_unless_it_is_told_to(config: Path) -> None:
    with fresh_namespace(), (config.parent / "state" / "outbox.sqlite").open():
        ip("rule", "add", *RULE)
        refused = clear(config, "--yes")
        assert refused.exit_code == 1
        assert f"process {os.getpid()}" in refused.output
        assert "systemctl stop lastmile-agent" in refused.output
        assert "70003" in ip("rule")
        assert clear(config, "--yes", "--force").exit_code == 0
        assert "70003" not in ip("rule")
