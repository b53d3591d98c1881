"""The programs that lastmile runs: 3proxy, qmicli, qmi-proxy."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.doctor.findings import Finding, Findings, failure, hint, ok, warning

Version = tuple[int, ...]
THREEPROXY_LEAST: Version = (0, 9, 9)
"""Earlier ones have a use-after-free, believe unvalidated DNS answers, and leak sockets."""
QMICLI_LEAST: Version = (1, 32)
"""Debian 12's; earlier ones were never tried."""
STAND_IN = "agent.sim.threeproxy"
INSTALL_THREEPROXY = (
    "install 3proxy 0.9.9 or later from its authors' package (Debian has none), then: systemctl disable --now 3proxy"
)
_NUMBERS = r"(?<![\d.])(\d{1,3}(?:\.\d{1,4}){1,2})(?![\d.])"
_NAMED = re.compile(rf"3proxy[^\n]{{0,60}}?{_NUMBERS}", re.IGNORECASE)
_ANY = re.compile(_NUMBERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program as it was found."""

    name: str = "3proxy"
    """What it is called by."""
    path: str | None
    """None: it is not where it would be run from."""
    elsewhere: str | None = None
    """Found, but where it would not be run from."""
    told: str = ""
    """What it says of itself."""
    stand_in: bool = False
    """An emulation in the program's place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFacts:
    """The programs of this host, and the service that 3proxy's own package brings."""

    threeproxy: Program
    qmicli: Program
    qmi_proxy: str | None
    distribution_service: str | None
    """ActiveState/UnitFileState of 3proxy.service when it would run a proxy of its own."""


def parse_version(told: str) -> Version | None:
    """The version in what a program says of itself; None when it says none."""
    found = _NAMED.search(told) or _ANY.search(told)
    return tuple(int(part) for part in found[1].split(".")) if found is not None else None


def render_version(version: Version) -> str:
    return ".".join(str(part) for part in version)


def proxy_notice(program: Program) -> str | None:
    """What people must be told when proxies cannot start with this program; None when they can."""
    if program.path is None:
        where = f" where its unit looks (but at {program.elsewhere})" if program.elsewhere else ""
        problem = f"{program.name} is not installed{where}"
    elif program.stand_in:
        return None
    else:
        version = parse_version(program.told)
        if version is None or version >= THREEPROXY_LEAST:
            return None
        problem = f"3proxy {render_version(version)} is too old"
    return f"{problem}: modems are brought up, but no proxy can start; {INSTALL_THREEPROXY}"


def judge_tools(facts: ToolFacts) -> Findings:
    """tools.3proxy, tools.3proxy_service, tools.qmicli, tools.qmi_proxy"""
    return (_threeproxy(facts.threeproxy), _service(facts), _qmicli(facts.qmicli), _qmi_proxy(facts))


def _threeproxy(program: Program) -> Finding:
    name = "tools.3proxy"
    if program.stand_in and program.path is not None:
        return hint(
            name, f"{STAND_IN} stands in for 3proxy: for demos and tests", "in production: " + INSTALL_THREEPROXY
        )
    if program.path is None and program.elsewhere is not None:
        return failure(
            name,
            f"3proxy is at {program.elsewhere}, where its unit does not look",
            f"ln -s {program.elsewhere} /usr/local/bin/3proxy",
        )
    if program.path is None:
        return failure(name, f"{program.name} is not installed: no proxy can start", INSTALL_THREEPROXY)
    version = parse_version(program.told)
    if version is None:
        least = render_version(THREEPROXY_LEAST)
        return hint(name, f"{program.path} does not tell its version; {least} is the least", f"{program.path} --help")
    text = f"3proxy {render_version(version)} at {program.path}"
    if version < THREEPROXY_LEAST:
        return failure(name, f"{text} is too old: it has known holes", INSTALL_THREEPROXY)
    return ok(name, text)


def _service(facts: ToolFacts) -> Finding:
    name = "tools.3proxy_service"
    if facts.distribution_service is None:
        return ok(name, "3proxy's own service is out of the way")
    return warning(
        name,
        f"3proxy's own service is {facts.distribution_service}: a proxy that leaves by the host's uplink",
        "systemctl disable --now 3proxy",
    )


def _qmicli(program: Program) -> Finding:
    if program.path is None:
        return failure("tools.qmicli", "qmicli is not installed: no modem can connect", "apt install libqmi-utils")
    version = parse_version(program.told)
    if version is None:
        return hint("tools.qmicli", f"{program.path} does not tell its version", f"{program.path} --version")
    text = f"qmicli {render_version(version)} at {program.path}"
    if version < QMICLI_LEAST:
        return warning("tools.qmicli", f"{text} was never tried", "upgrade libqmi-utils to 1.32 or later (Debian 12)")
    return ok("tools.qmicli", text)


def _qmi_proxy(facts: ToolFacts) -> Finding:
    if facts.qmi_proxy is None:
        return failure(
            "tools.qmi_proxy", "qmi-proxy is not installed: QMI ports cannot be shared", "apt install libqmi-proxy"
        )
    return ok("tools.qmi_proxy", f"qmi-proxy at {facts.qmi_proxy}")
