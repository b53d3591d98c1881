"""Carries out connection requests: several at a time, one per device, woken by the database, never polling."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from agent.core.clock import BackOff, Deadline
from agent.core.errors import TransientError
from agent.store.calls import Call, Calls

logger = logging.getLogger(__name__)

AT_ONCE = 16
ATTEMPTS_MOST = 3
CALL_SECONDS = 20.0
IDLE_SECONDS = 30.0
"""How often it looks by itself: a notification is only a hint."""
DATABASE_WAIT = BackOff(first_seconds=0.5, most_seconds=15.0)


class Heard(StrEnum):
    """How a device took a connection request."""

    ACCEPTED = "accepted"
    BUSY = "busy"
    """Later, it says."""
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    """Asking again is useless: wrong credentials, or a URL that is not allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The outcome of one attempt, with a sentence for people."""

    heard: Heard
    reason: str = ""


class Caller:
    """Runs in a thread of its own until `stop`. `ask` sends one request to a device, and must end by its deadline."""

    def __init__(
        self,
        calls: Calls,
        ask: Callable[[Call, Deadline], Reply],
        *,
        session_wait_seconds: float,
        beat: Callable[[], None],
        retry: BackOff | None = None,
    ) -> None:
        self._calls = calls
        self._ask = ask
        self._session_wait_seconds = session_wait_seconds
        self._beat = beat
        self._retry = retry or BackOff(first_seconds=5.0, most_seconds=60.0)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="call")
        self._running = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="caller", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something may be due."""
        self._wake.set()

    def stop(self) -> None:
        """End; calls under way are waited for, as long as they may last."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(CALL_SECONDS)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._beat()
            self._wake.clear()
            try:
                wait = self._turn()
                failures = 0
            except TransientError as exc:
                if failures == 0:
                    logger.warning("connection requests must wait", extra={"REASON": str(exc)})
                wait = DATABASE_WAIT.wait_seconds(failures)
                failures += 1
            self._wake.wait(max(0.0, wait))

    def _turn(self) -> float:
        """Start what is due; how long to wait."""
        self._calls.give_up_unanswered(ATTEMPTS_MOST)
        free = AT_ONCE - self._running
        calls = self._calls.claim(free) if free else ()
        for call in calls:
            with self._lock:
                self._running += 1
            self._pool.submit(self._carry_out, call)
        if len(calls) == free:
            return IDLE_SECONDS  # whoever is ready first wakes us
        due = self._calls.seconds_to_next()
        # A claim of our own is among them: it is not due while it is being carried out.
        return IDLE_SECONDS if due is None else min(IDLE_SECONDS, max(due, 0.05))

    def _carry_out(self, call: Call) -> None:
        try:
            reply = self._ask(call, Deadline.after(CALL_SECONDS))
            self._note(call, reply)
            extra = {"DEVICE_ID": call.device_id, "HEARD": reply.heard.value, "REASON": reply.reason}
            logger.info("connection request", extra=extra)
        except TransientError as exc:
            # Its claim runs out, and it is tried again.
            logger.warning("a connection request's outcome is lost", extra={"REASON": str(exc)})
        except Exception:
            # The thread's boundary.
            logger.exception("a connection request failed unexpectedly", extra={"DEVICE_ID": call.device_id})
            self._drop(call)
        finally:
            with self._lock:
                self._running -= 1
            self._wake.set()

    def _drop(self, call: Call) -> None:
        """What has made us stumble once would do so for ever."""
        with contextlib.suppress(TransientError):
            self._calls.failed(call, "something went wrong here; the worker's log says what")

    def _note(self, call: Call, reply: Reply) -> None:
        match reply.heard:
            case Heard.ACCEPTED:
                self._calls.accepted(call, self._session_wait_seconds)
            case Heard.BUSY | Heard.UNREACHABLE if call.attempts < ATTEMPTS_MOST:
                self._calls.again(call, reply.reason, self._retry.wait_seconds(call.attempts - 1))
            case _:
                self._calls.failed(call, reply.reason)
