"""Waiting for what another process brings about: by its condition, with a deadline, never by a sleep alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from agent.core.clock import Deadline

PATIENCE_SECONDS = 60.0
"""For what takes a moment on a quiet machine; this one may be busy."""
_LOOK_SECONDS = 0.02
_Found = TypeVar("_Found")


def until(condition: Callable[[], _Found], what: str, seconds: float = PATIENCE_SECONDS) -> _Found:
    """What `condition` gives as soon as that is true; AssertionError when it does not come."""
    deadline = Deadline.after(seconds)
    while True:
        found = condition()
        if found:
            return found
        if deadline.passed:
            raise AssertionError(f"it did not come to that: {what}")
        time.sleep(_LOOK_SECONDS)
