"""Calls to systemd's manager over D-Bus (org.freedesktop.systemd1(5)); one connection, many threads."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Iterator
from queue import Empty, Queue
from typing import Any

from jeepney import DBusAddress, DBusErrorResponse, MatchRule, Message, message_bus, new_method_call
from jeepney.io.common import RouterClosed
from jeepney.io.threading import DBusConnection, DBusRouter, ReceiveStopped, open_dbus_connection
from jeepney.wrappers import unwrap_msg

from agent.core.clock import Deadline
from agent.core.errors import DeadlineExceeded, TransientError

MANAGER_PATH = "/org/freedesktop/systemd1"
MANAGER_INTERFACE = "org.freedesktop.systemd1.Manager"
UNIT_INTERFACE = "org.freedesktop.systemd1.Unit"
_MANAGER = DBusAddress(MANAGER_PATH, bus_name="org.freedesktop.systemd1", interface=MANAGER_INTERFACE)
_SIGNAL_BOUND = 64
_CONNECT_SECONDS = 5.0


class _Router(DBusRouter):  # type: ignore[misc]
    """Ends its receiving thread quietly when the bus goes away: whoever waits for an answer is told anyway."""

    def _receiver(self) -> None:
        with contextlib.suppress(OSError):
            super()._receiver()


class SystemdBus:
    """A connection to systemd that is opened when it is needed, and again after it broke.

    Every method raises DeadlineExceeded or TransientError.
    """

    def __init__(self, bus: str = "SYSTEM") -> None:
        """`bus`: `SYSTEM`, or the address of another bus."""
        self._bus = bus
        self._lock = threading.Lock()
        self._connection: DBusConnection | None = None
        self._router: DBusRouter | None = None

    def call(self, method: str, signature: str, body: tuple[Any, ...], deadline: Deadline) -> tuple[Any, ...]:
        """The manager's answer to one method call."""
        return self._send(self._open(), new_method_call(_MANAGER, method, signature, body), deadline)

    def unit_property(self, unit: str, name: str, deadline: Deadline) -> Any:
        """A property of a unit (org.freedesktop.systemd1.Unit), which is loaded for it when it is not yet."""
        (path,) = self.call("LoadUnit", "s", (unit,), deadline)
        address = DBusAddress(path, bus_name=_MANAGER.bus_name, interface="org.freedesktop.DBus.Properties")
        asked = new_method_call(address, "Get", "ss", (UNIT_INTERFACE, name))
        ((_, value),) = self._send(self._open(), asked, deadline)
        return value

    def run_job(self, method: str, unit: str, deadline: Deadline) -> str:
        """Call a method that queues a job for `unit` (`StartUnit`, …), wait for that job, and return its result:
        `done`, `failed`, `canceled`, `timeout`, `dependency` or `skipped`."""
        router = self._open()
        rule = _job_removed(unit)
        with router.filter(rule, bufsize=_SIGNAL_BOUND) as signals, self._matched(router, rule, deadline):
            call = new_method_call(_MANAGER, method, "ss", (unit, "replace"))
            (job,) = self._send(router, call, deadline)
            return _result_of(signals, job, unit, deadline)

    def close(self) -> None:
        """End the connection; a later call opens another one."""
        with self._lock:
            self._drop()

    def _open(self) -> DBusRouter:
        with self._lock:
            if self._router is not None:
                return self._router
            try:
                self._connection = open_dbus_connection(self._bus, auth_timeout=_CONNECT_SECONDS)
            except (OSError, KeyError, ValueError, RouterClosed, DBusErrorResponse) as error:
                raise TransientError(f"no connection to the system bus: {error}") from error
            router = self._router = _Router(self._connection)
        self._send(router, new_method_call(_MANAGER, "Subscribe"), Deadline.after(_CONNECT_SECONDS))
        return router

    def _send(self, router: DBusRouter, call: Message, deadline: Deadline) -> tuple[Any, ...]:
        if deadline.passed:
            # Else it would depend on whether the answer is quicker than the look at the clock.
            raise DeadlineExceeded("systemd does not answer")
        try:
            answer: tuple[Any, ...] = unwrap_msg(router.send_and_get_reply(call, timeout=deadline.remaining_seconds))
        except DBusErrorResponse as error:
            raise TransientError(f"systemd: {error}") from error
        except concurrent.futures.TimeoutError as error:
            raise DeadlineExceeded("systemd does not answer") from error
        except (OSError, RouterClosed, ReceiveStopped, KeyError) as error:
            # KeyError: jeepney's own word for an answer that was waited for when another thread dropped the connection.
            with self._lock:
                if self._router is router:
                    self._drop()
            raise TransientError(f"the connection to systemd broke: {error}") from error
        return answer

    @contextlib.contextmanager
    def _matched(self, router: DBusRouter, rule: MatchRule, deadline: Deadline) -> Iterator[None]:
        """Have the bus deliver the signals of the rule."""
        self._send(router, message_bus.AddMatch(rule), deadline)
        try:
            yield
        finally:
            self._send(router, message_bus.RemoveMatch(rule), Deadline.after(_CONNECT_SECONDS))

    def _drop(self) -> None:
        """Forget the connection; `_lock` is held."""
        router, connection, self._router, self._connection = self._router, self._connection, None, None
        with contextlib.suppress(OSError):  # it is broken already
            if router is not None:
                router.close()
            if connection is not None:
                connection.close()


def _job_removed(unit: str) -> MatchRule:
    rule = MatchRule(type="signal", interface=MANAGER_INTERFACE, member="JobRemoved", path=MANAGER_PATH)
    rule.add_arg_condition(2, unit)
    return rule


def _result_of(signals: Queue[Message], job: str, unit: str, deadline: Deadline) -> str:
    while True:
        try:
            message = signals.get(timeout=deadline.remaining_seconds)
        except Empty as error:
            raise DeadlineExceeded(f"systemd's job for {unit} does not end") from error
        _, path, _, result = message.body
        if path == job:
            return str(result)
