"""Asking the agent for something through `modem_commands`, and what to make of its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.cli.context import local_principal
from agent.cli.exits import NotFoundError
from agent.cli.modem_view import duration
from agent.core.clock import Deadline
from agent.core.errors import DeadlineExceeded, DeviceError, ProtocolError, TransientError

if TYPE_CHECKING:
    from agent.store.fleet import Fleet
    from agent.store.rows import AgentRow, CommandRow


def ask(fleet: Fleet, serial: str, kind: str, argument: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:
    """The agent's result; when none runs on the modem's host, that is said at once.

    Raises NotFoundError (no such modem), DeviceError (the modem refused), TransientError (modem or agent away),
    DeadlineExceeded (no answer), ProtocolError (the command makes no sense)."""
    agent = fleet.fetch_agent(serial)
    if agent is not None:
        _refuse_when_away(agent)
    command = fleet.submit_command(serial, kind, argument, local_principal(), timeout_seconds)
    if command is None:
        raise NotFoundError(f"there is no modem {serial!r}; `lastmile status` lists them")
    row = fleet.await_command(command, Deadline.after(timeout_seconds))
    if row.state.value == "done":
        return row.result
    raise error_of(row)


def _refuse_when_away(agent: AgentRow) -> None:
    from agent.store.presence import GHOST_SECONDS

    if agent.holds_lock and agent.silent_seconds < GHOST_SECONDS:
        return
    raise TransientError(
        f"no agent runs on the modem's host {agent.host} (last heard of {duration(agent.silent_seconds)} ago);"
        " see there: systemctl status lastmile-agent"
    )


def error_of(row: CommandRow) -> Exception:
    """What a command that was not done comes to."""
    message = row.error_message or f"the command is {row.state.value}"
    if row.state.value == "expired":
        return DeadlineExceeded(f"{message} (is lastmile-agent running on the modem's host?)")
    if row.state.value in ("pending", "running"):
        return DeadlineExceeded("the agent has not finished the command in time; it goes on with it")
    match row.error_code:
        case "modem_refused":
            return DeviceError(message)
        case "bad_request":
            return ProtocolError(message)
        case "timeout":
            return DeadlineExceeded(message)
        case _:
            return TransientError(message)
