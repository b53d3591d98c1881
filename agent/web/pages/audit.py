"""The audit log: who changed what, from where, and how it went."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, render_template, request

from agent.store.audit import AuditFilter, Outcome
from agent.store.rows import AuditRow, Role
from agent.web.pages.context import services
from agent.web.pages.guard import page

blueprint = Blueprint("audit", __name__)

ROWS = 50
ID_MOST = 2**63 - 1
FIELDS = ("text", "principal", "action", "target", "outcome", "since", "until")


@blueprint.get("/audit")
@page(Role.ADMIN)
def show() -> str:
    """The page."""
    given = {name: request.args.get(name, "").strip()[:200] for name in FIELDS}
    wanted, wrong = read_filter(given)
    before_id = read_id(request.args.get("before_id", ""))
    found = services().audit.fetch(before_id, ROWS + 1, wanted)
    rows = found[:ROWS]
    query = {name: text for name, text in given.items() if text and name not in wrong}
    export = {name: _instant(text) if name in ("since", "until") else text for name, text in query.items()}
    return render_template(
        "audit.html",
        rows=[(row, differences(row)) for row in rows],
        given=given,
        wrong=wrong,
        is_filtered=bool(query),
        outcomes=tuple(Outcome),
        export=urlencode(export),
        first_url=f"/audit?{urlencode(query)}" if before_id is not None else None,
        next_url=f"/audit?{urlencode({**query, 'before_id': rows[-1].id})}" if len(found) > ROWS else None,
    )


def read_filter(given: dict[str, str]) -> tuple[AuditFilter, frozenset[str]]:
    """What is asked for, and the fields that make no sense and are passed over."""
    times = {name: read_time(given[name]) for name in ("since", "until")}
    outcome = next((each for each in Outcome if each.value == given["outcome"]), None)
    wrong = {name for name, time in times.items() if given[name] and time is None}
    if given["outcome"] and outcome is None:
        wrong.add("outcome")
    wanted = AuditFilter(
        principal=given["principal"] or None,
        action=given["action"] or None,
        target=given["target"] or None,
        outcome=outcome,
        since=times["since"],
        until=times["until"],
        text=given["text"] or None,
    )
    return wanted, frozenset(wrong)


def read_time(text: str) -> datetime | None:
    """A date or a time in ISO 8601, UTC unless it says otherwise; None when it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def read_id(text: str) -> int | None:
    """The id of a row; None when it is none."""
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text[:20]) <= ID_MOST else None


def differences(row: AuditRow) -> list[tuple[str, Any, Any]]:
    """(name, before, after) of what has changed, where both are known."""
    before, after = row.before or {}, row.after or {}
    return [
        (name, before.get(name), after.get(name))
        for name in dict.fromkeys((*before, *after))
        if before and after and before.get(name) != after.get(name)
    ]


@blueprint.app_template_filter("json_text")
def json_text(value: object) -> str:
    """A document as people read it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _instant(text: str) -> str:
    found = read_time(text)
    return found.isoformat() if found is not None else ""
