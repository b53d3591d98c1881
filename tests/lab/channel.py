"""The near side of the guest agent (`guest_agent.py` has the wire format): commands and files over one socket."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import queue
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from agent.core.clock import Deadline
from tests.lab.guest_agent import CHUNK_BYTES, KILL_SECONDS
from tests.lab.machine import (
    MOST_FILE_BYTES,
    MOST_OUTPUT_BYTES,
    RUN_SECONDS,
    CommandTimeout,
    LabError,
    MachineRestarted,
    OnOutput,
    Result,
)

_ANSWER_SECONDS = 20.0
"""How long the agent may be late: the machine's processor is emulated, and the host may be busy."""
_MOST_LINE_BYTES = 4 << 20
_TOLD_BYTES = 4000


class _Tail:
    """The end of a stream, at most `MOST_OUTPUT_BYTES` and a piece."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = self._dropped = 0

    def add(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        while self._size - len(self._pieces[0]) >= MOST_OUTPUT_BYTES:
            first = self._pieces.popleft()
            self._size -= len(first)
            self._dropped += len(first)

    def text(self) -> str:
        dropped = f"[{self._dropped} bytes before this are dropped]\n" if self._dropped else ""
        return dropped + b"".join(self._pieces).decode(errors="replace")


class _Exchange:
    """One request, and what came back for it so far."""

    def __init__(self, on_data: Callable[[str, bytes], None]) -> None:
        self._on_data = on_data
        self._end: queue.SimpleQueue[dict[str, Any] | LabError] = queue.SimpleQueue()
        self._ended: dict[str, Any] | LabError | None = None

    def handle(self, message: dict[str, Any]) -> bool:
        """Take a message in; whether it was the last."""
        if "stream" in message:
            self._on_data(str(message["stream"]), base64.b64decode(message["data"]))
            return False
        self._end.put(message)
        return True

    def fail(self, error: LabError) -> None:
        self._end.put(error)

    def wait(self, timeout: float) -> dict[str, Any]:
        """The last message; TimeoutError when it does not come, LabError when it never will."""
        if self._ended is None:
            try:
                self._ended = self._end.get(timeout=timeout)
            except queue.Empty:
                raise TimeoutError from None
        if isinstance(self._ended, LabError):
            raise self._ended
        if "error" in self._ended:
            raise LabError(str(self._ended["error"]))
        return self._ended


class RemoteCommand:
    """A command under way in the machine."""

    def __init__(self, channel: GuestChannel, command: str, timeout: float, stdin: str | None, told: OnOutput | None):
        self._channel = channel
        self._command = command
        self._told = told
        self._tails = {"out": _Tail(), "err": _Tail()}
        self._patience = Deadline.after(timeout + KILL_SECONDS + _ANSWER_SECONDS)
        request = {"do": "run", "command": command, "stdin": stdin, "seconds": timeout}
        self._number, self._exchange = channel.ask(request, self._data)

    def _data(self, stream: str, data: bytes) -> None:
        self._tails[stream].add(data)
        if self._told is not None:
            self._told(stream, data)

    @property
    def output(self) -> Result | None:
        """How it ended; None while it runs."""
        try:
            return self.wait(0)
        except TimeoutError:
            return None

    def wait(self, timeout: float | None = None) -> Result:
        """Its result; TimeoutError when it runs on. Without `timeout`: until it must have ended."""
        deadline = self._patience if timeout is None else self._patience.earlier(timeout)
        try:
            end = self._exchange.wait(deadline.remaining_seconds)
        except TimeoutError:
            if not self._patience.passed:
                raise
            raise LabError(f"the machine does not answer any more: {self._command}\n{self._so_far()}") from None
        if end["timed_out"]:
            raise CommandTimeout(f"did not end in its time: {self._command}\n{self._so_far()}")
        return Result(rc=int(end["status"]), out=self._tails["out"].text(), err=self._tails["err"].text())

    def signal(self, number: int) -> None:
        """Send a signal to its process group."""
        self._channel.tell(self._number, {"do": "signal", "signal": int(number)})

    def _so_far(self) -> str:
        return "".join(tail.text()[-_TOLD_BYTES:] for tail in self._tails.values())


class GuestChannel:
    """Asks the agent at the other end of `connection`; it is closed with this."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        # A machine that hangs must not hold a sender for ever; reading has no deadline, its thread waits for the end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(_ANSWER_SECONDS), 0))
        self._numbers = itertools.count(1)
        self._exchanges: dict[int, _Exchange] = {}
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._came_up = threading.Condition(self._lock)
        self._boot: str | None = None
        self._closed = False
        self._reader = threading.Thread(target=self._read, name="lab channel", daemon=True)
        self._reader.start()

    def close(self) -> None:
        """End every exchange, and the connection."""
        with contextlib.suppress(OSError):  # the other side was faster
            self._connection.shutdown(socket.SHUT_RDWR)
        self._reader.join(10)
        self._connection.close()

    # -- what comes

    def _read(self) -> None:
        buffer = b""
        while True:
            try:
                data = self._connection.recv(1 << 18)
            except OSError:
                data = b""
            if not data:
                break
            *lines, buffer = (buffer + data).split(b"\n")
            if len(buffer) > _MOST_LINE_BYTES:
                buffer = b""
            for line in lines:
                self._take(line)
        with self._lock:
            self._closed = True
            self._fail_all("the machine is gone")
            self._came_up.notify_all()

    def _take(self, line: bytes) -> None:
        try:
            message: dict[str, Any] = json.loads(line)
        except ValueError:
            return  # a line that a reset has cut, or the empty one before each
        with self._lock:
            if (boot := message.get("boot")) is not None and boot != self._boot:
                if self._boot is not None:
                    self._fail_all("the machine has started anew", keep=message.get("id"))
                self._boot = boot
                self._came_up.notify_all()
            exchange = self._exchanges.get(message.get("id", 0))
        if exchange is not None and exchange.handle(message):
            with self._lock:
                self._exchanges.pop(message["id"], None)

    def _fail_all(self, why: str, keep: int | None = None) -> None:
        for number in [each for each in self._exchanges if each != keep]:
            self._exchanges.pop(number).fail(MachineRestarted(why))

    # -- what goes

    def ask(self, request: dict[str, Any], on_data: Callable[[str, bytes], None]) -> tuple[int, _Exchange]:
        """Begin an exchange."""
        exchange = _Exchange(on_data)
        with self._lock:
            if self._closed:
                raise MachineRestarted("the machine is gone")
            number = next(self._numbers)
            self._exchanges[number] = exchange
        self.tell(number, request)
        return number, exchange

    def tell(self, number: int, request: dict[str, Any]) -> None:
        """Send a message of an exchange."""
        line = b"\n" + json.dumps({"id": number, **request}).encode() + b"\n"
        try:
            with self._sending:
                self._connection.sendall(line)
        except OSError as error:
            raise LabError(f"the machine takes nothing: {error}") from error

    def _finish(self, exchange: _Exchange, what: str, timeout: float) -> dict[str, Any]:
        try:
            return exchange.wait(timeout)
        except TimeoutError:
            raise LabError(f"the machine does not answer in {timeout:.0f} s: {what}") from None

    # -- what a machine does

    @property
    def boot(self) -> str | None:
        """The boot id of the machine's kernel, of which every new start has another; None before its first word."""
        with self._lock:
            return self._boot

    def wait_up(self, timeout: float, *, after: str | None = None) -> None:
        """Wait until an agent speaks whose boot is not `after`; LabError when none does."""
        deadline = Deadline.after(timeout)
        with self._lock:
            while not self._closed and (self._boot is None or self._boot == after):
                if not self._came_up.wait(deadline.remaining_seconds):
                    raise LabError(f"no agent speaks after {timeout:.0f} s")
            if self._closed:
                raise MachineRestarted("the machine is gone")

    def hello(self, timeout: float) -> None:
        """Have the agent speak; LabError when it does not."""
        _, exchange = self.ask({"do": "hello"}, _nothing)
        self._finish(exchange, "hello", timeout)

    def adjust(self, timeout: float = _ANSWER_SECONDS) -> None:
        """Give a restored machine the present time, and random numbers of its own."""
        entropy = base64.b64encode(os.urandom(64)).decode()
        _, exchange = self.ask({"do": "adjust", "time": time.time(), "entropy": entropy}, _nothing)
        self._finish(exchange, "adjust", timeout)

    def start(self, command: str, *, timeout: float = RUN_SECONDS) -> RemoteCommand:
        """Begin a bash command; it is killed when its time is up."""
        return RemoteCommand(self, command, timeout, None, None)

    def run(
        self,
        command: str,
        *,
        timeout: float = RUN_SECONDS,
        stdin: bytes | None = None,
        on_output: OnOutput | None = None,
    ) -> Result:
        """Run a bash command to its end."""
        path = None
        if stdin is not None:
            path = f"/run/lab/stdin-{os.urandom(8).hex()}"
            self.put(path, stdin, 0o600)
        return RemoteCommand(self, command, timeout, path, on_output).wait()

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file, durably; folders are made."""
        number, exchange = self.ask({"do": "put", "path": path, "mode": mode}, _nothing)
        for offset in range(0, len(data), CHUNK_BYTES):
            piece = base64.b64encode(data[offset : offset + CHUNK_BYTES]).decode()
            self.tell(number, {"do": "more", "data": piece})
        self.tell(number, {"do": "end"})
        self._finish(exchange, f"put {path}", 2 * _ANSWER_SECONDS + len(data) / 1e6)

    def get(self, path: str, most: int = MOST_FILE_BYTES) -> bytes:
        """Read a file; LabError when there is none, or it is longer than `most` bytes."""
        pieces: list[bytes] = []
        _, exchange = self.ask({"do": "get", "path": path, "most": most}, lambda _, data: pieces.append(data))
        self._finish(exchange, f"get {path}", 2 * _ANSWER_SECONDS + most / 1e6)
        return b"".join(pieces)

    def wait_booted(self, timeout: float = 120.0) -> None:
        """Wait until systemd says that the start is over."""
        result = self.run("systemctl is-system-running --wait", timeout=timeout)
        if result.out.strip() not in ("running", "degraded"):
            raise LabError(f"systemd is {result.out.strip() or result.err.strip()!r}")


def _nothing(_: str, __: bytes) -> None:
    """Output that nobody wants."""
