"""Alerts in words: kinds, limits, subjects, and the JSON that changes a rule. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from agent.alert.model import RuleKind, SubjectKind
from agent.alert.parameters import PARAMETERS
from agent.store.alert_rows import AlertRow, RuleRow, TargetKind, TargetRow
from agent.web.pages.formats import THIN_SPACE, duration
from agent.web.schemas_alerts import RuleBody

KINDS: Mapping[RuleKind, str] = {
    RuleKind.MODEM_OFFLINE: "A modem that is wanted up has no connection",
    RuleKind.MODEM_QUARANTINED: "A modem is quarantined",
    RuleKind.MODEM_OUT_OF_CREDIT: "A carrier lets nothing through although the signal is good",
    RuleKind.SIGNAL_BELOW: "A signal is below a limit",
    RuleKind.ADDRESS_UNCHANGED: "A modem has the same address after it was reconnected",
    RuleKind.HOST_SILENT: "A host's agent is silent",
    RuleKind.ENDPOINT_BUDGET: "More modems on a USB controller than it has endpoints for",
    RuleKind.DEVICE_NOT_SEEN: "A device does not inform",
    RuleKind.FAULT_RATE: "Many new faults of devices",
    RuleKind.QUEUE_DEPTH: "Many tasks wait for their devices",
    RuleKind.DATABASE: "The database is away, or in trouble",
}
OF_HOSTS = frozenset(
    {
        RuleKind.MODEM_OFFLINE,
        RuleKind.MODEM_QUARANTINED,
        RuleKind.MODEM_OUT_OF_CREDIT,
        RuleKind.SIGNAL_BELOW,
        RuleKind.ADDRESS_UNCHANGED,
        RuleKind.HOST_SILENT,
        RuleKind.ENDPOINT_BUDGET,
    }
)
"""Kinds that may be for some hosts only."""
OF_TAGS = frozenset({RuleKind.DEVICE_NOT_SEEN, RuleKind.FAULT_RATE, RuleKind.QUEUE_DEPTH})
"""Kinds that may be for devices with some tags only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of rules, as forms need it."""

    name: str
    title: str


def kinds() -> tuple[Kind, ...]:
    """Every kind, in the order of the documentation."""
    return tuple(Kind(name=kind.value, title=title) for kind, title in KINDS.items())


def subject_path(alert: AlertRow) -> str:
    """Where there is more about what an alert is about; empty when nowhere."""
    match alert.subject_kind:
        case SubjectKind.MODEM:
            return f"/modems/{quote(alert.subject, safe='')}"
        case SubjectKind.DEVICE:
            return f"/devices/{quote(alert.subject, safe='')}"
        case _:
            return ""


def limits(rule: RuleRow) -> str:
    """The limits of a rule, as people write them."""
    given = [(parameter, rule.parameters.get(parameter.name)) for parameter in PARAMETERS[rule.kind]]
    shown = [f"{parameter.title} {_shown(value, parameter.unit)}" for parameter, value in given if value is not None]
    # One sentence: only names keep their capitals after the first word.
    return ", ".join(
        text if not place or text[:2].isupper() else text[0].lower() + text[1:] for place, text in enumerate(shown)
    )


def _shown(value: float, unit: str) -> str:
    if unit == "s" and not value % 60:
        return duration(value)
    number = f"{value:g}".replace("-", "\N{MINUS SIGN}")
    return f"{number}{THIN_SPACE}{unit}" if unit else number


def waits(rule: RuleRow) -> str:
    """When its alerts open, and how often people are reminded."""
    begin = f"after {duration(rule.duration_seconds)}" if rule.duration_seconds else "at once"
    return f"{begin}, again every {duration(rule.repeat_seconds)}" if rule.repeat_seconds else begin


def switched(rule: RuleRow) -> str:
    """The JSON that switches a rule on or off, and leaves the rest."""
    body = RuleBody(
        name=rule.name,
        kind=rule.kind,
        severity=rule.severity,
        parameters=dict(rule.parameters),
        duration_seconds=rule.duration_seconds,
        clear_seconds=rule.clear_seconds,
        repeat_seconds=rule.repeat_seconds,
        enabled=not rule.enabled,
        hosts=None if rule.hosts is None else tuple(rule.hosts),
        tags=None if rule.tags is None else tuple(rule.tags),
        targets=None if rule.targets is None else tuple(rule.targets),
    )
    return body.model_dump_json()


def target_switched(target: TargetRow) -> str:
    """The JSON that switches a target on or off, and leaves the rest."""
    body = {
        "name": target.name,
        target.kind.value: dict(target.settings),
        "least_severity": target.least_severity.value,
        "enabled": not target.enabled,
    }
    return json.dumps(body)


def place(target: TargetRow) -> str:
    """Where its messages go; of a webhook the host only, since the rest is often a secret."""
    settings = target.settings
    match target.kind:
        case TargetKind.WEBHOOK:
            parts = urlsplit(str(settings.get("url", "")))
            return f"{parts.scheme}://{parts.netloc}"
        case TargetKind.EMAIL:
            return ", ".join(str(address) for address in settings.get("to", ()))
        case TargetKind.SYSLOG if settings.get("transport") == "local":
            return "this machine"
        case TargetKind.SYSLOG:
            return f"{settings.get('transport')} {settings.get('host')}:{settings.get('tcp_port')}"
