"""systemd's units of lastmile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.doctor.findings import Finding, Findings, failure, hint, listed, ok, unknown, warning

TARGET = "lastmile.target"
AGENT = "lastmile-agent.service"
WEB = "lastmile-web.service"
MIGRATE = "lastmile-migrate.service"
SERVICES = (AGENT, WEB)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit as `systemctl show` has it."""

    name: str
    load: str
    active: str
    enabled: str
    result: str
    restarts: int
    needs_reload: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFacts:
    """`units` None: systemd does not run this machine, or does not answer (`error`)."""

    units: tuple[Unit, ...] | None
    error: str
    needs_systemd: bool
    """Whether the proxies are systemd's units."""


def parse_units(told: str) -> tuple[Unit, ...]:
    """Units from `systemctl show`: blocks of `Name=value` lines, separated by empty ones."""
    found = []
    for block in told.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in values:
            restarts = values.get("NRestarts", "")
            found.append(
                Unit(
                    name=values["Id"],
                    load=values.get("LoadState", ""),
                    active=values.get("ActiveState", ""),
                    enabled=values.get("UnitFileState", ""),
                    result=values.get("Result", ""),
                    restarts=int(restarts) if restarts.isdigit() else 0,
                    needs_reload=values.get("NeedDaemonReload") == "yes",
                )
            )
    return tuple(found)


def judge_units(facts: UnitFacts) -> Findings:
    """units.systemd, units.target, units.services, units.failed, units.reload"""
    if facts.units is None:
        if not facts.needs_systemd:
            return (ok("units.systemd", 'systemd is not used: proxy.runner is "process"'),)
        return (
            unknown(
                "units.systemd", f"systemd does not answer: {facts.error}", 'proxy.runner = "process" does without it'
            ),
        )
    ours = {unit.name: unit for unit in facts.units}
    if all(ours[name].load in ("not-found", "") for name in (TARGET, AGENT) if name in ours):
        mend = "apt install lastmile (from source: cp systemd/* /etc/systemd/system/ && systemctl daemon-reload)"
        report = failure if facts.needs_systemd else _harmless
        return (report("units.installed", "lastmile's units are not installed", mend),)
    return (*_target(ours), *_services(ours), *_failed(facts.units), *_reload(facts.units))


def _harmless(name: str, text: str, mend: str) -> Finding:
    return hint(name, text, mend)


def _target(ours: dict[str, Unit]) -> Iterator[Finding]:
    target = ours.get(TARGET)
    if target is None or target.enabled not in ("enabled", "enabled-runtime"):
        yield warning(
            "units.target", f"{TARGET} is not enabled: nothing starts after a reboot", f"systemctl enable {TARGET}"
        )
    else:
        yield ok("units.target", f"{TARGET} is enabled")


def _services(ours: dict[str, Unit]) -> Iterator[Finding]:
    masked = [name for name in (TARGET, AGENT, WEB, MIGRATE) if name in ours and ours[name].load == "masked"]
    if masked:
        yield failure(
            "units.masked", f"masked, so never started: {listed(masked)}", f"systemctl unmask {' '.join(masked)}"
        )
    stopped = [name for name in SERVICES if name not in ours or ours[name].active not in ("active", "reloading")]
    stopped = [name for name in stopped if name not in masked]
    if stopped:
        yield failure(
            "units.services",
            f"not running: {listed(f'{name} ({ours[name].active})' if name in ours else name for name in stopped)}",
            f"systemctl start {TARGET}; then: systemctl status {stopped[0]}",
        )
    elif not masked:
        yield ok("units.services", "agent and web run")
    for name in SERVICES:
        if name in ours and ours[name].restarts > 0:
            yield hint(
                "units.restarts",
                f"{name} was restarted {ours[name].restarts} times by systemd since it was started",
                f"journalctl -u {name} -p warning",
            )


def _failed(units: tuple[Unit, ...]) -> Iterator[Finding]:
    failed = [unit for unit in units if unit.active == "failed"]
    if failed:
        names = listed(f"{unit.name} ({unit.result})" for unit in failed)
        first = failed[0].name
        yield failure("units.failed", f"failed: {names}", f"journalctl -u {first}; then: systemctl restart {first}")
    else:
        yield ok("units.failed", "no unit of lastmile has failed")


def _reload(units: tuple[Unit, ...]) -> Iterator[Finding]:
    changed = [unit.name for unit in units if unit.needs_reload]
    if changed:
        yield warning(
            "units.reload",
            f"{listed(changed)} changed on disk, and systemd has not read that",
            "systemctl daemon-reload",
        )
