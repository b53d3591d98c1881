"""The programs that lastmile runs, found where they would be run from."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from agent.core.settings.schema import ProxySettings
from agent.doctor.tools import STAND_IN, Program, ToolFacts

THREEPROXY = "3proxy"
SYSTEMD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where systemd looks for the program of a unit that names it without a path."""
OTHER_PLACES = "/opt/3proxy/bin:/opt/3proxy:/usr/local/3proxy/bin:/usr/local/3proxy"
QMI_PROXIES = ("/usr/libexec/qmi-proxy", "/usr/lib/libqmi/qmi-proxy", "/usr/local/libexec/qmi-proxy")
TELL_SECONDS = 1.0
PROGRAM_BYTES = 4 << 20
_VERSION_WITHIN = re.compile(rb"3proxy-\d{1,3}(?:\.\d{1,4}){1,2}")


def find_threeproxy(proxy: ProxySettings) -> Program:
    """3proxy where `proxy.runner` would start it from; it is not asked for anything."""
    if proxy.runner == "systemd":
        path = shutil.which(THREEPROXY, path=SYSTEMD_PATH)
        places = f"{os.environ.get('PATH', '')}:{OTHER_PLACES}"
        return Program(path=path, elsewhere=shutil.which(THREEPROXY, path=places) if path is None else None)
    try:
        words = shlex.split(proxy.command) or [""]
    except ValueError:  # a quotation mark without its other half: nothing can be started
        words = [proxy.command]
    return Program(name=words[0], path=shutil.which(words[0]), stand_in=STAND_IN in words)


def ask_threeproxy(program: Program) -> Program:
    """The same with what it says of itself, which may take a second. A program that is no 3proxy by its name (a
    wrapper) is not asked."""
    if program.path is None or program.stand_in or THREEPROXY not in Path(program.path).name:
        return program
    # Old ones take --help for a configuration file and wait for one on stdin: the time is their end.
    told = _output([program.path, "--help"])
    return replace(program, told=told if re.search(r"\d\.\d", told) else _version_within(Path(program.path)))


def fetch_tools(proxy: ProxySettings, distribution_service: str | None) -> ToolFacts:
    """All programs. Nothing is started but for its help or version."""
    qmicli = shutil.which("qmicli")
    return ToolFacts(
        threeproxy=ask_threeproxy(find_threeproxy(proxy)),
        qmicli=Program(name="qmicli", path=qmicli, told=_output([qmicli, "--version"]) if qmicli is not None else ""),
        qmi_proxy=next((path for path in QMI_PROXIES if os.access(path, os.X_OK)), shutil.which("qmi-proxy")),
        distribution_service=distribution_service,
    )


def _version_within(path: Path) -> str:
    """The version as it is written in the program itself."""
    try:
        with path.open("rb") as file:
            found = _VERSION_WITHIN.search(file.read(PROGRAM_BYTES))
    except OSError:
        return ""
    return found[0].decode("ascii") if found is not None else ""


def _output(command: list[str]) -> str:
    """What a program prints, on either stream; empty when it does not end in time."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TELL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout[:10_000].decode("utf-8", "replace")
