"""Places for requests that last: each keeps a thread busy, and some threads must be left for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from agent.web.errors import ApiError
from agent.web.services import Services

BUSY_RETRY_SECONDS = 2


@contextmanager
def waiting_place(services: Services) -> Iterator[None]:
    """One of the places, while inside; ApiError 503 when none is free."""
    if not services.command_slots.acquire(blocking=False):
        message = "too many requests wait for their results already"
        headers = {"Retry-After": str(BUSY_RETRY_SECONDS)}
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", message, headers=headers)
    try:
        yield
    finally:
        services.command_slots.release()
