"""When each CPE of a fleet has its session or transfer: a heap of due times, and a bounded number of sessions."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from agent.core.clock import now
from agent.sim.cpe.cpe import Cpe
from agent.sim.cpe.device import NEVER
from agent.sim.cpe.jobs import Job

_MOST_FAILURES = 100
_LONGEST_WAIT_SECONDS = 3600.0


class Scheduler:
    """Lives in one event loop; `plan` a CPE whenever something changed for it. At most that many transfers, too."""

    def __init__(self, most_sessions: int, changed: Callable[[], None]) -> None:
        """`changed` is called after each session, transfer and failure."""
        self.failures: deque[str] = deque(maxlen=_MOST_FAILURES)
        self._most_sessions = most_sessions
        self._changed = changed
        self._heap: list[tuple[float, int, Cpe]] = []
        self._order = itertools.count()
        self._planned: dict[Cpe, float] = {}
        self._active: set[Cpe] = set()
        self._waiting: dict[Cpe, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._job_slots = asyncio.Semaphore(most_sessions)

    def plan(self, cpe: Cpe) -> None:
        """Look again when the CPE is due, and do then what is due."""
        is_busy = cpe in self._active or cpe in self._waiting
        due = cpe.device.jobs_due() if is_busy else min(cpe.device.jobs_due(), cpe.device.session_due())
        if due == self._planned.get(cpe, NEVER):
            return
        self._planned[cpe] = due
        if due < NEVER:
            heapq.heappush(self._heap, (due, next(self._order), cpe))
            self._woken.set()

    async def run(self) -> None:
        """Until it is cancelled; all sessions and transfers end then, too."""
        try:
            while True:
                self._start_due()
                seconds = self._heap[0][0] - now() if self._heap else _LONGEST_WAIT_SECONDS
                self._woken.clear()
                try:
                    async with asyncio.timeout(max(0.0, min(seconds, _LONGEST_WAIT_SECONDS))):
                        await self._woken.wait()
                except TimeoutError:
                    pass
        finally:
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start_due(self) -> None:
        while self._heap and self._heap[0][0] <= now():
            due, _, cpe = heapq.heappop(self._heap)
            # An entry that was planned anew meanwhile is an old one.
            if self._planned.get(cpe) == due:
                del self._planned[cpe]
                self._start(cpe)
                self.plan(cpe)

    def _start(self, cpe: Cpe) -> None:
        present = now()
        cpe.device.end_diagnostics(present)
        for job in cpe.device.take_due_jobs(present):
            self._spawn(self._job(cpe, job))
        if cpe.device.session_due() <= present and cpe not in self._active and cpe not in self._waiting:
            if len(self._active) < self._most_sessions:
                self._active.add(cpe)
                self._spawn(self._session(cpe))
            else:
                self._waiting[cpe] = None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _session(self, cpe: Cpe) -> None:
        try:
            await cpe.session()
        except Exception as error:  # noqa: BLE001 the boundary of a session: one CPE's bug must not end the fleet
            self._note_failure(cpe, error)
        finally:
            self._active.discard(cpe)
        if self._waiting and len(self._active) < self._most_sessions:
            first = next(iter(self._waiting))
            del self._waiting[first]
            self._active.add(first)
            self._spawn(self._session(first))
        self.plan(cpe)
        self._changed()

    async def _job(self, cpe: Cpe, job: Job) -> None:
        try:
            async with self._job_slots:
                await cpe.job(job)
        except Exception as error:  # noqa: BLE001 as for a session
            self._note_failure(cpe, error)
        self.plan(cpe)
        self._changed()

    def _note_failure(self, cpe: Cpe, error: Exception) -> None:
        self.failures.append(f"{cpe.serial_number}: {error!r}")
        # It is due again at once, and would fail again at once.
        cpe.device.online_at = NEVER
