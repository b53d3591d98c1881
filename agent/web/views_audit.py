"""What was changed, by whom: searched, and exported."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from flask import Response

from agent.store.audit import Outcome
from agent.store.rows import AuditRow
from agent.web.csv_rows import render_row
from agent.web.endpoint import Call, NoBody
from agent.web.schemas_access import AuditEntry, AuditExportQuery, AuditPage, AuditPageQuery

COLUMNS = tuple(AuditEntry.model_fields)


def list_entries(call: Call[AuditPageQuery, NoBody]) -> AuditPage:
    """Some rows of the audit log."""
    query = call.query
    found = call.trail.fetch(query.before_id, query.limit + 1, query.wanted)
    entries = tuple(AuditEntry.model_validate(row) for row in found[: query.limit])
    return AuditPage(entries=entries, next_before_id=entries[-1].id if len(found) > query.limit else None)


def export_entries(call: Call[AuditExportQuery, NoBody]) -> Response:
    """Every row that matches, as a file, while it is read."""
    query = call.query
    asked = query.model_dump(mode="json", exclude_none=True)
    call.trail.write(call.caller, "audit.export", "", asked, outcome=Outcome.DONE)
    rows = call.trail.export(query.wanted)
    if query.format == "csv":
        response = Response(_as_csv(rows), mimetype="text/csv")
    else:
        response = Response(_as_lines(rows), mimetype="application/jsonl")
    response.headers["Content-Disposition"] = f'attachment; filename="lastmile-audit.{query.format}"'
    return response


def _as_csv(rows: Iterable[AuditRow]) -> Iterator[str]:
    yield render_row(COLUMNS)
    for row in rows:
        shown = _show(row)
        yield render_row(_cell(shown[name]) for name in COLUMNS)


def _as_lines(rows: Iterable[AuditRow]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(_show(row), separators=(",", ":")) + "\n"


def _show(row: AuditRow) -> dict[str, Any]:
    return AuditEntry.model_validate(row).model_dump(mode="json")


def _cell(value: Any) -> object:
    if not isinstance(value, dict):
        return value
    return json.dumps(value, separators=(",", ":")) if value else ""
