"""The command line as a shell sees it: arguments in; exit status, stdout and stderr out."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.store.database import Database
from tests.store.farm import make_wishes, rows, serial_of, slot_of


@dataclass(frozen=True, kw_only=True)
class Outcome:
    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings from the environment, and the root logger as it was."""
    for name in [each for each in os.environ if each.startswith("LASTMILE_")] + ["CREDENTIALS_DIRECTORY"]:
        monkeypatch.delenv(name, raising=False)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `lastmile ARGUMENTS…` and returns what a shell would see of it."""

    def run_it(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        try:
            main([str(each) for each in arguments])
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1 if ended.code else 0
        told = capsys.readouterr()
        return Outcome(status=status, out=told.out, err=told.err)

    return run_it


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Path:
    """A settings file with a migrated, empty database."""
    return write_config(tmp_path / "lastmile.toml", database_url)


def write_config(path: Path, url: str, more: str = "") -> Path:
    """A settings file that names the database, closed to others."""
    path.write_text(f'[database]\nurl = "{url}"\ntimeout_seconds = 2.0\n{more}')
    path.chmod(0o600)
    return path


def add_modems(url: str, cache: Path, count: int = 2) -> None:
    """Modems 1 to `count` of one host, plugged in, whose agent is not running."""
    with Database(url) as database:
        wishes = make_wishes(database, cache)
        for number in range(1, count + 1):
            wishes.register(serial_of(number), slot_of(number), None)
    rows(url, "UPDATE hosts SET proxy_listen = '192.0.2.1'")
