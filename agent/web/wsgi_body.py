"""The body of a request, for a WSGI application that reads it while it comes."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

logger = logging.getLogger(__name__)

CHUNK_SECONDS = 60.0
"""Longest wait for more of a body."""
BUFFER_BYTES = 64 * 1024


class Body(io.RawIOBase):
    """Ends where the request does: also when the client went away, or nothing came for CHUNK_SECONDS. Whoever wants a
    whole body compares its length with the one that was told."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, receive: Callable[[], Awaitable[MutableMapping[str, Any]]]
    ) -> None:
        self._loop = loop
        self._receive = receive
        self._held = memoryview(b"")
        self._ended = False
        self.stream = io.BufferedReader(self, BUFFER_BYTES)
        """What the application reads from; in a thread that is not the loop's."""

    def end(self) -> None:
        """There is none."""
        self._ended = True

    async def fill(self, seconds: float) -> bool:
        """For the loop: take in the whole of a small one; False when it was not there in time."""
        parts = []
        try:
            async with asyncio.timeout(seconds):
                while not self._ended:
                    parts.append(self._take(await self._receive()))
        except TimeoutError:
            return False
        self._held = memoryview(b"".join(parts))
        return True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """RawIOBase's: what there is, at least one byte unless the body has ended."""
        while not self._held and not self._ended:
            self._held = memoryview(self._wait())
        size = min(len(buffer), len(self._held))
        buffer[:size] = self._held[:size]
        self._held = self._held[size:]
        return size

    def _wait(self) -> bytes:
        future = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
        try:
            return self._take(future.result(CHUNK_SECONDS))
        except TimeoutError:
            future.cancel()
            self._ended = True
            logger.info("a request's body does not go on", extra={"SECONDS": CHUNK_SECONDS})
            return b""

    async def _next(self) -> MutableMapping[str, Any]:
        return await self._receive()

    def _take(self, message: MutableMapping[str, Any]) -> bytes:
        if message["type"] != "http.request":
            self._ended = True
            return b""
        self._ended = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body
