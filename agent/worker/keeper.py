"""Ends what has fallen silent and drops what is old, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from agent.core.clock import Deadline
from agent.core.errors import TransientError
from agent.core.settings.schema import AcsSettings
from agent.store.housekeeping import Housekeeping

logger = logging.getLogger(__name__)

RETIRE_SECONDS = 6 * 3600.0
RETIRE_AGAIN_SECONDS = 300.0
ROUND_SECONDS_MOST = 10.0


class Keeper:
    """Runs until `stop`."""

    def __init__(
        self,
        housekeeping: Housekeeping,
        settings: AcsSettings,
        beat: Callable[[], None],
        retire_more: Callable[[], int] = lambda: 0,
    ) -> None:
        """`retire_more` drops what is old elsewhere, and says how much that was."""
        self._retire_more = retire_more
        self._housekeeping = housekeeping
        self._settings = settings
        self._beat = beat
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)

    def _run(self) -> None:
        retire = Deadline.after(0)
        pause = min(ROUND_SECONDS_MOST, max(1.0, self._settings.session_idle_seconds / 3))
        while not self._stopping.is_set():
            self._beat()
            try:
                self._tidy()
                if retire.passed:
                    retire = Deadline.after(RETIRE_AGAIN_SECONDS)
                    gone = self._housekeeping.retire(days=self._settings.session_days) + self._retire_more()
                    retire = Deadline.after(RETIRE_SECONDS)
                    logger.info("history retired", extra={"GONE": gone})
            except TransientError as exc:
                logger.warning("housekeeping must wait", extra={"REASON": str(exc)})
            self._stopping.wait(pause)

    def _tidy(self) -> None:
        tidied = self._housekeeping.tidy(
            idle_seconds=self._settings.session_idle_seconds, nonce_seconds=self._settings.nonce_seconds
        )
        if tidied.sessions_ended or tidied.tasks_expired:
            extra = {"SESSIONS": tidied.sessions_ended, "TASKS": tidied.tasks_expired}
            logger.info("silent sessions ended", extra=extra)
