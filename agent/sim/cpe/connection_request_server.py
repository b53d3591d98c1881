"""The HTTP server on which the CPEs of a process hear connection requests; each CPE has a path of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import h11

from agent.core.clock import now
from agent.sim.cpe.connection_requests import Callee, DoorAnswer, Doorkeeper

_READ_BYTES = 1 << 14
_REQUEST_SECONDS = 10.0
_CLOSE_SECONDS = 1.0


class ConnectionRequestServer:
    """Asks `find` who is called by a path, and tells `wake` of a session that is wanted."""

    def __init__(self, find: Callable[[str], Callee | None], wake: Callable[[Callee], None]) -> None:
        """`find` gives None for a path of no CPE; the connection to a CPE that is not online is reset."""
        self._find = find
        self._wake = wake
        self._doorkeeper = Doorkeeper()
        self._server: asyncio.Server | None = None
        self._writers: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def start(self, host: str, port: int) -> int:
        """Listen; the TCP port, which was chosen when `port` is 0."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=_READ_BYTES, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening, and end what is connected."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        tasks = [task for task in self._writers.values() if task is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.gather(*tasks, return_exceptions=True)
                if self._server is not None:
                    await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers[writer] = asyncio.current_task()
        state = h11.Connection(h11.SERVER)
        try:
            while True:
                async with asyncio.timeout(_REQUEST_SECONDS):
                    request = await _receive(state, reader)
                if request is None or not await self._answer(state, request, writer):
                    break
        except (OSError, TimeoutError, h11.ProtocolError):
            pass
        finally:
            self._writers.pop(writer, None)
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await writer.wait_closed()

    async def _answer(self, state: h11.Connection, request: h11.Request, writer: asyncio.StreamWriter) -> bool:
        callee = self._find(request.target.decode("latin-1").partition("?")[0])
        answer = DoorAnswer(404)
        if callee is not None:
            if not callee.online:
                writer.transport.abort()
                return False
            headers = {name: value.decode("latin-1") for name, value in request.headers}
            method = request.method.decode("latin-1")
            answer = self._doorkeeper.receive(callee, method, headers.get(b"authorization", ""), now())
        told = [*answer.headers, ("Content-Length", "0")]
        writer.write(state.send(h11.Response(status_code=answer.status, headers=told, reason=b"")) or b"")
        writer.write(state.send(h11.EndOfMessage()) or b"")
        async with asyncio.timeout(_REQUEST_SECONDS):
            await writer.drain()
        if callee is not None and answer.wants_session:
            self._wake(callee)
        if state.our_state is not h11.DONE or state.their_state is not h11.DONE:
            return False
        state.start_next_cycle()
        return True


async def _receive(state: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    request: h11.Request | None = None
    while True:
        event = state.next_event()
        if event is h11.NEED_DATA:
            state.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.EndOfMessage):
            return request
        elif isinstance(event, h11.ConnectionClosed):
            return None
