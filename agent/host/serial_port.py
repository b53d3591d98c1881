"""AT ports on serial devices: opened in a thread that can be abandoned (pyserial)."""

from __future__ import annotations

import fcntl
import logging
import termios
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import serial

from agent.core.clock import Deadline
from agent.core.errors import DeadlineExceeded, TransientError
from agent.host.serial_owner import OnExchange, SerialPort

logger = logging.getLogger(__name__)

ABANDONED_OPENS_MOST = 3
_BAUD = 115_200
_CONTROL_FLAGS = 2


def open_serial(node: str) -> serial.Serial:
    """Open a serial device raw, not blocking, for this process alone, and so that closing it drops no call.

    May block for ever in a driver. Raises TransientError when the device cannot be opened, or is in use."""
    try:
        device = serial.Serial(node, _BAUD, timeout=0, write_timeout=0, exclusive=True)
    except (OSError, ValueError, termios.error) as exc:
        raise TransientError(f"{node} cannot be opened: {exc}") from exc
    try:
        # flock keeps out who asks for it; TIOCEXCL keeps out every later open without CAP_SYS_ADMIN.
        fcntl.ioctl(device.fileno(), termios.TIOCEXCL)
        attributes = termios.tcgetattr(device.fileno())
        attributes[_CONTROL_FLAGS] &= ~termios.HUPCL
        termios.tcsetattr(device.fileno(), termios.TCSANOW, attributes)
    except (OSError, termios.error) as exc:
        device.close()
        raise TransientError(f"{node} cannot be set up: {exc}") from exc
    return device


@dataclass(slots=True)
class _Attempt:
    """One open; `done` and `abandoned` exclude each other under `lock`."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    done: threading.Event = field(default_factory=threading.Event)
    abandoned: bool = False
    device: serial.Serial | None = None
    error: TransientError | None = None


class SerialPortOpener:
    """Opens AT ports (`AtPortOpener`). May be used from any thread; one serves all modems, or one each.

    An open that hangs is abandoned with its thread. After three of one node no more are tried until `forget`, or until
    an open of it succeeds: each costs a thread for as long as the driver hangs.
    """

    def __init__(
        self,
        *,
        on_exchange: OnExchange | None = None,
        open_device: Callable[[str], serial.Serial] = open_serial,
        quiet_seconds: float = 0.5,
    ) -> None:
        """`on_exchange` is called after every exchange with redacted texts, from the thread that asked, and from the
        port's own thread for the probes it sends to synchronise."""
        self._on_exchange = on_exchange
        self._open_device = open_device
        self._quiet_seconds = quiet_seconds
        self._lock = threading.Lock()
        self._abandoned: dict[str, int] = {}
        self._ports: dict[str, SerialPort] = {}

    def open(self, node: str, deadline: Deadline, on_urc: Callable[[str], None]) -> SerialPort:
        """Open the port exclusively; see `AtPortOpener.open`. `on_urc` must not call the port's `command`."""
        with self._lock:
            if self._abandoned.get(node, 0) >= ABANDONED_OPENS_MOST:
                raise TransientError(f"{node} is in quarantine: its open hung {ABANDONED_OPENS_MOST} times")
            previous = self._ports.get(node)
        if previous is not None and previous.closed and not previous.finished.wait(deadline.remaining_seconds):
            raise DeadlineExceeded(f"{node} is not given up yet by its last owner")
        device = self._open_within(node, deadline)
        port = SerialPort(device, node, on_urc=on_urc, on_exchange=self._on_exchange, quiet_seconds=self._quiet_seconds)
        with self._lock:
            self._abandoned.pop(node, None)
            self._ports = {name: each for name, each in self._ports.items() if not each.finished.is_set()}
            self._ports[node] = port
        return port

    def abandoned_opens(self, node: str) -> int:
        """How many opens of `node` hung since the last that did not, or since `forget`."""
        with self._lock:
            return self._abandoned.get(node, 0)

    def forget(self, node: str) -> None:
        """End the quarantine of `node`: the device behind it has gone, was reset, or is another one now."""
        with self._lock:
            self._abandoned.pop(node, None)

    def _open_within(self, node: str, deadline: Deadline) -> serial.Serial:
        attempt = _Attempt()
        threading.Thread(target=self._attempt, args=(node, attempt), name=f"open {node}", daemon=True).start()
        attempt.done.wait(deadline.remaining_seconds)
        with attempt.lock:
            attempt.abandoned = not attempt.done.is_set()
        if attempt.abandoned:
            with self._lock:
                self._abandoned[node] = count = self._abandoned.get(node, 0) + 1
            logger.warning("open of a port hangs, abandoned", extra={"NODE": node, "COUNT": count})
            raise DeadlineExceeded(f"the open of {node} hangs")
        if attempt.device is None:
            raise attempt.error or TransientError(f"{node} was not opened")
        return attempt.device

    def _attempt(self, node: str, attempt: _Attempt) -> None:
        device: serial.Serial | None = None
        error: TransientError | None = None
        try:
            device = self._open_device(node)
        except TransientError as exc:
            error = exc
        with attempt.lock:
            if not attempt.abandoned:
                attempt.device, attempt.error = device, error
                attempt.done.set()
                return
        if device is not None:
            device.close()
