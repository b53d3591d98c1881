"""What an emulated modem does later: timers and tasks that stop when its power goes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any


class Clockwork:
    """Timers and tasks of one modem, on the running event loop."""

    def __init__(self, seed: int, jitter: float) -> None:
        self._chance = random.Random(seed)
        self._jitter = jitter
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._outliving: set[asyncio.Task[None]] = set()

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def after(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back after about that time, a little different for every modem."""

        def fire() -> None:
            self._timers.discard(handle)
            callback()

        wait = seconds * self._chance.uniform(1 - self._jitter, 1 + self._jitter) if seconds else 0
        handle = asyncio.get_running_loop().call_later(wait, fire)
        self._timers.add(handle)
        return handle

    def forget(self, timer: asyncio.TimerHandle) -> None:
        """Cancel one timer."""
        timer.cancel()
        self._timers.discard(timer)

    def spawn(self, work: Coroutine[Any, Any, None], *, outlives_power: bool = False) -> None:
        """Run `work` beside; an error in it is an error of the emulator and reaches the loop's handler."""
        task = asyncio.get_running_loop().create_task(work)
        (self._outliving if outlives_power else self._tasks).add(task)
        task.add_done_callback(self._finished)

    def stop(self) -> None:
        """The power is gone: nothing that was to come comes."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for task in tuple(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._outliving.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "emulated modem failed", "exception": error, "task": task}
            )
