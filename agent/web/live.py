"""What a reader of live events is told next, whoever carries it: a thread of its own, or the server's event loop."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent.core.clock import Deadline, Instant, now
from agent.core.errors import TransientError
from agent.store.rows import EventRow
from agent.web.events import EventHub, Subscription
from agent.web.schemas import Event

HEARTBEAT_SECONDS = 15.0
RECHECK_SECONDS = 60.0
"""How long a stream may outlive what it was opened with: a token, a session."""
RECONNECT_MILLISECONDS = 3000


class NotAllowedAnyMore(Exception):
    """What the stream was opened with has ended."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be told at once."""

    progress: tuple[dict[str, Any], ...]
    rows: tuple[EventRow, ...]

    def __bool__(self) -> bool:
        return bool(self.progress or self.rows)


class Feed:
    """One reader's live events, in order. For one caller at a time; `close` gives the reader's place back."""

    def __init__(self, hub: EventHub, subscription: Subscription, still_allowed: Callable[[], bool]) -> None:
        self._hub = hub
        self._subscription = subscription
        self._still_allowed = still_allowed
        self._checked_at = now()

    @property
    def position(self) -> int:
        """Id of the last event that was given out: with it a reader resumes without a gap."""
        return self._subscription.position

    @property
    def is_behind(self) -> bool:
        """Whether there may be more than was taken."""
        return self._subscription.behind

    @property
    def asks(self) -> bool:
        """Whether `take` may ask the database now."""
        return self._subscription.asks

    @property
    def progress_due(self) -> Instant | None:
        """When there is progress to tell; None while there is none."""
        return self._subscription.progress_due

    @property
    def check_due(self) -> bool:
        """Whether `check` is to be called."""
        return now() - self._checked_at >= RECHECK_SECONDS

    def watch(self, stir: Callable[[], None]) -> None:
        """Call `stir`, from any thread, whenever there may be something to take; it must not block."""
        self._subscription.watch(stir)

    def check(self) -> None:
        """Ask whether the reader may go on. Asks the database; raises NotAllowedAnyMore."""
        self._checked_at = now()
        try:
            allowed = self._still_allowed()
        except TransientError:
            # Nobody can be asked; nothing is to be read either.
            return
        if not allowed:
            raise NotAllowedAnyMore

    def take(self, deadline: Deadline) -> Batch:
        """What there is, or will be before `deadline`; an empty one when it has passed. Raises StreamEnded."""
        rows = self._subscription.receive(deadline)
        due = self.progress_due
        return Batch(() if due is None or due > now() else self._subscription.take_progress(), rows)

    def close(self) -> None:
        """Give the place back; may be called twice."""
        self._hub.unsubscribe(self._subscription)


def render_ready(feed: Feed) -> bytes:
    """The first event of a stream of server-sent events."""
    # With its id a client that is cut off before the first event resumes without a gap.
    position = feed.position
    return f'retry: {RECONNECT_MILLISECONDS}\nid: {position}\nevent: ready\ndata: {{"after":{position}}}\n\n'.encode()


def render_batch(batch: Batch) -> bytes:
    """Server-sent events (WHATWG HTML §9.2); of an empty batch a comment, so that both ends see a dead connection."""
    parts = (*(render_progress(each) for each in batch.progress), *(render_event(row) for row in batch.rows))
    return b"".join(parts) or b": heartbeat\n\n"


def render_event(row: EventRow) -> bytes:
    """One event in the format of the stream; JSON holds no bare line end, so one `data` line is enough."""
    return f"id: {row.id}\nevent: {row.kind}\ndata: {_dump(_of_row(row))}\n\n".encode()


def render_progress(progress: dict[str, Any]) -> bytes:
    """How far a discovery has come; without an id, since nobody can resume from it."""
    return f"event: session_progress\ndata: {_dump(progress)}\n\n".encode()


def render_messages(batch: Batch) -> tuple[str, ...]:
    """The same as messages of a WebSocket, one JSON object each: `event`, `data`, and `id` where one can resume."""
    return (
        *(_dump({"event": "session_progress", "data": progress}) for progress in batch.progress),
        *(_dump({"event": row.kind, "id": row.id, "data": _of_row(row)}) for row in batch.rows),
    ) or (_dump({"event": "heartbeat"}),)


def render_ready_message(feed: Feed) -> str:
    """The first message of a WebSocket."""
    return _dump({"event": "ready", "id": feed.position, "data": {"after": feed.position}})


def _of_row(row: EventRow) -> dict[str, Any]:
    return Event.model_validate(row).model_dump(mode="json")


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))
