"""What systemd itself says of the shipped files, without running them."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.core.settings.schema import LogSettings
from agent.host.proxy.systemd_units import DROP_IN, drop_in_text

SHIPPED = Path(__file__).resolve().parents[2] / "systemd"
INSTANCES = {"3proxy@": "3proxy@867698040000011", "lastmile-proxy-account@": "lastmile-proxy-account@70000"}
EXPOSURE_MOST = {
    "lastmile-acs.service": 2.0,
    "lastmile-worker.service": 2.0,
    "3proxy@.service": 2.0,
    "lastmile-agent.service": 4.5,
    "lastmile-migrate.service": 2.0,
    "lastmile-proxy-account@.service": 2.0,
    "lastmile-web.service": 2.0,
}
UNITS = sorted(path.name for path in SHIPPED.iterdir() if path.is_file())
LATER = sorted(path.relative_to(SHIPPED / "since-254") for path in (SHIPPED / "since-254").rglob("*.conf"))


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        if os.environ.get("CI"):
            pytest.fail("systemd-analyze is missing: install the package systemd")
        pytest.skip("UNITS ARE NOT VERIFIED: systemd-analyze is missing")
    return subprocess.run(["systemd-analyze", *words], check=False, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file system in which lastmile is installed beside systemd's own units, as far as systemd-analyze looks."""
    made = tmp_path_factory.mktemp("root")
    units = made / "usr/lib/systemd/system"
    system = next(path for path in map(Path, ("/usr/lib/systemd/system", "/lib/systemd/system")) if path.is_dir())
    shutil.copytree(system, units, symlinks=True, ignore_dangling_symlinks=True)
    for name in UNITS:
        shutil.copy(SHIPPED / name, units)
    for instance in (INSTANCES["3proxy@"],):
        drop_in = units / f"{instance}.service.d" / DROP_IN
        drop_in.parent.mkdir()
        drop_in.write_text(drop_in_text(70_000), encoding="utf-8")
    for program in ("bin/lastmile", "bin/3proxy", "bin/systemd-sysusers", "bin/kill"):
        path = made / "usr" / program
        path.parent.mkdir(exist_ok=True)
        path.touch(0o755)
    (made / "bin").symlink_to("usr/bin")
    (made / "lib").symlink_to("usr/lib")
    return made


def instance_of(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return INSTANCES.get(stem, stem) + dot + suffix


@pytest.mark.parametrize("name", UNITS)
def test_systemd_has_nothing_to_say_about_it(name: str, root: Path) -> None:
    done = analyze("verify", "--man=no", "--recursive-errors=no", f"--root={root}", instance_of(name))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_it_is_hardened(name: str, root: Path) -> None:
    done = analyze("security", "--offline=yes", "--no-pager", f"--root={root}", instance_of(name))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= EXPOSURE_MOST[name], done.stdout


@pytest.mark.parametrize("name", LATER, ids=str)
def test_drop_ins_for_later_versions_have_only_what_an_older_one_does_not_know(name: Path, root: Path) -> None:
    unit = name.parent.name.removesuffix(".d")
    target = root / "usr/lib/systemd/system" / name
    target.parent.mkdir(exist_ok=True)
    shutil.copy(SHIPPED / "since-254" / name, target)
    try:
        done = analyze("verify", "--man=no", "--recursive-errors=no", f"--root={root}", instance_of(unit))
    finally:
        shutil.rmtree(target.parent)
    unknown = set(re.findall(r"Unknown key (?:name )?'(\w+)' in section", done.stderr))
    assert unknown in (set(), {"RestartSteps", "RestartMaxDelaySec"})
    assert len(done.stderr.splitlines()) == len(unknown), done.stderr


def test_every_unit_that_runs_something_is_in_a_slice_of_ours() -> None:
    for name in UNITS:
        text = (SHIPPED / name).read_text(encoding="utf-8")
        if name.endswith(".service"):
            slice_name = "lastmile-proxies.slice" if name.startswith("3proxy@") else "lastmile.slice"
            assert f"\nSlice={slice_name}\n" in text, name


def test_what_stops_with_the_target_are_not_the_proxies() -> None:
    partly = {name for name in UNITS if "PartOf=lastmile.target" in (SHIPPED / name).read_text(encoding="utf-8")}
    assert partly == {
        "lastmile-acs.service",
        "lastmile-acs.socket",
        "lastmile-worker.service",
        "lastmile-agent.service",
        "lastmile-migrate.service",
        "lastmile-web.service",
        "lastmile-web.socket",
    }


def test_proxies_journal_is_kept_as_long_as_the_modems_logs() -> None:
    journal = configparser.ConfigParser()
    journal.read(SHIPPED / "journald@lastmile-proxies.conf.d" / "lastmile.conf")
    assert journal["Journal"]["MaxRetentionSec"] == f"{LogSettings().modem_log_days}day"


def test_the_account_is_one_that_systemd_can_make(tmp_path: Path) -> None:
    if shutil.which("systemd-sysusers") is None:
        pytest.skip("systemd-sysusers is missing")
    (tmp_path / "etc").mkdir()
    done = subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", "--dry-run", str(SHIPPED / "sysusers.d" / "lastmile.conf")],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0
    assert "Creating user 'lastmile'" in done.stderr + done.stdout


@pytest.mark.parametrize("kind", ["sysctl.d", "modules-load.d", "tmpfiles.d", "sysusers.d"])
def test_every_line_for_the_host_has_a_reason(kind: str) -> None:
    for path in (SHIPPED / kind).iterdir():
        explained = False
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("#"):
                explained = True
            elif line and kind != "tmpfiles.d":
                assert explained, f"{path.name}: {line}"
                explained = False
            else:
                explained = explained and bool(line)
