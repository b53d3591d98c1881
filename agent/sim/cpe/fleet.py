"""Many emulated CPEs in one process: one thread, one event loop, a bounded number of sessions at a time.

with CpeFleet(FleetOptions(url="http://127.0.0.1:7547/", count=200)) as fleet:
    fleet.command(fleet.serial_numbers[3], "reboot")
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from agent.core.clock import Deadline, now
from agent.core.errors import ConfigError, DeadlineExceeded, TransientError
from agent.sim.cpe.commands import run_command
from agent.sim.cpe.connection_request_server import ConnectionRequestServer
from agent.sim.cpe.connection_requests import Callee
from agent.sim.cpe.cpe import Cpe
from agent.sim.cpe.device import CONNECTION_REQUEST
from agent.sim.cpe.fleet_options import FleetOptions, build_cpes, request_path
from agent.sim.cpe.records import CpeStatus
from agent.sim.cpe.scheduler import Scheduler

_CALL_SECONDS = 30.0
_Result = TypeVar("_Result")


class CpeFleet:
    """Started by `start`, ended by `stop`; or a context manager. Its methods are for other threads than its own."""

    def __init__(self, options: FleetOptions) -> None:
        """Loads the models; nothing runs yet. ConfigError for options that make no sense."""
        options.check()
        self.options = options
        self._models = options.load_models()
        self._cpes: dict[str, Cpe] = {}
        self._by_path: dict[str, Cpe] = {}
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._scheduler: Scheduler | None = None
        self._changed = threading.Condition()
        self._changes = 0

    def start(self) -> None:
        """Listen for connection requests, and switch the CPEs on. TransientError when it cannot listen."""
        if self._thread is not None:
            raise ConfigError("the fleet runs already")
        ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="cpe-fleet", daemon=True)
        self._thread.start()
        try:
            ready.result(_CALL_SECONDS)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all sessions and the listener; the CPEs can still be looked at. TransientError when that hangs."""
        thread, loop, main = self._thread, self._loop, self._main
        if thread is None:
            return
        if loop is not None and main is not None and thread.is_alive():
            # A loop that just ended by itself is closed.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(main.cancel)
        thread.join(_CALL_SECONDS)
        if thread.is_alive():
            raise TransientError("the fleet does not end")
        self._thread = self._loop = self._main = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def serial_numbers(self) -> tuple[str, ...]:
        """Of all CPEs, in their order."""
        return tuple(self._cpes)

    def cpe(self, serial_number: str) -> Cpe:
        """One CPE, to look at; ConfigError when there is none. Use `command` to change it."""
        found = self._cpes.get(serial_number)
        if found is None:
            raise ConfigError(f"no CPE {serial_number}")
        return found

    def status(self) -> tuple[CpeStatus, ...]:
        """Every CPE, in their order."""
        return self._call(lambda: tuple(cpe.status() for cpe in self._cpes.values()))

    def failures(self) -> tuple[str, ...]:
        """Errors of the emulator itself; a test that finds any found a bug here."""
        return () if self._scheduler is None else tuple(self._scheduler.failures)

    def command(self, serial_number: str, name: str, /, *arguments: Any, **named: Any) -> None:
        """Do something to a CPE (`agent.sim.cpe.commands.COMMANDS`); ConfigError when it makes no sense."""

        def do() -> None:
            cpe = self.cpe(serial_number)
            run_command(cpe, name, *arguments, **named)
            self._plan(cpe)

        self._call(do)

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition that sessions and transfers bring about; DeadlineExceeded when it does not come."""
        deadline = Deadline.after(seconds)
        while True:
            with self._changed:
                seen = self._changes
            if condition():
                return
            if deadline.passed:
                raise DeadlineExceeded("the fleet does not come to what is waited for")
            with self._changed:
                if self._changes == seen:
                    self._changed.wait(deadline.remaining_seconds)

    def _call(self, do: Callable[[], _Result]) -> _Result:
        """Run it in the fleet's thread; in this one when the fleet does not run."""
        if self._loop is None:
            return do()

        async def run() -> _Result:
            return do()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(_CALL_SECONDS)

    def _run(self, ready: concurrent.futures.Future[None]) -> None:
        try:
            asyncio.run(self._serve(ready))
        except asyncio.CancelledError:
            pass
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)

    async def _serve(self, ready: concurrent.futures.Future[None]) -> None:
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        server = ConnectionRequestServer(self._by_path.get, self._wake)
        self._scheduler = scheduler = Scheduler(self.options.most_sessions, self._note_change)
        try:
            port = await self._listen(server)
            for place, cpe in enumerate(self._build(port)):
                self._cpes[cpe.serial_number] = cpe
                self._by_path[request_path(self.options, self.options.first_number + place)] = cpe
                scheduler.plan(cpe)
            ready.set_result(None)
            await scheduler.run()
        finally:
            await server.stop()

    async def _listen(self, server: ConnectionRequestServer) -> int:
        host, port = self.options.listen_host, self.options.listen_port
        try:
            return await server.start(host, port)
        except OSError as error:
            raise TransientError(f"no connection requests can be heard on {host} TCP port {port}: {error}") from error

    def _build(self, port: int) -> list[Cpe]:
        base_url = f"http://{self.options.announced_host or self.options.listen_host}:{port}"
        return build_cpes(self.options, self._models, base_url)

    def _plan(self, cpe: Cpe) -> None:
        if self._scheduler is not None and self._loop is not None:
            self._scheduler.plan(cpe)

    def _wake(self, callee: Callee) -> None:
        cpe = self._cpes[callee.serial_number]
        cpe.device.raise_event(CONNECTION_REQUEST, now())
        self._plan(cpe)

    def _note_change(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()
