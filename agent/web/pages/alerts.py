"""Alerts: what is wrong, who looks after it, the rules, and who is told."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlencode

from flask import Blueprint, g, render_template, request

from agent.alert.model import AlertState, RuleKind, Severity
from agent.alert.parameters import PARAMETERS
from agent.store.alert_rows import RuleRow
from agent.store.alerts import AlertFilter
from agent.store.rows import Role
from agent.web.errors import ApiError
from agent.web.pages import alert_formats
from agent.web.pages.context import services
from agent.web.pages.guard import page

blueprint = Blueprint("alerts", __name__)
ROWS = 100
STATES = {"open": (AlertState.OPEN,), "pending": (AlertState.PENDING,), "closed": (AlertState.CLOSED,), "all": None}
"""What the address may ask for."""


@blueprint.get("/alerts")
@page(Role.VIEWER)
def show_list() -> str:
    """What is wrong."""
    return render_template(
        "alerts.html", **_alerts(), silences=services().monitoring.alerts.list_silences(), all_seen=_sees_all()
    )


@blueprint.get("/alerts/_list")
@page(Role.VIEWER)
def show_list_part() -> str:
    """What changes of it."""
    return render_template("parts/alerts.html", **_alerts())


@blueprint.get("/alerts/_silences")
@page(Role.VIEWER)
def show_silences_part() -> str:
    """What nobody is told of."""
    return render_template("parts/alert_silences.html", silences=services().monitoring.alerts.list_silences())


@blueprint.get("/alerts/rules")
@page(Role.VIEWER)
def show_rules() -> str:
    """Rules, and who is told."""
    _refuse_a_part()
    found = services().monitoring
    targets = found.targets.list()
    return render_template(
        "alert_rules.html",
        rules=found.rules.list(),
        targets=targets,
        names={target.id: target.name for target in targets},
        severities=tuple(Severity),
        formats=alert_formats,
    )


@blueprint.get("/alerts/rules/new")
@page(Role.ADMIN)
def show_new_rule() -> str:
    """A form for a new rule of the kind that the address names; else the kinds."""
    text = request.args.get("kind", "")
    if text not in set(RuleKind):
        return render_template("alert_rule_kinds.html", kinds=alert_formats.kinds())
    return _form(RuleKind(text), None)


@blueprint.get("/alerts/rules/<int:rule_id>")
@page(Role.ADMIN)
def show_rule(rule_id: int) -> str:
    """A form for a rule."""
    rule = services().monitoring.rules.fetch(rule_id)
    if rule is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "rule_not_found", "there is no rule of this id")
    return _form(rule.kind, rule)


def _form(kind: RuleKind, rule: RuleRow | None) -> str:
    return render_template(
        "alert_rule.html",
        kind=kind,
        title=alert_formats.KINDS[kind],
        rule=rule,
        parameters=PARAMETERS[kind],
        of_hosts=kind in alert_formats.OF_HOSTS,
        of_tags=kind in alert_formats.OF_TAGS,
        targets=services().monitoring.targets.list(),
        severities=tuple(Severity),
    )


def _alerts() -> dict[str, object]:
    state = request.args.get("state", "open")
    state = state if state in STATES else "open"
    severity = request.args.get("severity", "")
    severities = (Severity(severity),) if severity in set(Severity) else None
    before = request.args.get("before", "")
    before_id = int(before) if before.isascii() and before.isdigit() and 0 < len(before) < 19 else None
    book = services().monitoring.alerts
    found = book.fetch_page(
        AlertFilter(states=STATES[state], severities=severities), before_id=before_id, limit=ROWS + 1
    )
    shown = found[:ROWS]
    given = {"state": state, **({"severity": severity} if severities else {})}
    return {
        "alerts": shown,
        "counts": {count.severity.value: count for count in book.count_open()},
        "state": state,
        "states": tuple(STATES),
        "severity": severity if severities else "",
        "severities": tuple(reversed(Severity)),
        "query": urlencode({**given, **({"before": before} if before_id else {})}),
        "first_url": f"?{urlencode(given)}" if before_id else None,
        "next_url": f"?{urlencode({**given, 'before': shown[-1].id})}" if len(found) > ROWS else None,
        "subject_path": alert_formats.subject_path,
    }


def _sees_all() -> bool:
    return bool(g.principal.scope.is_everything)


def _refuse_a_part() -> None:
    if not _sees_all():
        message = "rules are for the whole fleet, and you see a part of it"
        raise ApiError(HTTPStatus.FORBIDDEN, "forbidden", message)
