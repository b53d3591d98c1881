"""Whether udev knows the modems as ours, and acts on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.doctor.findings import Finding, Findings, failure, listed, ok, warning
from agent.doctor.usb import TRIGGER

RELOAD = "udevadm control --reload && udevadm trigger"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFile:
    """A rules file of ours in one of udev's directories."""

    path: str
    masked: bool
    """Empty, or a link to /dev/null: it hides those of the same name."""
    text: str | None
    """None: it cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UdevModem:
    """What udev has noted about a modem."""

    slot: str
    known: bool
    """Whether udev has looked at it at all."""
    kept_from_modemmanager: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UdevFacts:
    """`rules` by file name: the files of that name, the one that counts first (udev(7), "RULES FILES")."""

    running: bool
    rules: tuple[tuple[RuleFile, ...], ...]
    modems: tuple[UdevModem, ...]


def judge_udev(facts: UdevFacts) -> Findings:
    """udev.running, udev.rules, udev.modems"""
    return (_running(facts), *_rules(facts.rules), *_modems(facts))


def _running(facts: UdevFacts) -> Finding:
    if facts.running:
        return ok("udev.running", "systemd-udevd runs")
    return failure(
        "udev.running",
        "udev does not run: modems are not noticed",
        "systemctl start systemd-udevd (not in a container)",
    )


def _rules(rules: tuple[tuple[RuleFile, ...], ...]) -> Iterator[Finding]:
    if not rules:
        yield failure(
            "udev.rules",
            "lastmile's udev rule is not installed: ModemManager will take the modems",
            f"apt install --reinstall lastmile (from source: cp udev/*.rules /etc/udev/rules.d/), then: {RELOAD}",
        )
        return
    fine = []
    for active, *hidden in rules:
        if active.masked:
            yield failure("udev.rules", f"{active.path} masks lastmile's udev rule", f"rm {active.path} && {RELOAD}")
        elif other := [each for each in hidden if each.text != active.text]:
            yield warning(
                "udev.rules",
                f"{active.path} hides {other[0].path}, and says something else",
                f"diff {active.path} {other[0].path}; to use the packaged one: rm {active.path} && {RELOAD}",
            )
        else:
            fine.append(active.path)
    if fine:
        yield ok("udev.rules", f"lastmile's udev rule is in force: {listed(fine)}")


def _modems(facts: UdevFacts) -> Iterator[Finding]:
    if not facts.modems:
        return
    missed = [modem.slot for modem in facts.modems if not modem.kept_from_modemmanager]
    if missed:
        yield failure(
            "udev.modems",
            f"the udev rule was not applied to the modems in {listed(missed)} (no ID_MM_DEVICE_IGNORE)",
            f"{TRIGGER}; for a vendor:product of modem.usb_ids that the rule does not name: a rule of your own",
        )
    else:
        yield ok("udev.modems", "every modem is marked as not ModemManager's")
