"""The wire to the daemon in the virtual machine (`guest_attach.py`): which device it is to attach, and where.

One JSON object a line. The guest begins with {"boot_id": ...}; we ask {"id": 7, "attach": "1-3", "device": 65539,
"port": 2}; it answers {"id": 7, "slot": "1-3"} or {"id": 7, "error": "..."}.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import Callable
from typing import Any

from agent.core.errors import TransientError

_ANSWER_SECONDS = 30.0
_LONGEST_LINE_BYTES = 1 << 16


class GuestLink:
    """At most one guest at a time: a later one takes an earlier one's place."""

    def __init__(self, arrived: Callable[[], None]) -> None:
        self.boot_id: str | None = None
        self._arrived = arrived
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}

    @property
    def connected(self) -> bool:
        return self._writer is not None

    async def start(self, listening: socket.socket) -> None:
        self._server = await asyncio.start_server(self._serve, sock=listening, limit=_LONGEST_LINE_BYTES)

    async def attach(self, bus_id: str, device_id: int, port: int) -> str:
        """Have the guest attach a device at the `port`-th port of its virtual controllers (0 is the first); returns the
        USB path that its kernel gives it. Raises TransientError when there is no guest, or it cannot."""
        writer = self._writer
        if writer is None:
            raise TransientError("no virtual machine is there")
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        question = {"id": number, "attach": bus_id, "device": device_id, "port": port}
        try:
            writer.write(json.dumps(question).encode() + b"\n")
            async with asyncio.timeout(_ANSWER_SECONDS):
                await writer.drain()
                told = await answer
        except (OSError, TimeoutError) as error:
            raise TransientError(f"the virtual machine does not attach {bus_id}: {error!r}") from error
        finally:
            del self._asked[number]
        if "slot" not in told:
            raise TransientError(f"the virtual machine does not attach {bus_id}: {told.get('error')}")
        return str(told["slot"])

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._take_leave()

    def _take_leave(self) -> None:
        writer, self._writer, self.boot_id = self._writer, None, None
        if writer is not None:
            writer.transport.abort()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the virtual machine is gone"))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        try:
            hello = json.loads(await reader.readline())
            boot_id = str(hello["boot_id"])
            self._take_leave()
            self._writer, self.boot_id = writer, boot_id
            self._arrived()
            while line := await reader.readline():
                told = json.loads(line)
                answer = self._asked.get(told.get("id"))
                if answer is not None and not answer.done():
                    answer.set_result(told)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # It went in the middle of a line, or it is no guest of ours.
            return
        finally:
            if self._writer is writer:
                self._take_leave()
            writer.close()
