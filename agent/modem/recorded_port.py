"""An AT port whose every command and answer goes to `modem_logs`, secrets hidden."""

from __future__ import annotations

from agent.core.clock import Deadline, now
from agent.core.errors import AgentError, DeadlineExceeded
from agent.modem.at.redaction import redact_exchange
from agent.modem.at.responses import AtResponse
from agent.modem.ports import AtPort, RecordExchange


class RecordedPort:
    """`AtPort` around another one."""

    def __init__(self, port: AtPort, record: RecordExchange) -> None:
        self._port = port
        self._record = record

    @property
    def echo_seen(self) -> bool:
        return self._port.echo_seen

    def command(self, text: str, deadline: Deadline) -> AtResponse:
        """As the port's own, and recorded whatever comes of it."""
        started = now()
        try:
            response = self._port.command(text, deadline)
        except DeadlineExceeded as error:
            self._note(text, (str(error),), "timeout", now() - started)
            raise
        except AgentError as error:
            self._note(text, (str(error),), "error", now() - started)
            raise
        self._note(text, (*response.lines, response.final), "ok", now() - started)
        return response

    def close(self) -> None:
        self._port.close()

    def _note(self, command: str, lines: tuple[str, ...], outcome: str, seconds: float) -> None:
        shown, answer = redact_exchange(command, lines)
        self._record(shown, answer, outcome, seconds)
