"""Takes what was measured into the history, minute by minute, and lets go of what is past its time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from agent.core.clock import Deadline
from agent.core.errors import DeadlineExceeded, TransientError
from agent.store.history import History

logger = logging.getLogger(__name__)

SOURCES = ("modems", "sessions")
PAUSE_SECONDS = 30.0
BITE_MINUTES = 60
BITE_MINUTES_LEAST = 5
BITES_MOST = 500
"""In one turn; a worker that was away for weeks catches up in several."""
RETIRE_SECONDS = 6 * 3600.0
RETIRE_AGAIN_SECONDS = 300.0


class Historian:
    """Runs in a thread of its own until `stop`; any number of workers may have one."""

    def __init__(self, history: History, beat: Callable[[], None], *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._history = history
        self._beat = beat
        self._pause_seconds = pause_seconds
        self._bite = BITE_MINUTES
        self._retire = Deadline.after(0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="historian", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._beat()
            try:
                self.turn()
            except DeadlineExceeded as exc:
                # Too much at once for this database; the same bite would never end.
                self._bite = max(BITE_MINUTES_LEAST, self._bite // 2)
                logger.warning("the history is written in smaller bites", extra={"REASON": str(exc)})
            except TransientError as exc:
                logger.warning("the history must wait", extra={"REASON": str(exc)})
            self._stopping.wait(self._pause_seconds)

    def turn(self) -> None:
        """Everything that is to be done now. Raises TransientError; what was done by then stays done."""
        for source in SOURCES:
            for _ in range(BITES_MOST):
                self._beat()
                if self._stopping.is_set() or not self._history.advance(source, self._bite):
                    break
        self._history.mend()
        if self._retire.passed:
            self._retire = Deadline.after(RETIRE_AGAIN_SECONDS)
            gone = self._history.retire()
            self._retire = Deadline.after(RETIRE_SECONDS)
            logger.info("history thinned", extra={"PARTITIONS_DROPPED": gone})
