"""Makes the indexes of what devices are searched by, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from agent.core.errors import TransientError
from agent.store.search_parameters import Filling, SearchParameters

logger = logging.getLogger(__name__)

IDLE_SECONDS = 20.0
WAIT_SECONDS = 0.2
"""Until those who write are done."""


class Searcher:
    """Runs until `stop`; looks at once when it is woken, else every 20 s. Several, on several hosts, share the work."""

    def __init__(self, search: SearchParameters, beat: Callable[[], None]) -> None:
        self._search = search
        self._beat = beat
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="searcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There may be something new to fill."""
        self._woken.set()

    def stop(self) -> None:
        self._stopping.set()
        self._woken.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            self._beat()
            left = False
            try:
                for parameter in self._search.fetch_unready():
                    left |= self._fill(parameter)
            except TransientError as exc:
                logger.warning("making an index must wait", extra={"REASON": str(exc)})
            if not self._stopping.is_set():
                self._woken.wait(WAIT_SECONDS if left else IDLE_SECONDS)

    def _fill(self, parameter: int) -> bool:
        """Fill one as far as it goes without waiting; whether something is left to do."""
        while not self._stopping.is_set():
            self._beat()
            match self._search.fill(parameter):
                case Filling.MORE:
                    continue
                case Filling.WAIT:
                    return True
                case Filling.READY:
                    logger.info("an index for searching devices is made", extra={"PARAMETER": parameter})
                    return False
                case Filling.GONE:
                    return False
        return True
