"""Live events for many readers: a hub that is woken by notifications, and bounded queues that never lose one.

A reader that cannot keep up is not cut off: its queue is emptied and it reads what it missed from the table.
Progress is in no table: of each device a reader gets what is true when it looks, and misses what has been overtaken.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from agent.core.clock import BackOff, Deadline, Instant, now
from agent.core.errors import AgentError, ProtocolError, TransientError
from agent.store.documents import read_object
from agent.store.listen import ALERT_CHANGE, DEVICE_CHANGE, MODEM_CHANGE, SESSION_PROGRESS
from agent.store.rows import EventRow

logger = logging.getLogger(__name__)

CHANNELS = (MODEM_CHANGE, DEVICE_CHANGE, ALERT_CHANGE, SESSION_PROGRESS)
"""What a hub wants to hear of."""
PAGE = 500
QUEUE_MOST = 256
RESYNC_SECONDS = 15.0
PROGRESS_SECONDS = 0.25
"""Between two times that a reader gets progress."""
SETTLE_SECONDS = 0.02
"""Notifications that come together are answered by one query."""


class EventSource(Protocol):
    """Where events are kept, in the order of their ids."""

    def fetch_events(self, after_id: int, limit: int = 1000) -> Sequence[EventRow]: ...

    def latest_event_id(self) -> int: ...


class ScopedSource(EventSource, Protocol):
    """Gives only the events that one reader may see."""

    def visible_devices(self, device_ids: Iterable[str]) -> frozenset[str]: ...


class StreamsExhausted(Exception):
    """As many streams are open as may be."""


class StreamEnded(Exception):
    """The hub was closed."""


class Subscription:
    """One reader's place in the sequence of events. `receive` is for one thread; the rest is the hub's."""

    def __init__(
        self,
        source: EventSource,
        position: int,
        serial: str | None,
        device: str | None,
        queue_most: int,
        scoped: ScopedSource | None = None,
    ) -> None:
        """`scoped`: the reader may see a part only, and reads it from there instead of being handed everything."""
        self.position = position
        """Id of the last event that was given out or passed over."""
        self._source = source if scoped is None else scoped
        self._scoped = scoped
        self._serial = serial
        self._device = device
        self._queue_most = queue_most
        self._queue: deque[EventRow] = deque()
        self._progress: dict[str, dict[str, Any]] = {}
        self._progress_due = now()
        self._condition = threading.Condition()
        self._behind = True
        self._ended = False
        self._stir: Callable[[], None] | None = None

    @property
    def behind(self) -> bool:
        """Whether the next `receive` asks the database for more."""
        return self._behind

    @property
    def asks(self) -> bool:
        """Whether to take what there is may ask the database."""
        return self._behind or (self._scoped is not None and bool(self._progress))

    @property
    def progress_due(self) -> Instant | None:
        """When progress that was heard of may be taken; None while there is none."""
        return self._progress_due if self._progress else None

    def watch(self, stir: Callable[[], None]) -> None:
        """Call `stir` from now on, from any thread, when there may be something to receive; it must not block."""
        with self._condition:
            self._stir = stir
            self._notify()

    def receive(self, deadline: Deadline) -> tuple[EventRow, ...]:
        """Events after the last ones, in order; empty when `deadline` passed first, or there is progress to take.

        Raises StreamEnded."""
        while True:
            rows = self._take(deadline)
            wanted = tuple(row for row in rows if row.id > self.position and self._wants(row))
            if rows:
                self.position = max(self.position, rows[-1].id)
            if wanted or deadline.passed or (self._progress and self._progress_due <= now()):
                return wanted

    def take_progress(self) -> tuple[dict[str, Any], ...]:
        """How far the discoveries under way have come, those that have moved since the last call."""
        with self._condition:
            taken = dict(self._progress)
            self._progress.clear()
            if taken:
                self._progress_due = now() + PROGRESS_SECONDS
        if self._scoped is None or not taken:
            return tuple(taken.values())
        try:
            visible = self._scoped.visible_devices(taken)
        except TransientError as error:
            logger.debug("progress cannot be shown", extra={"ERROR": str(error)})
            return ()
        return tuple(progress for device, progress in taken.items() if device in visible)

    def offer(self, rows: Sequence[EventRow]) -> None:
        """Queue new events; when there are too many, have the reader fetch them instead."""
        with self._condition:
            if self._scoped is not None or self._behind or len(self._queue) + len(rows) > self._queue_most:
                self._fall_behind()
            else:
                self._queue.extend(rows)
            self._notify()

    def offer_progress(self, device: str, progress: dict[str, Any]) -> None:
        """Keep what was heard of a device last."""
        if self._serial is not None or self._device not in (None, device):
            return
        with self._condition:
            if device in self._progress or len(self._progress) < self._queue_most:
                self._progress[device] = progress
                self._notify()

    def refetch(self) -> None:
        """Have the reader look in the table."""
        with self._condition:
            self._fall_behind()
            self._notify()

    def end(self) -> None:
        """Make `receive` raise StreamEnded, now and from now on."""
        with self._condition:
            self._ended = True
            self._notify()

    def _wants(self, row: EventRow) -> bool:
        return (self._serial is None or row.serial == self._serial) and self._device in (None, row.device_id)

    def _notify(self) -> None:
        self._condition.notify_all()
        if self._stir is not None:
            self._stir()

    def _fall_behind(self) -> None:
        self._queue.clear()
        self._behind = True

    def _wait(self, deadline: Deadline) -> None:
        """Wait for something to give out; called, and returns, with the condition's lock."""
        while not (self._ended or self._behind or self._queue or deadline.passed):
            until = min(deadline.at, self._progress_due) if self._progress else deadline.at
            if until <= now():
                return
            self._condition.wait(until - now())

    def _take(self, deadline: Deadline) -> Sequence[EventRow]:
        with self._condition:
            self._wait(deadline)
            if self._ended:
                raise StreamEnded
            if not self._behind:
                rows = tuple(self._queue)
                self._queue.clear()
                return rows
            # From here on new events are queued; those that the query sees too are passed over by their id.
            self._behind = False
        return self._fetch(deadline)

    def _fetch(self, deadline: Deadline) -> Sequence[EventRow]:
        try:
            # What is not for this reader need not be looked at again.
            passed_over = self._source.latest_event_id() if self._scoped is not None else 0
            rows = self._source.fetch_events(self.position, PAGE)
            if not rows and self._scoped is not None:
                self.position = passed_over
            elif not rows:
                # Ids only grow; when the newest is an older one, the database was restored from a backup.
                self.position = min(self.position, self._source.latest_event_id())
        except TransientError as error:
            logger.debug("events cannot be fetched", extra={"ERROR": str(error)})
            with self._condition:
                self._fall_behind()
                self._condition.wait_for(lambda: self._ended, deadline.earlier(1.0).remaining_seconds)
            return ()
        if len(rows) == PAGE:
            with self._condition:
                self._fall_behind()
        return rows


class EventHub:
    """Gives every event to every subscription, as soon as `wake` says that there may be one."""

    def __init__(
        self,
        source: EventSource,
        *,
        streams_most: int,
        queue_most: int = QUEUE_MOST,
        resync_seconds: float = RESYNC_SECONDS,
    ) -> None:
        self._source = source
        self._streams_most = streams_most
        self._queue_most = queue_most
        self._resync_seconds = resync_seconds
        self._back_off = BackOff(first_seconds=0.5, most_seconds=10.0)
        self._lock = threading.Lock()
        self._subscriptions: set[Subscription] = set()
        self._position: int | None = None
        """Id of the last event that was offered; None while nobody reads. Of the hub's thread only."""
        self._distrust = threading.Event()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-hub", daemon=True)

    @property
    def streams(self) -> int:
        """Subscriptions that are open now."""
        return len(self._subscriptions)

    def start(self) -> None:
        """Start to deliver."""
        self._thread.start()

    def wake(self) -> None:
        """There may be new events. Never blocks."""
        self._wake.set()

    def hear(self, channel: str, payload: str) -> None:
        """Take a notification of one of CHANNELS. Never blocks."""
        if channel != SESSION_PROGRESS:
            self.wake()
            return
        try:
            progress = read_object(payload)
        except ProtocolError as error:
            logger.debug("a notification is passed over", extra={"ERROR": str(error)})
            return
        for subscription in self._readers():
            subscription.offer_progress(str(progress.get("device", "")), progress)

    def resync(self) -> None:
        """Notifications may have been missed, and the table may be another one: start from what it says now."""
        self._distrust.set()
        self._wake.set()

    def subscribe(
        self, after: int | None, serial: str | None, device: str | None = None, scoped: ScopedSource | None = None
    ) -> Subscription:
        """Open a stream of the events after id `after` (None: from now on), of one modem, of one device or of all.

        `scoped` gives the events of those who may see a part only. Raises StreamsExhausted,
        StreamEnded (the hub is closed), or TransientError (no table to read)."""
        with self._lock:
            self._refuse_when_full()
        latest = self._source.latest_event_id()
        position = latest if after is None else min(after, latest)
        subscription = Subscription(self._source, position, serial, device, self._queue_most, scoped)
        with self._lock:
            self._refuse_when_full()
            self._subscriptions.add(subscription)
        self._wake.set()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Close a stream; a closed one is no error."""
        with self._lock:
            self._subscriptions.discard(subscription)

    def end(self) -> None:
        """End every stream and open no more, at once; may be called twice."""
        with self._lock:
            self._closed.set()
            subscriptions = tuple(self._subscriptions)
        self._wake.set()
        for subscription in subscriptions:
            subscription.end()

    def close(self) -> None:
        """End every stream, and wait until nothing is delivered any more; may be called twice."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(10)

    def _refuse_when_full(self) -> None:
        if self._closed.is_set():
            raise StreamEnded
        if len(self._subscriptions) >= self._streams_most:
            raise StreamsExhausted

    def _run(self) -> None:
        failures = 0
        while not self._closed.is_set():
            wait = self._back_off.wait_seconds(failures - 1) if failures else self._resync_seconds
            self._wake.wait(wait)
            self._closed.wait(SETTLE_SECONDS)
            self._wake.clear()
            try:
                self._deliver()
                failures = 0
            except AgentError as error:
                failures += 1
                level = logging.DEBUG if isinstance(error, TransientError) else logging.ERROR
                logger.log(level, "events cannot be delivered", extra={"ERROR": str(error)})

    def _deliver(self) -> None:
        if self._distrust.is_set() or not self._subscriptions:
            self._distrust.clear()
            self._position = None
        if not self._subscriptions:
            return
        if self._position is None:
            self._position = self._source.latest_event_id()
            # Events may have come between a reader's own look and this one: all look once more.
            for subscription in self._readers():
                subscription.refetch()
            return
        while rows := self._source.fetch_events(self._position, PAGE):
            self._position = rows[-1].id
            # Asked for only now: who subscribes later than this sees these rows in the table.
            for subscription in self._readers():
                subscription.offer(rows)

    def _readers(self) -> tuple[Subscription, ...]:
        with self._lock:
            return tuple(self._subscriptions)
