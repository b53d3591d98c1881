"""The shipped units and what drives them, under a real systemd in a container that boots this machine's own system."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.host.proxy.conftest import PROGRAMS
from tests.systemd import lastmile_standin
from tests.systemd.container import Container, NoContainerError
from tests.systemd.inside_system import REAL

pytestmark = pytest.mark.systemd
CHECKOUT = Path(__file__).resolve().parents[2]
UNITS = CHECKOUT / "systemd"
SERVICE = "lastmile-test.service"
STAND_IN = "/opt/stand-in"
JOURNAL = "journald@lastmile-proxies.conf.d"
SITE = Path(sysconfig.get_path("purelib"))
# What is replaced to run the tests instead of the agent. Home folders: where a developer's checkout often is.
_REPLACED = r"(Type|NotifyAccess|ExecStart|ExecReload|WatchdogSec|Restart\w*|Timeout\w*|ProtectHome|KillMode)="


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> str:
    if request.param == "3proxy" and shutil.which("3proxy") is None:
        pytest.skip("3proxy is not on PATH: only the stand-in is tested")
    return str(request.param)


def agent_sandbox() -> str:
    """The sandbox of lastmile-agent.service, line by line."""
    service = (UNITS / "lastmile-agent.service").read_text().partition("[Service]\n")[2].partition("\n[")[0]
    return "\n".join(line for line in service.splitlines() if not re.match(_REPLACED, line))


def service_text(tests: str, sandbox: str) -> str:
    """A service that runs the tests in a sandbox and then ends the container."""
    command = f"{sys.executable} -m pytest -q -p no:cacheprovider --junitxml=/results/junit.xml"
    return f"""[Unit]
After=basic.target dbus.service
Requires=dbus.service
[Service]
Type=oneshot
WorkingDirectory={CHECKOUT}
Environment=PYTHONDONTWRITEBYTECODE=1
ExecStart=/bin/sh -c '{command} tests/systemd/{tests} >/results/output 2>&1'
ExecStopPost=+/bin/systemctl --no-block poweroff
ReadWritePaths=/results
{sandbox}
"""


def container(program: str, service: str) -> Container:
    files = {
        f"/etc/systemd/system/{each.name}": (0o644, each.read_text()) for each in UNITS.iterdir() if each.is_file()
    }
    for kind in ("sysctl.d", "sysusers.d", "tmpfiles.d", f"systemd/{JOURNAL}"):
        for each in (UNITS / kind.removeprefix("systemd/")).iterdir():
            files[f"/usr/lib/{kind}/{each.name}"] = (0o644, each.read_text())
    files["/etc/lastmile/lastmile.toml"] = (0o644, "")
    files["/usr/bin/lastmile"] = (0o755, Path(lastmile_standin.__file__).read_text())
    files[REAL] = (0o755, f'#!/bin/sh\nPYTHONPATH={CHECKOUT}:{SITE} exec /usr/bin/python3 -B -m agent "$@"\n')
    files[f"/etc/systemd/system/{SERVICE}"] = (0o644, service)
    folders = {}
    if program == "stand-in":
        files["/usr/local/bin/3proxy"] = (
            0o755,
            f'#!/bin/sh\nPYTHONPATH={STAND_IN} exec /usr/bin/python3 -B -m agent.sim.threeproxy "$@"\n',
        )
        folders[f"{STAND_IN}/agent"] = CHECKOUT / "agent"
        for name in ("dns", "h11", "siosocks"):
            folders[f"{STAND_IN}/{name}"] = package_folder(name)
    else:
        binary = Path(shutil.which("3proxy") or "")
        files["/usr/local/bin/3proxy"] = (0o755, f'#!/bin/sh\nexec /usr/local/lib/3proxy/{binary.name} "$@"\n')
        folders["/usr/local/lib/3proxy"] = binary.parent
    return Container(service=SERVICE, files=files, folders=folders)


def package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def run_inside(made: Container, results: Path) -> None:
    """Boot it, and fail unless all tests in it have passed."""
    try:
        console = made.run(results, seconds=150)
    except NoContainerError as error:
        pytest.skip(f"no container: {error}")
    output = results / "output"
    if not output.exists():
        pytest.skip(f"the container did not boot: {console[-1000:]}")
    text = output.read_text(errors="replace")
    sys.stdout.write(text)
    assert re.search(r"^\d+ passed in", text, re.MULTILINE), text[-5000:]


def need_system_python(program: str) -> None:
    if program == "stand-in" and not Path("/usr/bin/python3").exists():
        pytest.skip("needs /usr/bin/python3, since a modem's uid cannot reach a home folder")


def test_proxies_as_units_from_within_the_agents_sandbox(program: str, tmp_path: Path) -> None:
    need_system_python(program)
    run_inside(container(program, service_text("inside_units.py", agent_sandbox())), tmp_path)


def test_the_units_together(tmp_path: Path) -> None:
    need_system_python("stand-in")
    run_inside(container("stand-in", service_text("inside_system.py", "")), tmp_path)
