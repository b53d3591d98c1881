"""Serves a WSGI application to an ASGI server (ASGI 3.0): requests on a pool of threads, live streams on the loop.

Ours, since a2wsgi's thread waits for ever when the client goes away in the middle of an answer, its pool is taken by
bodies that come slowly, and a query that is not ASCII ends it; and none hands a stream over to the loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

from agent.web.environ import make_environ
from agent.web.handover import HANDOVER, Handover
from agent.web.streaming import Streamer
from agent.web.wsgi_body import Body
from agent.web.wsgi_exchange import Exchange

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_READ_BYTES = 64 * 1024
"""A body up to this is read before a thread is taken: one that comes slowly then costs none."""
BODY_SECONDS = 20.0
"""How long such a body may take."""
STREAM_THREADS = 4
"""Threads that look in the database for live streams."""


class Gateway:
    """The ASGI application. `begin` is called on the event loop before the first request; what it raises ends the
    process. A request takes one of `threads`."""

    def __init__(
        self, app: Callable[..., Any], *, threads: int, begin: Callable[[Gateway], None] = lambda _: None
    ) -> None:
        self._app = app
        self._begin = begin
        self._pool = ThreadPoolExecutor(threads, "request")
        self._stream_pool = ThreadPoolExecutor(STREAM_THREADS, "stream")
        self._streamer = Streamer(self._stream_pool)

    def wait_for_streams(self, timeout_seconds: float) -> None:
        """Return when no live stream is under way, or the time has passed; not for the loop's thread."""
        self._streamer.wait_idle(timeout_seconds)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "websocket":
                await self._websocket(scope, receive, send)
            case "lifespan":
                await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            self._begin(self)
        except Exception as error:
            # The process's boundary: the server says so and ends it.
            logger.exception("the server does not start")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._stream_pool.shutdown(wait=False, cancel_futures=True)
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Message, receive: Receive, send: Send) -> None:
        environ = make_environ(scope)
        loop = asyncio.get_running_loop()
        body = Body(loop, receive)
        length = environ.get("CONTENT_LENGTH")
        if length is None and "HTTP_TRANSFER_ENCODING" not in environ:
            body.end()
        elif length is not None and int(length) <= BODY_READ_BYTES and not await body.fill(BODY_SECONDS):
            await _refuse(send, HTTPStatus.REQUEST_TIMEOUT)
            return
        environ["wsgi.input"] = body.stream
        handover = environ[HANDOVER] = Handover(websocket=False)
        exchange = Exchange(loop, receive, send, handover)
        await loop.run_in_executor(self._pool, exchange.run, self._app, environ)
        if handover.feed is not None:
            await self._streamer.send_events(handover.feed, exchange.start_message, receive, send)

    async def _websocket(self, scope: Message, receive: Receive, send: Send) -> None:
        environ = make_environ(scope)
        # The handover says so; werkzeug would look for routes of another kind.
        environ.pop("HTTP_UPGRADE", None)
        loop = asyncio.get_running_loop()
        body = Body(loop, receive)
        body.end()
        environ["wsgi.input"] = body.stream
        handover = environ[HANDOVER] = Handover(websocket=True)
        exchange = Exchange(loop, receive, send, handover)
        await receive()  # websocket.connect
        await loop.run_in_executor(self._pool, exchange.run, self._app, environ)
        if handover.feed is not None:
            await self._streamer.send_messages(handover.feed, receive, send)


async def _refuse(send: Send, status: HTTPStatus) -> None:
    await send({"type": "http.response.start", "status": int(status), "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
