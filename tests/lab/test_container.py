"""The lab's container: the same system as the VM's, on this machine's kernel."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.lab.conftest import MakeContainer
from tests.lab.container import LabContainer
from tests.lab.image import Image
from tests.lab.test_lab_itself import GREETER, WAIT_FOR_GREETER

pytestmark = [pytest.mark.systemd, pytest.mark.root]


def test_it_boots_and_runs_postgresql(container: LabContainer) -> None:
    assert container.run("systemctl is-system-running").out == "running\n"
    assert container.run("runuser -u postgres -- psql -XAtc 'SELECT 1'").out == "1\n"
    assert container.run("hostname").out == "lab\n"


def test_files_and_packages_stay_in_it(make_container: MakeContainer) -> None:
    first = make_container()
    first.put("/etc/mine", b"first", 0o600)
    assert first.get("/etc/mine") == b"first"
    assert first.run("dpkg --purge strace").rc == 0
    second = make_container()
    assert second.run("cat /etc/mine").rc == 1
    assert second.run("strace --version").rc == 0


def test_a_client_reaches_it(container: LabContainer) -> None:
    container.put("/srv/greeter", GREETER)
    container.run("systemd-run --quiet python3 /srv/greeter")
    assert container.run(WAIT_FOR_GREETER).rc == 0

    def greet() -> bytes:
        with socket.create_connection(("10.213.0.2", 5000), 10) as client:
            return client.recv(10)

    assert container.as_client(greet) == b"hello"


def test_nothing_is_left_of_a_closed_container(lab_image: Image) -> None:
    with LabContainer.boot(lab_image) as container:
        container.wait_booted()
        pid, name, groups = container.pid, container.name, container.groups
        assert Path(f"/proc/{pid}").exists()
        assert all(group.exists() for group in groups)
    assert not Path(f"/proc/{pid}").exists()
    assert not any(group.exists() for group in groups)
    assert name not in Path("/proc/self/mountinfo").read_text()
