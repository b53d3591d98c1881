"""`lastmile demo` from outside: in a network and a /run of its own, so that it meets no other demo of this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.cli.playground import check_machine, wait_until
from agent.core.errors import ConfigError
from agent.sim.postgres import newest_binaries
from tests.postgres_fixture import missing_service

pytestmark = pytest.mark.farm

SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """Network and mount namespaces that end with the test."""

    holder: int
    directory: Path

    def command(self, *arguments: str) -> list[str]:
        target = (f"--target={self.holder}", "--net", "--mount", f"--root=/proc/{self.holder}/root")
        return ["nsenter", *target, "--", "env", "--chdir=/", *arguments]

    def demo(self, *arguments: str) -> list[str]:
        base = [sys.executable, "-m", "agent.cli.main", "demo", "--modems", "1", "--directory", str(self.directory)]
        return self.command(*base, *arguments)

    def names(self) -> list[str]:
        done = subprocess.run(self.command("ip", "netns", "list"), capture_output=True, text=True, check=True)
        return done.stdout.split()

    def links(self) -> list[str]:
        done = subprocess.run(self.command("ip", "-brief", "link"), capture_output=True, text=True, check=True)
        return [line.split()[0] for line in done.stdout.splitlines()]

    def mounted(self) -> bool:
        """Whether the folder of the namespaces' names is a mount: of another one than the folder it lies in."""
        script = (
            "import os\n"
            "def mount(path):\n"
            "    text = open(f'/proc/self/fdinfo/{os.open(path, os.O_PATH)}').read()\n"
            "    return text.partition('mnt_id:')[2].split()[0]\n"
            "print(mount('/run') != mount('/run/netns'))"
        )
        command = self.command(sys.executable, "-c", script)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True\n"

    def processes(self) -> list[str]:
        """Command lines of whatever runs on the demo's files."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if str(self.directory) in line:
                found.append(line)
        return found


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    try:
        check_machine()
        newest_binaries()
    except ConfigError as error:
        missing_service(str(error))
    if shutil.which("unshare") is None:
        missing_service("needs unshare")
    script = "mount -t tmpfs tmpfs /run && ip link set lo up && echo ready && exec sleep infinity"
    with ExitStack() as stack:
        holder = stack.enter_context(
            subprocess.Popen(
                ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script],
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(holder.kill)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        place = Elsewhere(holder=holder.pid, directory=tmp_path / "demo")
        stack.callback(subprocess.run, place.demo("--purge"), capture_output=True, timeout=SECONDS, check=False)
        yield place


def start(place: Elsewhere, log: Path) -> subprocess.Popen[bytes]:
    """A demo whose modem is online."""
    with log.open("wb") as output:
        process = subprocess.Popen(place.demo(), stdout=output, stderr=subprocess.STDOUT)
    wait_until(lambda: process.poll() is not None or "Try from" in log.read_text(), SECONDS, "a modem online")
    assert process.poll() is None, log.read_text()
    return process


def test_ctrl_c_leaves_nothing_and_a_second_demo_is_refused(elsewhere: Elsewhere, tmp_path: Path) -> None:
    demo = start(elsewhere, tmp_path / "log")
    second = subprocess.run(elsewhere.demo(), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert second.returncode == 69
    assert "runs on this machine already" in second.stderr
    assert elsewhere.names()
    assert "lm-demo" in " ".join(elsewhere.links())
    assert elsewhere.mounted()
    demo.send_signal(signal.SIGINT)
    assert demo.wait(SECONDS) == 0, (tmp_path / "log").read_text()
    assert (elsewhere.names(), elsewhere.links(), elsewhere.processes()) == ([], ["lo"], [])
    assert not elsewhere.mounted()


def test_what_a_killed_demo_leaves_is_removed(elsewhere: Elsewhere, tmp_path: Path) -> None:
    demo = start(elsewhere, tmp_path / "log")
    os.kill(demo.pid, signal.SIGKILL)
    demo.wait(SECONDS)
    # By itself everything ends but the database's server, which `--purge` and the next demo find.
    wait_until(lambda: not elsewhere.names(), SECONDS, "the farm ends")
    wait_until(lambda: all("postgres" in line for line in elsewhere.processes()), SECONDS, "the rest ends")
    purged = subprocess.run(elsewhere.demo("--purge"), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert purged.returncode == 0, purged.stderr
    assert (elsewhere.names(), elsewhere.links(), elsewhere.processes()) == ([], ["lo"], [])
