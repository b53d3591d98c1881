"""The shipped units and what drives them, under a real systemd in a container that boots this machine's own system."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.host.proxy.conftest import PROGRAMS
from tests.systemd.container import Container, NoContainerError

pytestmark = pytest.mark.systemd
CHECKOUT = Path(__file__).resolve().parents[2]
UNITS = CHECKOUT / "systemd"
SERVICE = "lastmile-test.service"
STAND_IN = "/opt/stand-in"
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


def service_text() -> str:
    """A service that runs the tests in the agent's sandbox and then ends the container."""
    command = f"{sys.executable} -m pytest -q -p no:cacheprovider --junitxml=/results/junit.xml"
    return f"""[Unit]
After=basic.target dbus.service
Requires=dbus.service
[Service]
Type=oneshot
WorkingDirectory={CHECKOUT}
Environment=PYTHONDONTWRITEBYTECODE=1
ExecStart=/bin/sh -c '{command} tests/systemd/inside_units.py >/results/output 2>&1'
ExecStopPost=+/bin/systemctl --no-block poweroff
ReadWritePaths=/results
{agent_sandbox()}
"""


def container(program: str) -> Container:
    files = {f"/etc/systemd/system/{each.name}": (0o644, each.read_text()) for each in UNITS.iterdir()}
    files[f"/etc/systemd/system/{SERVICE}"] = (0o644, service_text())
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


def test_units_under_a_real_systemd(program: str, tmp_path: Path) -> None:
    if program == "stand-in" and not Path("/usr/bin/python3").exists():
        pytest.skip("needs /usr/bin/python3, since a modem's uid cannot reach a home folder")
    try:
        console = container(program).run(tmp_path, seconds=150)
    except NoContainerError as error:
        pytest.skip(f"no container: {error}")
    output = tmp_path / "output"
    if not output.exists():
        pytest.skip(f"the container did not boot: {console[-1000:]}")
    text = output.read_text(errors="replace")
    sys.stdout.write(text)
    assert re.search(r"^\d+ passed in", text, re.MULTILINE), text[-5000:]
