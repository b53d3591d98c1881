"""Answers an operator's command in the modem's own thread, so that it never meets a pass half-way."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, assert_never

from agent.core.clock import Deadline
from agent.core.errors import (
    CmeError,
    CmsError,
    DeadlineExceeded,
    DeviceError,
    ProtocolError,
    QmiError,
    TransientError,
)
from agent.modem import ec25
from agent.modem.commands import (
    AtCommand,
    Command,
    PlanCommand,
    QmiCommand,
    QmiQuestion,
    ReconnectCommand,
    ResetCommand,
    parse_command,
)
from agent.modem.executor import Bench
from agent.modem.machine import Machine, Timing
from agent.modem.model import IpSettings, Observed, Registration, Signal, Sim
from agent.modem.observer import Observer
from agent.modem.planner import Plan
from agent.modem.ports import CommandRequest, CommandResult, Qmi
from agent.modem.reporting import describe

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A command's result, and whether the modem's health starts afresh after it."""

    result: CommandResult
    starts_afresh: bool = False


@dataclass(frozen=True, slots=True)
class CommandRunner:
    """Runs one command against one modem."""

    machine: Machine
    qmi: Qmi
    timing: Timing
    observer: Observer

    def answer(self, request: CommandRequest, bench: Bench, decide: Callable[[Observed], Plan]) -> Answer:
        """Carry out `request`; every failure becomes part of the answer."""
        try:
            command = parse_command(request.kind, request.argument)
            result = self._run(command, bench, request.deadline, decide)
        except ProtocolError as error:
            return self._refusal(request, "bad_request", error)
        except (CmeError, CmsError, QmiError) as error:
            return self._refusal(request, "modem_refused", error, {"code": error.code})
        except DeviceError as error:
            return self._refusal(request, "modem_refused", error)
        except DeadlineExceeded as error:
            return self._refusal(request, "timeout", error)
        except TransientError as error:
            return self._refusal(request, "modem_unavailable", error)
        fresh = isinstance(command, ResetCommand | ReconnectCommand)
        return Answer(result=CommandResult(id=request.id, succeeded=True, result=result), starts_afresh=fresh)

    def _refusal(
        self, request: CommandRequest, code: str, error: Exception, details: dict[str, Any] | None = None
    ) -> Answer:
        logger.info("command refused", extra={"COMMAND": request.id, "ERROR": str(error)})
        return Answer(
            result=CommandResult(
                id=request.id,
                succeeded=False,
                result=details or {},
                error_code=code,
                error_message=str(error),
            )
        )

    def _run(
        self, command: Command, bench: Bench, deadline: Deadline, decide: Callable[[Observed], Plan]
    ) -> dict[str, Any]:
        match command:
            case AtCommand(text=text):
                if bench.at is None:
                    raise TransientError("the modem's AT port is not open")
                answer = bench.at.command(text, deadline)
                self.observer.forget()
                return {"lines": list(answer.lines), "final": answer.final}
            case QmiCommand(question=question):
                return self._ask_qmi(question, bench, deadline)
            case ResetCommand():
                return self._reset(bench, deadline)
            case ReconnectCommand():
                return self._reconnect(bench, deadline)
            case PlanCommand():
                observed = self.observer.observe(bench.desired, bench.hardware, bench.at, probe=False)
                decided = decide(observed)
                return {
                    "state": decided.state.value,
                    "reason": decided.reason,
                    "actions": [describe(action) for action in decided.actions],
                }
            case _:
                assert_never(command)

    def _ask_qmi(self, question: QmiQuestion, bench: Bench, deadline: Deadline) -> dict[str, Any]:
        node = bench.hardware.qmi_node if bench.hardware is not None else None
        if node is None:
            raise TransientError("the modem has no QMI port")
        qmi = self.qmi
        match question:
            case QmiQuestion.SIGNAL:
                return _fields(qmi.signal(node, deadline))
            case QmiQuestion.SERVING_SYSTEM:
                return _fields(qmi.serving_system(node, deadline))
            case QmiQuestion.CARD_STATUS:
                return _fields(qmi.card_status(node, deadline))
            case QmiQuestion.SETTINGS | QmiQuestion.STATISTICS:
                session = self.machine.sessions.fetch(bench.desired.serial)
                if session is None:
                    raise TransientError("the modem has no data connection")
                if question is QmiQuestion.SETTINGS:
                    settings = qmi.settings(node, session, deadline)
                    return _fields(settings) if settings is not None else {}
                rx_bytes, tx_bytes = qmi.packet_statistics(node, session, deadline)
                return {"rx_bytes": rx_bytes, "tx_bytes": tx_bytes}
            case _:
                assert_never(question)

    def _reset(self, bench: Bench, deadline: Deadline) -> dict[str, Any]:
        self.observer.forget()
        if bench.at is not None:
            try:
                ec25.restart(bench.at, deadline.earlier(self.timing.at_seconds))
            except TransientError as error:
                logger.warning("AT reset failed; resetting the port", extra={"ERROR": str(error)})
            else:
                return {"reset": "radio"}
        if bench.hardware is None:
            raise TransientError("the modem is not plugged in")
        self.machine.usb.reset(bench.hardware)
        return {"reset": "usb"}

    def _reconnect(self, bench: Bench, deadline: Deadline) -> dict[str, Any]:
        session = self.machine.sessions.fetch(bench.desired.serial)
        node = bench.hardware.qmi_node if bench.hardware is not None else None
        if node is None:
            raise TransientError("the modem has no QMI port")
        self.observer.forget()
        if session is None:
            return {"disconnected": False}
        self.qmi.stop_network(node, session, deadline)
        self.machine.sessions.save(bench.desired.serial, None)
        return {"disconnected": True}


def _fields(value: Signal | Registration | Sim | IpSettings) -> dict[str, Any]:
    return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _plain(value: Any) -> Any:
    """A model value as JSON can carry it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple | list | frozenset):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)
