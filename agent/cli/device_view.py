"""Devices as the CLI shows them: a mapping for programs, a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.cli.context import plain
from agent.cli.modem_view import age

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from agent.store.device_rows import DeviceRow, DeviceTask, ParameterRow

_COLUMNS = ("device", "state", "session", "address", "software", "parameters", "seen", "tasks", "faults", "tags")
_OPTIONAL = ("tags", "software", "parameters", "tasks", "address", "session")
"""Columns in the order in which they are given up."""
_WIDTHS = {"device": 36, "state": 9, "session": 22, "address": 16, "software": 16, "tags": 16}
_WIDTH = 10
_STYLES = {"online": "green", "offline": "dim", "held": "yellow", "refused": "red"}


def device_mapping(row: DeviceRow) -> dict[str, Any]:
    """Every field of a device; the same names as in the API."""
    mapping = plain(row)
    assert isinstance(mapping, dict)
    return mapping


def task_mapping(row: DeviceTask) -> dict[str, Any]:
    """Every field of a task, with secrets hidden; the same names as in the API."""
    from agent.web.secrecy import hide_arguments

    return {**plain(row), "arguments": hide_arguments(row.kind, row.arguments)}


def parameter_lines(rows: Sequence[ParameterRow]) -> list[str]:
    """`path  value`, one a line, with what can be written marked."""
    width = max((len(row.name) for row in rows), default=0)
    return [f"{row.name:<{width}}  {'w' if row.writable else ' '}  {printable(row.value)}" for row in rows]


def task_line(row: DeviceTask) -> str:
    """One task for people."""
    when = row.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    fault = f"{row.fault_code}: {printable(row.fault_message or '')}" if row.fault_code else ""
    if row.not_before is not None and not row.status.finished:
        fault += f" (again at {row.not_before.astimezone():%H:%M:%S})"
    return "  ".join(
        part
        for part in (f"{row.id:<8}", when, f"{row.kind:<22}", f"{row.status.value:<10}", row.created_by, fault)
        if part
    )


def state_of(row: DeviceRow) -> str:
    """One word: held and refused go before whether it is online."""
    if row.state.value != "accepted":
        return row.state.value
    return "online" if row.online else "offline"


def session_of(row: DeviceRow) -> str:
    """What its session is at, with the batch that is read."""
    session = row.session
    if session.status.value == "idle":
        return "–"
    return f"{session.status.value} {session.batch}/{session.batches}" if session.batches else session.status.value


def printable(text: str) -> str:
    """What a device says is no markup, and moves no cursor."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def device_table(rows: Sequence[DeviceRow], *, width: int, caption: str | None = None) -> Table:
    """Devices, one a line; on a narrow terminal what matters least is left out."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    columns = _columns(rows, width)
    table = Table(caption=caption, header_style="bold", box=SIMPLE_HEAD, padding=(0, 1))
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name not in ("tags", "device"))
    for row in rows:
        cells = _cells(row)
        table.add_row(*(cells[name] for name in columns))
    return table


def _columns(rows: Sequence[DeviceRow], width: int) -> tuple[str, ...]:
    wanted = list(_COLUMNS)
    for name, is_there in (
        ("tags", any(row.tags for row in rows)),
        ("faults", any(row.faults for row in rows)),
        ("tasks", any(row.pending_tasks for row in rows)),
        ("session", any(row.session.status.value != "idle" for row in rows)),
    ):
        if not is_there:
            wanted.remove(name)
    for name in _OPTIONAL:
        if sum(_WIDTHS.get(each, _WIDTH) + 2 for each in wanted) <= width:
            break
        if name in wanted:
            wanted.remove(name)
    return tuple(wanted)


def _cells(row: DeviceRow) -> dict[str, str | Text]:
    from rich.text import Text

    state = state_of(row)
    return {
        "device": Text(printable(row.device_id)),
        "state": Text(state, style=_STYLES[state]),
        "session": session_of(row),
        "address": row.ip_address or "–",
        "software": Text(printable(row.software_version or "–")),
        "parameters": str(row.parameter_count),
        "seen": age(row.last_inform) if row.last_inform else "–",
        "tasks": str(row.pending_tasks),
        "faults": Text(str(row.faults), style="red" if row.faults else ""),
        "tags": " ".join(row.tags),
    }
