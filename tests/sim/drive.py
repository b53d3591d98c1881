"""Running things in an emulated farm, for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from shutil import which

import pytest

from agent.sim.farm import Farm, FarmClient

_AT_SCRIPT = """
import json, serial, sys, time
node, seconds, *lines = sys.argv[1:]
heard = []
with serial.Serial(node, 115200, timeout=0.05, exclusive=True) as port:
    for line in lines:
        port.write(line.encode() + b"\\r")
        said, until = b"", time.monotonic() + float(seconds)
        while time.monotonic() < until and not any(end in said for end in (b"\\nOK\\r", b"ERROR")):
            said += port.read(4096)
        heard.append((said + port.read(4096)).decode("latin-1"))
print(json.dumps(heard))
"""


def require(*programs: str) -> None:
    """Skip (in CI: fail) without root or without these programs."""
    missing = [program for program in programs if which(program) is None]
    if os.geteuid() != 0:
        missing.append("root")
    if missing:
        message = f"needs {', '.join(missing)}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


def farm_name(letter: str) -> str:
    """A name that no other run on this machine has."""
    return f"{letter}{os.getpid()}"


def run(farm: FarmClient, *arguments: str, seconds: float = 20) -> subprocess.CompletedProcess[str]:
    """Run a program in the farm and return how it ended."""
    return subprocess.run(farm.command(arguments), capture_output=True, text=True, timeout=seconds, check=False)


def output(farm: FarmClient, *arguments: str, seconds: float = 20) -> str:
    """Run a program in the farm that must succeed; what it printed."""
    done = run(farm, *arguments, seconds=seconds)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def qmicli(farm: FarmClient, node: str | None, *arguments: str, proxy: bool = True) -> str:
    """What the real qmicli says; its error text when it fails."""
    assert node is not None
    done = run(farm, "qmicli", *(["-p"] if proxy else []), "-d", node, *arguments)
    return done.stdout if done.returncode == 0 else done.stderr


def at(farm: FarmClient, node: str | None, *lines: str, seconds: float = 2) -> list[str]:
    """Each command line's answer, by pyserial; empty when there was none in time."""
    assert node is not None
    text = output(farm, sys.executable, "-c", _AT_SCRIPT, node, str(seconds), *lines)
    answers: list[str] = json.loads(text)
    return answers


def until(met: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for a condition; fail when it does not come."""
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.02)


def end_checked(farm: Farm) -> None:
    """Close a farm; what went wrong in the emulator fails the test."""
    try:
        assert farm.failures() == ()
    finally:
        farm.close()


def connect(farm: FarmClient, number: int) -> str:
    """Start a bearer as an agent does, and configure the modem's link; returns the address."""
    modem = farm.modem(number)
    assert modem.link_name is not None
    said = qmicli(farm, modem.qmi_node, "--wds-start-network=apn=internet", "--client-no-release-cid")
    assert "Network started" in said, said
    (address,) = farm.modem(number).addresses
    link = modem.link_name
    output(farm, "ip", "link", "set", link, "up")
    output(farm, "ip", "addr", "replace", f"{address}/32", "dev", link)
    output(farm, "ip", "route", "replace", "198.51.100.0/24", "dev", link, "src", address)
    output(farm, "ip", "route", "replace", "10.112.0.0/16", "dev", link, "src", address)
    return address
