"""The parameters of a device: searched and paged by the server, edited in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import Blueprint, render_template, request

from agent.acs.paths import PATH_MOST
from agent.acs.tasks import TaskStatus
from agent.store.device_rows import ParameterRow
from agent.store.rows import Role
from agent.web.cursors import parse_cursor, render_cursor
from agent.web.finding import no_such_device
from agent.web.pages.context import services
from agent.web.pages.device import about, find
from agent.web.pages.guard import page, signed_in
from agent.web.secrecy import HIDDEN, is_secret
from agent.web.services import DeviceServices
from agent.web.views_devices import matching_text

blueprint = Blueprint("device_parameters", __name__)
ROWS = 200
TASKS = 100
_UNDER_WAY = (TaskStatus.PENDING, TaskStatus.SENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of a value that somebody has set."""

    task: int
    status: TaskStatus
    value: str
    """What it is to be; hidden for a secret."""
    fault: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A parameter as it is shown."""

    row: ParameterRow
    above: str
    """The path up to its last word."""
    name: str
    value: str
    secret: bool
    hidden: bool
    """Whether the value is kept from the viewer."""
    change: Change | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterLines:
    """A page of parameters."""

    lines: Sequence[Line]
    total: int
    q: str
    prefix: str
    writable: bool
    crumbs: Sequence[tuple[str, str]]
    """The objects above, with the addresses of what is below them."""
    query: str
    """As behind the `?`, of this very page."""
    next_url: str | None
    first_url: str | None


@blueprint.get("/devices/<device_id>/parameters")
@page(Role.VIEWER)
def show(device_id: str) -> str:
    """The page."""
    return render_template("device_parameters.html", **about(device_id, "parameters"), found=_look(device_id))


@blueprint.get("/devices/<device_id>/parameters/_list")
@page(Role.VIEWER)
def show_part(device_id: str) -> str:
    """What changes of it."""
    return render_template("parts/device_parameters.html", device=find(device_id), found=_look(device_id))


def _look(device_id: str) -> ParameterLines:
    acs, caller = services().acs, signed_in()
    q, prefix = request.args.get("q", "").strip()[:256], request.args.get("prefix", "").strip()[:PATH_MOST]
    writable, cursor = request.args.get("writable") == "1", request.args.get("cursor")
    (after,) = parse_cursor(cursor, 1) if cursor else (None,)
    open_to_all = caller.role.allows(Role.OPERATOR)
    found = acs.parameters.fetch_page(
        device_id,
        prefix=prefix,
        after=after,
        limit=ROWS,
        matching=matching_text(q, open_to_all) if q else None,
        writable=True if writable else None,
    )
    if found is None:
        raise no_such_device()
    changes = _changes(acs, device_id)
    given = {"q": q, "prefix": prefix, "writable": "1" if writable else ""}

    def address(**other: str) -> str:
        asked = {name: value for name, value in {**given, **other}.items() if value}
        return f"?{urlencode(asked)}"

    return ParameterLines(
        lines=tuple(_line(row, changes.get(row.name), open_to_all) for row in found.parameters),
        total=found.total,
        q=q,
        prefix=prefix,
        writable=writable,
        crumbs=tuple((word, address(prefix=path)) for word, path in _above(prefix)),
        query=address(cursor=cursor or ""),
        next_url=address(cursor=render_cursor(found.next_after)) if found.next_after is not None else None,
        first_url=address() if cursor else None,
    )


def _above(prefix: str) -> Sequence[tuple[str, str]]:
    words = prefix.split(".")[:-1]
    return [(word, ".".join(words[: index + 1]) + ".") for index, word in enumerate(words)]


def _changes(acs: DeviceServices, device_id: str) -> Mapping[str, Change]:
    """By path: the change under way, or the last one when it has failed."""
    changes: dict[str, Change] = {}
    for task in acs.tasks.fetch_of_device(device_id, statuses=(), before_id=None, limit=TASKS):
        if task.kind != "setParameterValues":
            continue
        fault = f"{task.fault_code}: {task.fault_message}" if task.fault_code else None
        for each in task.arguments.get("values", ()):
            name = str(each.get("name", ""))
            value = HIDDEN if is_secret(name) else str(each.get("value", ""))
            # Newest first: what came later counts.
            changes.setdefault(name, Change(task=task.id, status=task.status, value=value, fault=fault))
    shown = (*_UNDER_WAY, TaskStatus.FAILED, TaskStatus.EXPIRED)
    return {name: change for name, change in changes.items() if change.status in shown}


def _line(row: ParameterRow, change: Change | None, open_to_all: bool) -> Line:
    above, dot, name = row.name.rpartition(".")
    secret = is_secret(row.name)
    hidden = secret and bool(row.value) and not open_to_all
    return Line(
        row=row,
        above=above + dot,
        name=name,
        value=HIDDEN if hidden else row.value,
        secret=secret,
        hidden=hidden,
        change=change,
    )
