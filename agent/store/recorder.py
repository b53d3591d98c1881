"""What the agent reports (`agent.modem.ports.Recorder`), written by a thread of its own; on disk while it must wait."""

from __future__ import annotations

import logging
import threading
from collections import deque
from pathlib import Path

from agent.core.clock import BackOff, Deadline, Instant, now, wall
from agent.core.errors import AgentError, TransientError
from agent.modem.ports import CommandResult, LogEntry, ModemReport
from agent.store.batches import BatchWriter
from agent.store.database import Database
from agent.store.outbox_file import OutboxFile, Record, RecordKind
from agent.store.records import Item, coalesce, kind_of, render_record

log = logging.getLogger(__name__)

BATCH_ROWS = 500
BATCH_SECONDS = 1.0
QUEUE_MOST = 20_000
"""Rows kept in memory while a batch is being written; then the oldest log rows go first."""


class OutboxRecorder:
    """Writes logs, reports and results of `host` to the database, in order, each once.

    `log`, `report` and `finish` never block and never raise. Rows are written in batches, at most about a second
    after they came; command results at once. While the database is away they wait in the file `path`, at most
    `limit` of them. A process that is killed loses at most the last second.
    """

    def __init__(self, database: Database, host: str, path: Path, *, limit: int = 100_000) -> None:
        self._database = database
        self._host = host
        self._path = path
        self._limit = limit
        self._back_off = BackOff(first_seconds=0.5, most_seconds=5.0)
        self._condition = threading.Condition()
        self._queue: deque[Item] = deque()
        self._first_at: Instant = 0.0
        self._urgent = False
        self._busy = False
        self._waiting = 0
        self._stopping = False
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def log(self, entry: LogEntry) -> None:
        self._put(entry)

    def report(self, report: ModemReport) -> None:
        self._put(report)

    def finish(self, result: CommandResult) -> None:
        self._put(result)

    @property
    def waiting(self) -> int:
        """Rows that are not in the database yet."""
        with self._condition:
            return len(self._queue) + self._waiting

    @property
    def dropped(self) -> int:
        """Rows given up since the start, for want of room."""
        return self._dropped

    def start(self) -> None:
        """Open the file and start writing, with what an earlier process has left there first.

        Raises ConfigError when the file cannot be made, TransientError when the disk fails."""
        outbox = OutboxFile(self._path, self._limit)
        self._waiting = outbox.waiting
        self._thread = threading.Thread(target=self._run, args=(outbox,), name="outbox", daemon=True)
        self._thread.start()

    def flush(self, deadline: Deadline) -> bool:
        """Wait until every row so far is in the database; False when `deadline` passes before."""
        with self._condition:
            self._urgent = True
            self._condition.notify_all()
            return self._condition.wait_for(
                lambda: not (self._queue or self._busy or self._waiting), deadline.remaining_seconds
            )

    def stop(self, deadline: Deadline) -> None:
        """Write what is there, to disk if need be, and end; rows that come after this are lost."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(deadline.remaining_seconds)
            if self._thread.is_alive():
                log.error("the outbox did not end in time", extra={"HOST": self._host})

    def _put(self, item: Item) -> None:
        with self._condition:
            if not self._queue:
                self._first_at = now()
            self._queue.append(item)
            if len(self._queue) > QUEUE_MOST:
                self._drop_one()
            if isinstance(item, CommandResult) or len(self._queue) >= BATCH_ROWS:
                self._urgent = True
            if self._urgent or len(self._queue) == 1:
                self._condition.notify_all()

    def _drop_one(self) -> None:
        oldest = next((index for index, item in enumerate(self._queue) if kind_of(item) is RecordKind.LOG), 0)
        del self._queue[oldest]
        self._dropped += 1

    def _run(self, outbox: OutboxFile) -> None:
        writer = _Writer(self._database, self._host, outbox)
        attempt, retry_at = 0, 0.0
        try:
            while True:
                items = self._take(retry_at if writer.waiting else None)
                stopping = self._stopping
                may_try = now() >= retry_at or stopping
                try:
                    written = self._write(writer, items, may_try=may_try)
                except Exception:
                    # The thread's boundary: one batch must not end the recording.
                    log.exception("a batch was lost", extra={"ROWS": len(items)})
                    self._dropped, written = self._dropped + len(items), False
                if written:
                    attempt, retry_at = 0, 0.0
                elif may_try:
                    retry_at = now() + self._back_off.wait_seconds(attempt)
                    attempt += 1
                with self._condition:
                    self._busy, self._waiting = False, writer.waiting
                    self._condition.notify_all()
                    if stopping and not self._queue:
                        return
        finally:
            outbox.close()

    def _take(self, retry_at: Instant | None) -> list[Item]:
        """Wait for a batch, or until rows on disk may be tried again (`retry_at`), and return the batch."""
        with self._condition:
            while not (self._stopping or self._urgent):
                due = [self._first_at + BATCH_SECONDS] if self._queue else []
                due += [] if retry_at is None else [retry_at]
                if due and min(due) <= now():
                    break
                self._condition.wait(min(due) - now() if due else None)
            items = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_ROWS))]
            self._first_at = now()
            self._urgent = len(self._queue) >= BATCH_ROWS
            self._busy = True
            return items

    def _write(self, writer: _Writer, items: list[Item], *, may_try: bool) -> bool:
        dropped = writer.keep_or_write(coalesce(items), may_try=may_try)
        if dropped:
            self._dropped += dropped
            log.warning("the outbox is full; its oldest rows were given up", extra={"ROWS": dropped})
        return may_try and writer.drain()


class _Writer:
    """The thread's own half: what is on disk goes first, so that everything is written in order."""

    def __init__(self, database: Database, host: str, outbox: OutboxFile) -> None:
        self._outbox = outbox
        self._batches = BatchWriter(database, host, outbox.outbox, outbox.set_aside)
        self._sequence = outbox.first_sequence
        self._unkept: list[Record] = []

    @property
    def waiting(self) -> int:
        """Rows that are not in the database yet."""
        return self._outbox.waiting + len(self._unkept)

    def keep_or_write(self, items: list[Item], *, may_try: bool) -> int:
        """Write the items when nothing waits before them, else keep them on disk; return how many rows that cost."""
        records = [*self._unkept, *(self._number(item) for item in items)]
        if not records:
            return 0
        if may_try and not self._outbox.waiting:
            try:
                self._batches.write(records)
            except AgentError as exc:
                log.info("rows must wait on disk", extra={"ROWS": len(records), "REASON": str(exc)})
            else:
                self._unkept = []
                return 0
        return self._keep(records)

    def _keep(self, records: list[Record]) -> int:
        try:
            dropped = self._outbox.append(records)
        except TransientError as exc:
            # Their numbers stay, so that nothing is doubled should the database have them after all.
            log.warning("rows cannot be kept on disk", extra={"ROWS": len(records), "REASON": str(exc)})
            self._unkept = records[-QUEUE_MOST:]
            return len(records) - len(self._unkept)
        self._unkept = []
        return dropped

    def drain(self) -> bool:
        """Write what waits on disk; False when the database went away over it."""
        try:
            while records := self._outbox.oldest(BATCH_ROWS):
                self._batches.write(records)
                self._outbox.remove_through(records[-1].sequence)
        except TransientError as exc:
            log.debug("the database is still away", extra={"REASON": str(exc)})
            return False
        except AgentError as exc:
            log.warning("the database refuses what waits on disk", extra={"REASON": str(exc)})
            return False
        return not self._unkept

    def _number(self, item: Item) -> Record:
        record = Record(sequence=self._sequence, kind=kind_of(item), body=render_record(item, wall()))
        self._sequence += 1
        return record
