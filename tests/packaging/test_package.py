"""What is in the Debian package, and what must not be."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli.main import COMMANDS
from agent.core.settings.fields import all_settings
from agent.core.settings.schema import Settings
from agent.core.settings.sources import Entry, read_toml
from agent.version import __version__
from tests.packaging.build import ROOT, NoBuildError, built_package
from tests.postgres_fixture import missing_service

pytestmark = pytest.mark.timeout(900)

HOME = Path("usr/lib/lastmile")


@pytest.fixture(scope="session")
def package() -> Path:
    try:
        return built_package()
    except NoBuildError as error:
        missing_service(str(error))


@pytest.fixture(scope="session")
def tree(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's files, unpacked; its control files are in DEBIAN."""
    folder = tmp_path_factory.mktemp("package")
    subprocess.run(["dpkg-deb", "--raw-extract", package, folder / "tree"], check=True, timeout=120)
    return folder / "tree"


def field(package: Path, name: str) -> str:
    done = subprocess.run(
        ["dpkg-deb", "--field", package, name], check=True, capture_output=True, text=True, timeout=30
    )
    return " ".join(done.stdout.split())


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def run(tree: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The packaged program, from where it was unpacked."""
    return subprocess.run(
        [tree / HOME / "shipped/bin/python", "-I", "-m", "agent", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
        env={**os.environ, **environment},
    )


def test_it_says_what_it_is_and_what_it_needs(package: Path) -> None:
    assert field(package, "Version") == __version__
    depends = field(package, "Depends")
    for wanted in ("libqmi-utils", "libqmi-proxy", "udev", "iproute2", "libsystemd0 (", "libc6 (", "debconf"):
        assert wanted in depends
    lowest, below = re.findall(r"python3 \((?:>=|<<) 3\.(\d+)~?\)", depends)
    assert int(below) == int(lowest) + 1
    assert field(package, "Recommends") == "3proxy (>= 0.9.9), postgresql"
    assert field(package, "Suggests") == "modemmanager, uhubctl"


def test_no_path_of_the_build_is_left_in_it(tree: Path) -> None:
    strange = re.compile(rb"/tmp/tmp\.\w|debian/lastmile/|/build-tools/|" + re.escape(str(ROOT).encode()))
    assert [path for path in files(tree / HOME) if strange.search(path.read_bytes())] == []
    assert not list((tree / HOME).rglob("direct_url.json"))
    first_lines = {path: path.read_bytes()[:2] for path in files(tree / HOME / "shipped")}
    assert [path for path, start in first_lines.items() if start == b"#!"] == []


def test_the_interpreter_is_the_systems_and_the_environment_runs_from_anywhere(tree: Path) -> None:
    python = tree / HOME / "shipped/bin/python3"
    assert re.fullmatch(r"/usr/bin/python3\.\d+", str(python.readlink()))
    done = run(tree, "version")
    assert done.stdout.startswith(f"lastmile {__version__} ")
    assert done.stderr == ""


def test_every_module_comes_compiled_and_nothing_of_another_python(tree: Path) -> None:
    site = next((tree / HOME / "shipped/lib").glob("python3.*")) / "site-packages"
    sources = {path for path in files(site) if path.suffix == ".py"}
    compiled = {path.parent.parent / f"{path.name.split('.')[0]}.py" for path in files(site) if path.suffix == ".pyc"}
    assert len(sources) > 1000
    assert {path for path in sources if path.name.split(".")[0] + ".py" == path.name} == compiled
    header = next(path for path in files(site / "agent") if path.suffix == ".pyc").read_bytes()[4:8]
    assert header == b"\x01\0\0\0", "byte code that is checked against its source's time is thrown away by copies"


def test_what_only_development_needs_is_not_in_it(tree: Path) -> None:
    site = next((tree / HOME / "shipped/lib").glob("python3.*")) / "site-packages"
    assert [
        name for name in ("pip", "setuptools", "wheel", "pytest", "h11", "siosocks") if (site / name).exists()
    ] == []
    assert not (site / "agent/sim").exists()
    assert (site / "agent/templates/3proxy/3proxy.cfg.j2").is_file()
    done = run(tree, "demo")
    assert done.returncode == 78
    assert "make demo" in done.stderr


def test_every_unit_rule_and_host_file_of_the_source_is_in_it(tree: Path) -> None:
    units = next(path for path in (tree / "lib/systemd/system", tree / "usr/lib/systemd/system") if path.is_dir())
    assert {path.name for path in units.iterdir() if path.is_file()} == {
        path.name for path in (ROOT / "systemd").iterdir() if path.is_file()
    }
    places = {"udev": "udev/rules.d"} | {
        f"systemd/{kind}": kind for kind in ("sysctl.d", "modules-load.d", "tmpfiles.d", "sysusers.d")
    }
    for source, place in places.items():
        wanted = {path.name for path in (ROOT / source).glob("*") if path.is_file()}
        found = {path.name for path in (tree / "usr/lib" / place).glob("*")}
        assert found == wanted, place


def test_an_upgrade_stops_nothing(tree: Path) -> None:
    scripts = {name: (tree / "DEBIAN" / name).read_text() for name in ("postinst", "prerm", "postrm")}
    preinst = tree / "DEBIAN/preinst"
    scripts["preinst"] = preinst.read_text() if preinst.exists() else ""
    assert "stop" not in scripts["preinst"]
    assert not re.search(r"systemctl[^\n]*3proxy|invoke[^\n]*3proxy", "".join(scripts.values()))
    before_remove = scripts["prerm"].split('if [ "$1" = remove ]')[0]
    assert "stop" not in before_remove.replace("stops nothing", "")
    for name, text in scripts.items():
        if text:
            subprocess.run(["sh", "-n", tree / "DEBIAN" / name], check=True, timeout=10)


def test_each_command_has_a_man_page(tree: Path) -> None:
    pages = tree / "usr/share/man/man8"
    assert {path.name for path in pages.iterdir()} == {
        "lastmile.8.gz",
        *(f"lastmile-{name}.8.gz" for name in COMMANDS),
    }
    modem = gzip.decompress((pages / "lastmile-modem.8.gz").read_bytes()).decode()
    assert ".SS logs" in modem
    assert str(tree) not in modem


def test_every_setting_is_described_and_the_settings_file_holds_the_defaults(tree: Path) -> None:
    page = gzip.decompress((tree / "usr/share/man/man5/lastmile.toml.5.gz").read_bytes()).decode()
    text = (tree / "etc/lastmile/lastmile.toml").read_text()
    for setting in all_settings().values():
        assert f".B {setting.key} = " in page.replace("\\-", "-").replace("\\(aq", "'")
        assert f"\n#{setting.key} =" in text
    assert list(read_toml(text, "lastmile.toml")) == []
    # With every line in force that has a value, the settings are the defaults.
    in_force = re.sub(r"^#(\[|\w+ = )", r"\1", text, flags=re.MULTILINE)
    entries = [each for each in read_toml(in_force, "lastmile.toml") if isinstance(each, Entry)]
    document: dict[str, dict[str, object]] = {}
    for entry in entries:
        if entry.setting.default is not None:
            document.setdefault(entry.setting.section, {})[entry.setting.key] = entry.value
    assert len(entries) == sum(each.default is not None for each in all_settings().values())
    assert Settings.model_validate(document) == Settings()


def test_settings_are_conffiles_and_not_for_everybody(tree: Path) -> None:
    assert "/etc/lastmile/lastmile.toml" in (tree / "DEBIAN/conffiles").read_text().split("\n")
    assert (tree / "etc/lastmile/lastmile.toml").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("shell", "path"),
    [
        ("bash", "bash-completion/completions/lastmile"),
        ("zsh", "zsh/vendor-completions/_lastmile"),
        ("fish", "fish/vendor_completions.d/lastmile.fish"),
    ],
)
def test_shells_complete_commands(tree: Path, shell: str, path: str) -> None:
    assert "_LASTMILE_COMPLETE" in (tree / "usr/share" / path).read_text()
    words = {"COMP_WORDS": "lastmile mo", "COMP_CWORD": "mo" if shell == "fish" else "1"}
    done = run(tree, _LASTMILE_COMPLETE=f"{shell}_complete", **words)
    assert "modem" in done.stdout
    assert "status" not in done.stdout


def test_bash_completes_by_the_installed_script(tree: Path, tmp_path: Path) -> None:
    launcher = tmp_path / "bin"
    launcher.mkdir()
    program = launcher / "lastmile"
    program.write_text(f'#!/bin/sh\nexec "{tree / HOME}/shipped/bin/python" -I -m agent "$@"\n')
    program.chmod(0o755)
    script = (
        f"source {tree}/usr/share/bash-completion/completions/lastmile; COMP_WORDS=(lastmile sta); COMP_CWORD=1; "
        '_lastmile_completion lastmile; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": f"{launcher}:{os.environ['PATH']}"},
    )
    assert done.stdout.split() == ["status"]


def test_bundled_packages_are_named_with_their_licences(tree: Path) -> None:
    listed = (tree / "usr/share/doc/lastmile/bundled").read_text()
    locked = re.findall(
        r"^([a-z0-9-]+)==\S+ (?!; sys_platform)", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    )
    for name in locked:
        assert re.search(rf"^{name.replace('-', '[-_]')} \S+: \S", listed, re.MULTILINE | re.IGNORECASE), name


def test_lintian_finds_no_error(package: Path) -> None:
    if shutil.which("lintian") is None:
        missing_service("lintian missing: `make deb` installs it")
    (changes,) = package.parent.glob("*.changes")
    words: list[str | Path] = ["lintian", "--allow-root", "--fail-on", "error,warning", changes]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
