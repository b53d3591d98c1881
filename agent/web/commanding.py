"""Commands: checked, accounted for, handed to the modem's agent, and their outcome in words of HTTP."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from agent.core.clock import Deadline
from agent.core.errors import ConfigError, ProtocolError
from agent.modem.at.redaction import holds_secret
from agent.modem.commands import parse_command
from agent.store.rows import CommandRow, CommandState, Principal, Role
from agent.web.authority import needed_role
from agent.web.errors import ApiError
from agent.web.schemas import CommandResult
from agent.web.security import require
from agent.web.services import Services
from agent.web.waiting import BUSY_RETRY_SECONDS, waiting_place

logger = logging.getLogger(__name__)

STATUS_OF_CODE = {
    "bad_request": HTTPStatus.BAD_REQUEST,
    "modem_refused": HTTPStatus.BAD_GATEWAY,
    "timeout": HTTPStatus.GATEWAY_TIMEOUT,
    "modem_absent": HTTPStatus.CONFLICT,
    "modem_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "busy": HTTPStatus.SERVICE_UNAVAILABLE,
    "agent_restarted": HTTPStatus.SERVICE_UNAVAILABLE,
}
"""What the agent says of a command that failed; any other code is a bad gateway too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked of a modem, and how long to wait for it (None: as long as the settings allow)."""

    kind: str
    argument: dict[str, Any]
    timeout_seconds: float | None


def check(order: Order, principal: Principal) -> None:
    """ApiError when the order carries a secret, is none that an agent takes, or is not this principal's to
    give."""
    line = str(order.argument.get("command", ""))
    if holds_secret(line):
        message = "PINs and passwords are not taken this way: set modem.pin in the settings of the modem's host"
        raise ApiError(HTTPStatus.BAD_REQUEST, "secret_refused", message)
    try:
        parse_command(order.kind, order.argument)
    except ProtocolError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "command_refused", str(error)) from error
    if order.kind == "at":
        require(principal, needed_role(line))
    else:
        require(principal, Role.OPERATOR)


def carry_out(services: Services, order: Order, serial: str, principal: Principal) -> CommandResult:
    """Have the agent of modem `serial` carry out a checked order, and wait for it. ApiError says how it
    failed."""
    most = services.settings.command_timeout_seconds
    timeout_seconds = min(order.timeout_seconds or most, most)
    with waiting_place(services):
        row = _submit_and_wait(services, order, serial, principal, timeout_seconds)
    if row.state is CommandState.DONE:
        return CommandResult.model_validate(row)
    raise _failure(row)


def _submit_and_wait(
    services: Services, order: Order, serial: str, principal: Principal, timeout_seconds: float
) -> CommandRow:
    deadline = Deadline.after(timeout_seconds)
    # Written first: a command that nobody can account for is worse than an entry for one that was never sent.
    services.audit.write(principal, f"modem.command.{order.kind}", serial, order.argument)
    try:
        command_id = services.fleet.submit_command(serial, order.kind, order.argument, principal.name, timeout_seconds)
    except ConfigError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "command_refused", str(error)) from error
    if command_id is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "modem_not_found", "there is no modem of this serial")
    logger.info("command submitted", extra={"MODEM": serial, "COMMAND": command_id, "KIND": order.kind})
    return services.fleet.await_command(command_id, deadline)


def _failure(row: CommandRow) -> ApiError:
    details = {"id": row.id, "serial": row.serial, "state": row.state.value, "result": row.result}
    match row.state:
        case CommandState.FAILED:
            code = row.error_code or "failed"
            status = STATUS_OF_CODE.get(code, HTTPStatus.BAD_GATEWAY)
            headers = _retry() if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
            return ApiError(status, code, row.error_message or "failed", details=details, headers=headers)
        case CommandState.EXPIRED:
            message = "no agent took the command in time; it was cancelled and will not run"
            return ApiError(HTTPStatus.GATEWAY_TIMEOUT, "agent_timeout", message, details=details)
        case _:
            message = "the agent is still at it; its result will be in the modem's log"
            return ApiError(HTTPStatus.GATEWAY_TIMEOUT, "command_timeout", message, details=details)


def _retry() -> dict[str, str]:
    return {"Retry-After": str(BUSY_RETRY_SECONDS)}
