"""Live streams on the event loop: no thread waits for an event, a slow client delays nobody."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from typing import Any

from agent.core.clock import Deadline, now
from agent.web import live
from agent.web.events import StreamEnded
from agent.web.live import (
    Batch,
    Feed,
    NotAllowedAnyMore,
    render_batch,
    render_messages,
    render_ready,
    render_ready_message,
)

logger = logging.getLogger(__name__)

SEND_SECONDS = 30.0
"""A client that takes nothing for so long is given up; it comes back, and is told what it missed."""
RETRY_SECONDS = 1.0
"""Wait before the database is asked again."""
GOING_AWAY, UNSUPPORTED, POLICY = 1001, 1003, 1008
"""Reasons to close a WebSocket (RFC 6455 §7.4.1)."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Streamer:
    """Sends feeds to clients; what asks the database runs in `pool`."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._running = 0
        self._changed = threading.Condition()

    def wait_idle(self, timeout_seconds: float) -> None:
        """Return when no stream is under way, or the time has passed; not for the loop's thread."""
        with self._changed:
            self._changed.wait_for(lambda: self._running == 0, timeout_seconds)

    async def send_events(self, feed: Feed, start: Message, receive: Receive, send: Send) -> None:
        """Server-sent events until the client goes, the hub closes or the reader may not go on."""
        with self._counted():
            await self._send_events(feed, start, receive, send)

    async def _send_events(self, feed: Feed, start: Message, receive: Receive, send: Send) -> None:
        run = _Run(feed, self._pool, receive)
        try:
            await _send(send, start)
            await _send(send, _body(render_ready(feed)))
            async for batch in run.batches():
                await _send(send, _body(render_batch(batch)))
        except (StreamEnded, NotAllowedAnyMore):
            # The client connects anew, and is told what is the matter.
            await _send(send, {"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            logger.info("a reader of live events takes nothing; it is given up")
        finally:
            await run.close()

    async def send_messages(self, feed: Feed, receive: Receive, send: Send) -> None:
        """The same as a WebSocket's messages. The client is not asked to say anything, and closed when it does."""
        with self._counted():
            await self._send_messages(feed, receive, send)

    async def _send_messages(self, feed: Feed, receive: Receive, send: Send) -> None:
        run = _Run(feed, self._pool, receive)
        code, reason = GOING_AWAY, "the server is stopping"
        try:
            await _send(send, {"type": "websocket.accept"})
            await _send(send, _text(render_ready_message(feed)))
            async for batch in run.batches():
                for message in render_messages(batch):
                    await _send(send, _text(message))
            if run.last["type"] == "websocket.disconnect":
                return
            code, reason = UNSUPPORTED, "nothing is to be sent here"
        except StreamEnded:
            pass
        except NotAllowedAnyMore:
            code, reason = POLICY, "not signed in any more"
        except TimeoutError:
            logger.info("a reader of live events takes nothing; it is given up")
            return
        finally:
            # Before the connection is closed: granian (2.8) waits for whoever still receives.
            await run.close()
        with suppress(TimeoutError):
            await _send(send, {"type": "websocket.close", "code": code, "reason": reason})

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._changed:
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()


class _Run:
    """One stream under way."""

    def __init__(self, feed: Feed, pool: Executor, receive: Receive) -> None:
        self._feed = feed
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._stirred = asyncio.Event()
        self.last: Message = {}
        """What the client sent, when that ended the stream."""
        self._listener = asyncio.create_task(self._listen(receive))
        feed.watch(self._stir)

    async def batches(self) -> AsyncIterator[Batch]:
        """What is to be told, as it comes; an empty batch when nothing came for HEARTBEAT_SECONDS. Ends when the client
        has said something, or gone. Raises StreamEnded, NotAllowedAnyMore."""
        told_at = now()
        while not self.last:
            if self._feed.check_due:
                await self._loop.run_in_executor(self._pool, self._feed.check)
            self._stirred.clear()
            batch = await self._take()
            due = now() - told_at >= live.HEARTBEAT_SECONDS
            if batch or due:
                told_at = now()
                yield batch
            if not self._feed.is_behind:
                await self._wait(told_at + live.HEARTBEAT_SECONDS)

    async def close(self) -> None:
        """Stop to listen to the client, and give the place back."""
        self._feed.close()
        self._listener.cancel()
        with suppress(asyncio.CancelledError):
            await self._listener

    async def _take(self) -> Batch:
        if not self._feed.asks:
            return self._feed.take(Deadline(now()))
        before = self._feed.position
        batch = await self._loop.run_in_executor(self._pool, self._feed.take, Deadline(now()))
        if self._feed.is_behind and self._feed.position == before:
            # The database is away.
            await asyncio.sleep(RETRY_SECONDS)
        return batch

    async def _wait(self, until: float) -> None:
        due = self._feed.progress_due
        if due is not None:
            until = min(until, due)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - now())):
                await self._stirred.wait()

    async def _listen(self, receive: Receive) -> None:
        while not self.last:
            message = await receive()
            if message["type"] != "http.request":
                self.last = message
        self._stirred.set()

    def _stir(self) -> None:
        # The loop is closed when the process ends.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stirred.set)


async def _send(send: Send, message: Message) -> None:
    async with asyncio.timeout(SEND_SECONDS):
        await send(message)


def _body(data: bytes) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": True}


def _text(text: str) -> Message:
    return {"type": "websocket.send", "text": text}
