"""One request worked on by a WSGI application in a thread, whose answer goes out over the event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from http import HTTPStatus
from typing import Any

from agent.web.handover import Handover

logger = logging.getLogger(__name__)

SEND_SECONDS = 60.0
"""How long a client may take nothing of its answer."""

_NO_WEBSOCKET = b'{"error":{"code":"bad_request","message":"there is no WebSocket here","details":{}}}'

Message = MutableMapping[str, Any]


class ClientGone(Exception):
    """Nobody takes the rest of the answer."""


class Exchange:
    """Runs the application; `run` is for a thread that is not the loop's."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
        handover: Handover,
    ) -> None:
        self._loop = loop
        self._receive = receive
        self._send = send
        self._handover = handover
        self._prefix = "websocket.http" if handover.websocket else "http"
        self._gone = False
        self._watcher: asyncio.Task[None] | None = None
        self.start_message: Message = {}
        """How the answer begins, once the application has said so."""

    def run(self, app: Callable[..., Any], environ: dict[str, Any]) -> None:
        """Have the application answer. When it has left a feed with the handover, nothing was sent; else all was, or
        the client is gone.

        What the application raises is raised: the server then cuts the connection."""
        body = app(environ, self._start_response)
        try:
            if self._handover.feed is not None and self._may_hand_over():
                return
            self._refuse_handover()
            if self._handover.websocket:
                self._refuse_websocket(next(iter(body), b""))
            else:
                self._answer(iter(body))
        except ClientGone:
            logger.debug("a client went away", extra={"PATH": environ["PATH_INFO"][:200]})
        finally:
            if self._watcher is not None:
                self._loop.call_soon_threadsafe(self._watcher.cancel)
            close = getattr(body, "close", None)
            if close is not None:
                close()

    def _start_response(self, status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
        # PEP 3333's write() is not given out: nothing here wants it. A second call, with exc_info, replaces the first,
        # which was not sent yet.
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        self.start_message = {
            "type": f"{self._prefix}.response.start",
            "status": int(status.partition(" ")[0]),
            "headers": encoded,
        }

    def _may_hand_over(self) -> bool:
        return bool(self.start_message["status"] == HTTPStatus.OK)

    def _refuse_handover(self) -> None:
        feed, self._handover.feed = self._handover.feed, None
        if feed is not None:
            feed.close()

    def _refuse_websocket(self, body: bytes) -> None:
        if self.start_message["status"] < HTTPStatus.MULTIPLE_CHOICES:
            # An endpoint that has an answer, but none for WebSockets.
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_NO_WEBSOCKET)).encode())]
            self.start_message.update(status=int(HTTPStatus.BAD_REQUEST), headers=headers)
            body = _NO_WEBSOCKET
        self._deliver(self.start_message, self._chunk(body, more=False))

    def _answer(self, chunks: Iterator[bytes]) -> None:
        length = next((int(value) for name, value in self.start_message["headers"] if name == b"content-length"), None)
        first = next(chunks, b"")
        whole = length is not None and len(first) >= length
        self._deliver(self.start_message, self._chunk(first, more=not whole))
        if whole:
            return
        for chunk in chunks:
            self._watch_client()
            self._deliver(self._chunk(chunk, more=True))
        self._deliver(self._chunk(b"", more=False))

    def _chunk(self, data: bytes, *, more: bool) -> Message:
        return {"type": f"{self._prefix}.response.body", "body": data, "more_body": more}

    def _deliver(self, *messages: Message) -> None:
        if self._gone:
            raise ClientGone
        future = asyncio.run_coroutine_threadsafe(self._send_all(messages), self._loop)
        try:
            future.result(SEND_SECONDS)
        except (TimeoutError, concurrent.futures.CancelledError) as error:
            future.cancel()
            raise ClientGone from error

    async def _send_all(self, messages: tuple[Message, ...]) -> None:
        for message in messages:
            await self._send(message)

    def _watch_client(self) -> None:
        """Notice that the client of a long answer has gone: what is sent to it then is dropped without a word."""
        if self._watcher is None:
            watch = asyncio.run_coroutine_threadsafe(self._start_watch(), self._loop)
            self._watcher = watch.result(SEND_SECONDS)

    async def _start_watch(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        # What is left of the request's body comes first, and is passed over.
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
