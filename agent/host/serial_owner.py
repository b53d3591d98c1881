"""One open AT port and the thread that owns it: only that thread touches the device."""

from __future__ import annotations

import logging
import os
import select
import termios
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import serial

from agent.core.clock import Deadline, Instant, now
from agent.core.errors import DeadlineExceeded, TransientError
from agent.modem.at.command_line import parse_command_line
from agent.modem.at.exchange import (
    Answered,
    AtEvent,
    AtExchange,
    Discarded,
    Failed,
    Prompted,
    StaleResult,
    Synchronised,
    Unsolicited,
)
from agent.modem.at.redaction import redact, redact_exchange
from agent.modem.at.responses import AtResponse

logger = logging.getLogger(__name__)

OnExchange = Callable[[str, str, str, float], None]
"""(command, answer, outcome, seconds), redacted; outcome is ok, error or timeout."""

_READ_BYTES = 4096
_HUNG_UP = select.POLLHUP | select.POLLERR | select.POLLNVAL
_ESCAPE = b"\x1b"
_UNREFUSED_QUIET_FACTOR = 4


@dataclass(slots=True, eq=False, repr=False)
class _Request:
    """A command that somebody waits for; `outcome` is set before `done`, both under the port's lock."""

    command: str
    started: Instant = field(default_factory=now)
    done: threading.Event = field(default_factory=threading.Event)
    outcome: Answered | Failed | TransientError | None = None


class SerialPort:
    """An open AT port (`AtPort`). The device is given up by its own thread, which a driver may hold for ever: nobody
    else ever waits for it."""

    def __init__(
        self,
        device: serial.Serial,
        node: str,
        *,
        on_urc: Callable[[str], None],
        on_exchange: OnExchange | None = None,
        quiet_seconds: float = 0.5,
    ) -> None:
        self.node = node
        self.finished = threading.Event()
        """Set when the device is closed."""
        self._device = device
        self._on_urc = on_urc
        self._on_exchange = on_exchange
        self._quiet_seconds = quiet_seconds
        self._exchange = AtExchange()
        self._out = bytearray()
        self._quiet_at: Instant | None = None
        self._probe: tuple[str, Instant] | None = None
        self._callers = threading.Lock()
        self._lock = threading.Lock()
        self._request: _Request | None = None
        self._active: _Request | None = None
        self._lost: str | None = None
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        threading.Thread(target=self._run, name=f"at {node}", daemon=True).start()

    @property
    def closed(self) -> bool:
        """Whether the port was closed or lost."""
        return self._lost is not None

    @property
    def echo_seen(self) -> bool:
        """Whether the modem echoed the last command."""
        return self._exchange.echo_seen

    def command(self, text: str, deadline: Deadline) -> AtResponse:
        """Send one command line and return its final answer; callers take turns.

        Raises ProtocolError when `text` is not exactly one command line or the answer exceeds its bounds,
        DeadlineExceeded, TransientError (port lost or closed), CmeError or CmsError."""
        parse_command_line(text)
        if not self._callers.acquire(timeout=deadline.remaining_seconds):
            raise DeadlineExceeded(f"{redact(text)}: the port was busy with another command")
        try:
            request = _Request(text)
            self._submit(request)
            request.done.wait(deadline.remaining_seconds)
            outcome = self._withdraw(request)
        finally:
            self._callers.release()
        return self._conclude(request, outcome)

    def close(self) -> None:
        """Give the port up; the port's thread closes the device when it can."""
        self._give_up("the port was closed")

    def _submit(self, request: _Request) -> None:
        with self._lock:
            if self._lost is not None:
                raise TransientError(f"{self.node}: {self._lost}")
            self._request = request
            self._wake()

    def _withdraw(self, request: _Request) -> Answered | Failed | TransientError | None:
        """The request's outcome; None when there is none, and its answer is nobody's from now on."""
        with self._lock:
            if self._request is request:
                self._request = None
                self._wake()
            return request.outcome

    def _conclude(self, request: _Request, outcome: Answered | Failed | TransientError | None) -> AtResponse:
        seconds = now() - request.started
        match outcome:
            case Answered(response):
                self._report(request.command, (*response.lines, response.final), "ok", seconds)
                return response
            case Failed(error, lines):
                self._report(request.command, lines, "error", seconds)
                raise error
            case TransientError():
                self._report(request.command, (), "error", seconds)
                raise outcome
            case None:
                self._report(request.command, (), "timeout", seconds)
                raise DeadlineExceeded(f"{redact(request.command)}: no answer in {seconds:.1f} s")

    def _report(self, command: str, lines: tuple[str, ...], outcome: str, seconds: float) -> None:
        if self._on_exchange is not None:
            shown, answer = redact_exchange(command, lines)
            self._on_exchange(shown, answer, outcome, seconds)

    def _give_up(self, why: str) -> None:
        """Mark the port lost, once, and tell who waits."""
        with self._lock:
            if self._lost is None:
                self._lost = why
            if self._request is not None and self._request.outcome is None:
                self._request.outcome = TransientError(f"{self.node}: {self._lost}")
                self._request.done.set()
            self._wake()

    def _wake(self) -> None:
        if not self.finished.is_set():
            os.eventfd_write(self._wake_fd, 1)

    # From here on: the port's own thread.

    def _run(self) -> None:
        why = "the port's thread ended"
        try:
            self._serve()
        except OSError as exc:
            why = f"the port was lost: {exc.strerror or exc}"
        finally:
            self._give_up(why)
            self._close_device()

    def _close_device(self) -> None:
        try:
            self._device.reset_output_buffer()  # or the close waits up to 30 s for what the modem does not take
        except (OSError, termios.error) as exc:
            logger.debug("unsent bytes of a lost port stay", extra={"NODE": self.node, "ERROR": str(exc)})
        try:
            self._device.close()
        except OSError as exc:
            logger.debug("closing a lost port failed", extra={"NODE": self.node, "ERROR": str(exc)})
        with self._lock:
            self.finished.set()
            os.close(self._wake_fd)

    def _serve(self) -> None:
        descriptor = self._device.fileno()
        poll = select.poll()
        poll.register(self._wake_fd, select.POLLIN)
        while self._lost is None:
            poll.register(descriptor, select.POLLIN | (select.POLLOUT if self._out else 0))
            ready = dict(poll.poll(self._poll_milliseconds()))
            if self._wake_fd in ready:
                os.eventfd_read(self._wake_fd)
            self._follow_requests()
            happened = ready.get(descriptor, 0)
            if happened & ~select.POLLOUT:
                self._receive(descriptor, hung_up=bool(happened & _HUNG_UP))
            if happened & select.POLLOUT:
                self._send(descriptor)
            if self._quiet_at is not None and now() >= self._quiet_at:
                self._quiet_at = None
                self._report_probe((), "info")
                self._exchange.assume_synchronised()
                self._begin()

    def _poll_milliseconds(self) -> float | None:
        return None if self._quiet_at is None else max(0.0, (self._quiet_at - now()) * 1000 + 1)

    def _follow_requests(self) -> None:
        """Leave a command that nobody waits for any more, and begin one that somebody does."""
        with self._lock:
            wanted = self._request if self._request is not None and not self._request.done.is_set() else None
        if self._active is not None and self._active is not wanted:
            self._exchange.abandon()
            self._out.clear()
            self._quiet_at = None
            self._report_probe((), "timeout")
        if wanted is not self._active:
            self._active = wanted
            if wanted is not None:
                self._begin()

    def _begin(self) -> None:
        """Send the active command, or before it a probe when answers from before may still come."""
        request = self._active
        if request is None:
            return
        if self._exchange.synchronised:
            self._out += self._exchange.begin(request.command)
        else:
            probe = self._exchange.begin_synchronisation()
            self._probe = (probe.decode("ascii").strip("\x1b\r"), now())
            self._out += probe

    def _report_probe(self, lines: tuple[str, ...], outcome: str) -> None:
        probe, self._probe = self._probe, None
        if probe is not None:
            self._report(probe[0], lines, outcome, now() - probe[1])

    def _send(self, descriptor: int) -> None:
        try:
            sent = os.write(descriptor, self._out)
        except BlockingIOError:
            return
        del self._out[:sent]

    def _receive(self, descriptor: int, *, hung_up: bool) -> None:
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            if not hung_up:
                return
            data = b""
        if not data:
            raise ConnectionResetError("the device hung up")
        for event in self._exchange.receive(data):
            self._handle(event)

    def _handle(self, event: AtEvent) -> None:
        match event:
            case Answered() | Failed():
                self._deliver(event)
            case Unsolicited(text):
                self._on_urc(text)
            case Prompted():
                self._out += _ESCAPE  # no command here has a text to enter
            case Synchronised(answer):
                self._quiet_at = None
                self._report_probe((answer, "OK"), "ok")
                self._begin()
            case StaleResult(refused):
                factor = 1 if refused else _UNREFUSED_QUIET_FACTOR
                self._quiet_at = now() + self._quiet_seconds * factor
            case Discarded():
                logger.debug("line belongs to no command", extra={"NODE": self.node})

    def _deliver(self, event: Answered | Failed) -> None:
        request, self._active = self._active, None
        with self._lock:
            if request is not None and self._request is request and request.outcome is None:
                request.outcome = event
                request.done.set()
