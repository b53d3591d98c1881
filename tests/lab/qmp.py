"""The QEMU Machine Protocol, as far as the lab needs it: commands in turn, and waiting for events."""

from __future__ import annotations

import json
import socket
from typing import Any

from agent.core.clock import Deadline
from tests.lab.machine import LabError

_COMMAND_SECONDS = 30.0
_MOST_EVENTS = 1000
_MOST_BYTES = 4 << 20


class Qmp:
    """A QMP session over a connected socket, which is closed with it. For one thread at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self._events: list[dict[str, Any]] = []

    def negotiate(self) -> None:
        """Read the greeting and leave capabilities negotiation."""
        deadline = Deadline.after(_COMMAND_SECONDS)
        while "QMP" not in self._receive(deadline):
            pass
        self.command("qmp_capabilities")

    def close(self) -> None:
        self._connection.close()

    def command(
        self, name: str, /, *, descriptors: tuple[int, ...] = (), timeout: float = _COMMAND_SECONDS, **arguments: Any
    ) -> Any:
        """Run a command and return what it returns; LabError when QEMU refuses or does not answer.

        An underscore in the arguments' names stands for a hyphen."""
        request: dict[str, Any] = {"execute": name}
        if arguments:
            request["arguments"] = {key.replace("_", "-"): value for key, value in arguments.items()}
        data = json.dumps(request).encode() + b"\n"
        deadline = Deadline.after(timeout)
        try:
            if descriptors:
                socket.send_fds(self._connection, [data], list(descriptors))
            else:
                self._connection.sendall(data)
        except OSError as error:
            raise LabError(f"QEMU is gone: {name}: {error}") from error
        while True:
            message = self._receive(deadline)
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise LabError(f"QEMU: {name}: {message['error'].get('desc', message['error'])}")
            self._keep(message)

    def forget_events(self) -> None:
        """Let `wait_event` see only what comes from now on."""
        self._events.clear()

    def wait_event(self, name: str, timeout: float) -> dict[str, Any]:
        """The next event of that name, one that has come already included."""
        deadline = Deadline.after(timeout)
        while True:
            for event in self._events:
                if event["event"] == name:
                    self._events.remove(event)
                    return event
            self._keep(self._receive(deadline))

    def _keep(self, message: dict[str, Any]) -> None:
        if "event" in message:
            self._events.append(message)
            del self._events[:-_MOST_EVENTS]

    def _receive(self, deadline: Deadline) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            self._connection.settimeout(max(0.001, deadline.remaining_seconds))
            try:
                data = self._connection.recv(1 << 16)
            except TimeoutError:
                raise LabError("QEMU does not answer") from None
            except OSError as error:
                raise LabError(f"QEMU is gone: {error}") from error
            if not data or len(self._buffer) > _MOST_BYTES:
                raise LabError("QEMU is gone")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message
