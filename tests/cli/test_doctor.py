"""`lastmile doctor` as a sysadmin runs it, and the agent's notices in `lastmile status`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.cli import exits
from agent.cli.doctor import printable
from agent.cli.doctor_checks import Examination
from agent.store.condition import fetch_server
from agent.store.migrate import known_migrations
from agent.store.presence import HostPresence
from tests.cli.conftest import Run, add_modems, write_config
from tests.host.netns import needs_root
from tests.store.farm import HOST, rows

KEYS = ["id", "group", "severity", "finding", "mend"]
NOTICE = "3proxy is not installed"


def findings(told: str) -> dict[str, dict[str, str]]:
    """By id."""
    return {each["id"]: each for each in json.loads(told)}


def test_everything_is_looked_at_and_the_status_says_whether_to_mend(run: Run, config: Path) -> None:
    started = time.monotonic()
    told = run("--config", config, "doctor", "--json")
    assert time.monotonic() - started < 15
    listed = json.loads(told.out)
    assert all(list(each) == KEYS for each in listed)
    severities = {each["severity"] for each in listed}
    assert severities <= {"ok", "hint", "warning", "failure", "unknown"}
    assert told.status == (exits.FAILURE if severities & {"warning", "failure"} else 0)
    assert not [each for each in listed if "this check broke" in each["finding"]]
    found = findings(told.out)
    names = {name.partition(".")[0] for name in found}
    assert {check.name.partition(".")[0] for check in Examination(config, {}).checks()} <= names
    assert found["database.schema"]["severity"] == "ok"
    assert found["database.clock"]["severity"] == "ok"
    assert found["settings.valid"]["severity"] == "ok"


def test_people_get_groups_words_and_commands_without_colours(run: Run, config: Path) -> None:
    told = run("--config", config, "doctor")
    lines = told.out.splitlines()
    assert lines[0] == "Settings and files"
    assert "\x1b" not in told.out
    assert any("ok" in line and "[database.reach]" in line for line in lines)
    assert lines[-1].endswith(" ok")
    quiet = run("--config", config, "doctor", "--quiet")
    assert quiet.status == told.status
    assert "[database.reach]" not in quiet.out


def test_a_mistake_in_the_settings_hides_nothing_else(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "lastmile.toml"
    config.write_text("[modem]\nusb_ids = ['x']\n[nonsense]\n")
    config.chmod(0o600)
    told = run("--config", config, "doctor", "--json")
    found = findings(told.out)
    assert told.status == exits.FAILURE
    assert found["settings.valid"]["severity"] == "failure"
    assert found["database.reach"]["severity"] == "unknown"
    assert {"kernel.usb", "udev.rules", "net.rules", "tools.qmicli", "clock.synchronised"} <= found.keys()


def test_an_unreachable_database_is_one_finding_without_the_password(run: Run, tmp_path: Path) -> None:
    config = write_config(tmp_path / "lastmile.toml", f"postgresql://someone:geheim@/lastmile?host={tmp_path}")
    told = run("--config", config, "doctor", "--json")
    assert findings(told.out)["database.reach"]["severity"] == "failure"
    assert "geheim" not in told.out + told.err


def test_a_database_that_never_answers_holds_up_nobody(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        config = write_config(tmp_path / "lastmile.toml", f"postgresql://x@127.0.0.1:{port}/x")
        started = time.monotonic()
        told = run("--config", config, "doctor", "--json")
    assert time.monotonic() - started < 12
    found = findings(told.out)
    assert found["database.reach"]["severity"] in ("failure", "unknown")
    assert "kernel.usb" in found


def test_whoever_sits_on_a_tcp_port_of_ours_is_named(run: Run, tmp_path: Path, database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        config = write_config(tmp_path / "lastmile.toml", database_url, f"[web]\ntcp_port = {port}\n")
        found = findings(run("--config", config, "doctor", "--json").out)["tcp.web"]
    assert found["severity"] == "failure"
    assert f"process {os.getpid()}" in found["finding"]
    assert str(port) in found["mend"]


@needs_root
@pytest.mark.root
@pytest.mark.parametrize("closed", [".", "lastmile.toml", "lastmile.d"])
def test_an_ordinary_user_is_told_what_was_not_seen(tmp_path: Path, closed: str) -> None:
    for each in (tmp_path, *tmp_path.parents[:-2]):
        each.chmod(0o755)
    config = tmp_path / "etc/lastmile.toml"
    (tmp_path / "etc/lastmile.d").mkdir(parents=True)
    for file in (config, tmp_path / "etc/lastmile.d/a.toml"):
        file.write_text("")
    (tmp_path / "etc" / closed).chmod(0o700)
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "import agent.cli.main, agent.cli.doctor_checks, agent.host.doctor.examination, rich.console, rich.text\n"
        "from pathlib import Path; import agent.core.settings.load as load\n"
        "load.DEFAULT_CONFIG = agent.cli.doctor_checks.DEFAULT_CONFIG = Path(sys.argv[2])\n"
        "os.setgid(65534); os.setuid(65534); agent.cli.main.main(['doctor', '--json'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parents[2]), str(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd="/",
    )
    assert done.returncode in (0, exits.FAILURE), done.stderr
    found = findings(done.stdout)
    assert not [each for each in found.values() if "this check broke" in each["finding"]]
    assert len({each["group"] for each in found.values()}) == 6
    assert found["settings.valid"]["severity"] == "unknown"


def test_others_words_cannot_write_to_the_terminal() -> None:
    assert printable("evil\x1b[2J\x07\nname ✓") == "evil�[2J��name ✓"


def test_the_databases_condition(database_url: str, tmp_path: Path) -> None:
    add_modems(database_url, tmp_path / "wishes.json")
    server = fetch_server(database_url, HOST)
    assert (server.standby, server.missing_migrations, server.unknown_migrations) == (False, (), ())
    assert 0 < server.connections_used <= server.connections_most
    assert abs(server.clock_ahead_seconds) < 2
    uids = {row[0] for row in rows(database_url, "SELECT uid FROM modems")}
    assert len(uids) == 2
    assert server.known_uids == uids
    assert fetch_server(database_url, "another").known_uids == frozenset()
    rows(database_url, f"DELETE FROM _yoyo_migration WHERE migration_id = '{known_migrations()[-1]}'")
    assert fetch_server(database_url, HOST).missing_migrations == known_migrations()[-1:]


# -- notices ---------------------------------------------------------------------------------------------------------


def test_a_notice_stands_beneath_the_table_until_it_is_taken_back(
    run: Run, config: Path, database_url: str, tmp_path: Path
) -> None:
    add_modems(database_url, tmp_path / "wishes.json")
    presence = HostPresence(database_url, HOST, "1.0")
    try:
        presence.announce(None, [NOTICE])
        told = run("--config", config, "status")
        assert told.out.splitlines()[-1] == f"! {HOST}: {NOTICE}"
        assert NOTICE not in run("--config", config, "status", "--host", "another").out
        assert len(json.loads(run("--config", config, "status", "--json").out)) == 2
        presence.announce()
        assert NOTICE not in run("--config", config, "status").out
    finally:
        presence.close()


def test_a_notice_of_an_agent_that_is_gone_is_not_shown(run: Run, config: Path, database_url: str) -> None:
    presence = HostPresence(database_url, HOST, "1.0")
    try:
        presence.announce(None, [NOTICE])
        told = run("--config", config, "status")
        assert NOTICE in told.out
        assert "No modem has been seen yet" in told.out
        rows(database_url, "UPDATE hosts SET last_seen = now() - interval '5 minutes'")
        assert NOTICE not in run("--config", config, "status").out
    finally:
        presence.close()
