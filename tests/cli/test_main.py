"""Help, usage, version and completion: what answers without settings or a database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from agent.cli import exits
from agent.cli.main import COMMANDS, EPILOG, lastmile
from agent.core.errors import (
    AgentError,
    CmeError,
    ConfigError,
    DeadlineExceeded,
    InvariantError,
    ProtocolError,
    TransientError,
)
from agent.version import __version__
from tests.cli.conftest import Run

SHELLS = {"bash": "complete -o nosort -F", "zsh": "#compdef lastmile", "fish": "complete --no-files --command lastmile"}


def every_command(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            each = command.get_command(context, name)
            assert each is not None
            yield from every_command(each, (*path, name))


ALL = dict(every_command(lastmile))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_explains_itself(run: Run, path: tuple[str, ...]) -> None:
    told = run(*path, "--help")
    for each in (told, run(*path, "-h")):
        assert (each.status, each.err) == (0, "")
        assert each.out.startswith(f"Usage: {' '.join(('lastmile', *path))} ")
    help_text = ALL[path].help
    assert help_text
    assert " ".join(help_text.split("\n\n")[0].split())[:60] in " ".join(told.out.split())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_option_says_what_it_is_for(path: tuple[str, ...]) -> None:
    options = [each for each in ALL[path].params if isinstance(each, click.Option)]
    assert [each.name for each in options if not each.help] == []


def test_the_list_of_commands_is_complete_and_sorted(run: Run) -> None:
    told = run("--help")
    assert list(COMMANDS) == sorted(COMMANDS)
    for name, (_, text) in COMMANDS.items():
        assert f"{name} " in told.out
        assert text in told.out


def test_help_tells_every_exit_status() -> None:
    statuses = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    told = {int(word) for word in EPILOG.replace(",", " ").replace(".", " ").split() if word.isdigit()}
    assert told == statuses


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("x"), 78),
        (TransientError("x"), 69),
        (DeadlineExceeded("x"), 75),
        (exits.NotFoundError("x"), 4),
        (CmeError("AT+X", 3, "x"), 5),
        (ProtocolError("x"), 2),
        (InvariantError("x"), 70),
        (AgentError("x"), 70),
    ],
)
def test_an_error_has_its_exit_status(error: AgentError, status: int) -> None:
    assert exits.status_of(error) == status


WRONG = (("nonsense",), ("status", "--nonsense"), ("modem", "at", "1"), ("token", "create", "x", "--role", "king"))


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_usage_is_status_2_and_says_how(run: Run, arguments: tuple[str, ...]) -> None:
    told = run(*arguments)
    assert told.status == exits.USAGE
    assert told.out == ""
    assert "--help" in told.err
    assert "Error: " in told.err


def test_watching_json_makes_no_sense(run: Run) -> None:
    told = run("status", "--watch", "--json")
    assert told.status == exits.USAGE
    assert "choose one" in told.err


def test_version(run: Run) -> None:
    assert run("version").out.startswith(f"lastmile {__version__} (Python ")
    assert __version__ in run("--version").out


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_script(run: Run, shell: str) -> None:
    told = run("completion", shell)
    assert (told.status, told.err) == (0, "")
    assert SHELLS[shell] in told.out


def test_completion_of_an_unknown_shell(run: Run) -> None:
    told = run("completion", "csh")
    assert told.status == exits.USAGE
    assert "'bash', 'zsh', 'fish'" in told.err


def test_the_shell_gets_its_completions() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lastmile")],
        env={**os.environ, "_LASTMILE_COMPLETE": "bash_complete", "COMP_WORDS": "lastmile mo", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == ["plain,modem"]


def test_help_loads_nothing_that_takes_time() -> None:
    """The libraries that make a start slow; `lastmile --help` is to answer at once."""
    heavy = ("psycopg", "rich", "flask", "pydantic", "pyroute2", "jinja2", "pyudev", "granian")
    script = (
        "import sys\nfrom agent.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.strip() == "[]"
