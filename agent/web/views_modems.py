"""Modems: what they are, what was said to them, and what is asked of them."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from agent.core.errors import ProtocolError
from agent.core.identifiers import Serial
from agent.store.rows import ModemRow
from agent.web import commanding
from agent.web.endpoint import Body, Call, NoBody, Query
from agent.web.errors import ApiError
from agent.web.schemas import (
    CommandBody,
    CommandResult,
    LogEntry,
    LogPage,
    LogQuery,
    Modem,
    ModemPage,
    ModemQuery,
    RestartBody,
)


def list_modems(call: Call[ModemQuery, NoBody]) -> ModemPage:
    """Some modems."""
    return select_modems(call.services.fleet.fetch_modems(), call.query)


def show_modem(call: Call[Query, NoBody]) -> Modem:
    """One modem."""
    return Modem.model_validate(_find(call))


def list_logs(call: Call[LogQuery, NoBody]) -> LogPage:
    """Some log entries of one modem."""
    row = _find(call)
    query = call.query
    found = call.services.fleet.fetch_logs(row.serial, before_id=query.before_id, limit=query.limit + 1)
    logs = tuple(LogEntry.model_validate(each) for each in found[: query.limit])
    return LogPage(logs=logs, next_before_id=logs[-1].id if len(found) > query.limit else None)


def run_command(call: Call[Query, CommandBody]) -> CommandResult:
    """Have the modem's agent carry out what the body says."""
    kind, argument = call.body.request
    order = commanding.Order(kind=kind, argument=argument, timeout_seconds=call.body.timeout_seconds)
    return _command(call, order)


def restart_modem(call: Call[Query, RestartBody]) -> CommandResult:
    """Have the modem's agent restart the modem."""
    return _command(call, commanding.Order(kind="restart", argument={}, timeout_seconds=call.body.timeout_seconds))


def enable_modem(call: Call[Query, NoBody]) -> Modem:
    """Wish the modem to be up."""
    return _set_enabled(call, enabled=True)


def disable_modem(call: Call[Query, NoBody]) -> Modem:
    """Wish the modem to be down."""
    return _set_enabled(call, enabled=False)


def select_modems(rows: Iterable[ModemRow], query: ModemQuery) -> ModemPage:
    """The page of `rows` that `query` asks for, in the order of the serials."""
    matching = sorted(
        (row for row in rows if (not query.status or row.status in query.status) and query.host in (None, row.host)),
        key=lambda row: row.serial,
    )
    rest = [row for row in matching if query.after is None or row.serial > query.after]
    page = rest[: query.limit]
    return ModemPage(
        modems=tuple(Modem.model_validate(row) for row in page),
        total=len(matching),
        next_after=page[-1].serial if len(rest) > len(page) else None,
    )


def _command(call: Call[Query, Body], order: commanding.Order) -> CommandResult:
    principal = call.caller
    commanding.check(order, principal)
    serial = _find(call).serial
    try:
        result = commanding.carry_out(call.services, order, serial, principal)
    except ApiError as error:
        call.metrics.count_command(order.kind, error.code)
        raise
    call.metrics.count_command(order.kind, "done")
    return result


def _set_enabled(call: Call[Query, NoBody], *, enabled: bool) -> Modem:
    row = _find(call)
    # Written first: a change that nobody can account for is worse than an entry for one that failed.
    action = "modem.enable" if enabled else "modem.disable"
    call.trail.write(call.caller, action, row.serial, before={"enabled": row.enabled})
    changed = call.services.fleet.set_enabled(row.serial, enabled)
    if changed is None:
        raise _no_such_modem()
    call.trail.after({"enabled": changed.enabled})
    return Modem.model_validate(changed)


def _find(call: Call[Query, Body]) -> ModemRow:
    try:
        row = call.services.fleet.fetch_modem(Serial.parse(call.path["serial"]))
    except ProtocolError:
        row = None
    if row is None:
        raise _no_such_modem()
    return row


def _no_such_modem() -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, "modem_not_found", "there is no modem of this serial")
