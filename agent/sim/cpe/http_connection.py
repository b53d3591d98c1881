"""One TCP (or TLS) connection as an HTTP client: bytes out, a whole answer in. Every wait has a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
import zlib
from dataclasses import dataclass

import h11

from agent.core.clock import Deadline
from agent.core.errors import DeadlineExceeded, ProtocolError, TransientError
from agent.sim.cpe.http_target import HttpAnswer, Target

MOST_ANSWER_BYTES = 64 << 20
_READ_BYTES = 1 << 16
_MOST_HEAD_BYTES = 1 << 16
_CLOSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What is sent. `http_1_0` writes that version, and expects the connection to be closed after the answer."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    chunked: bool = False
    http_1_0: bool = False


class HttpConnection:
    """Made by `open`; ended by `close`, or by `abort`, which sends a TCP reset if data is still on its way."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEAD_BYTES)
        self._ends = False
        self.sent_bytes = 0
        self.received_bytes = 0

    @classmethod
    async def open(cls, target: Target, tls: ssl.SSLContext | None, deadline: Deadline) -> HttpConnection:
        """Connect; TransientError when it fails, DeadlineExceeded when it takes too long."""
        context = None
        if target.scheme == "https":
            context = tls or ssl.create_default_context()
        try:
            async with asyncio.timeout(deadline.remaining_seconds):
                reader, writer = await asyncio.open_connection(target.host, target.port, ssl=context)
        except TimeoutError as error:
            raise DeadlineExceeded(f"no connection to {target.host}:{target.port}") from error
        except (OSError, UnicodeError) as error:
            raise TransientError(f"no connection to {target.host}:{target.port}: {error}") from error
        return cls(reader, writer)

    @property
    def is_reusable(self) -> bool:
        """Whether another request may be sent after the last answer."""
        return not self._ends and not self._reader.at_eof()

    async def exchange(self, request: HttpRequest, deadline: Deadline, kept_bytes: int | None = None) -> HttpAnswer:
        """Send a request, and receive its answer, decoded; of a body longer than `kept_bytes` only the beginning.

        TransientError when the connection ends before the answer does, DeadlineExceeded when that takes too long,
        ProtocolError when it is no HTTP."""
        try:
            async with asyncio.timeout(deadline.remaining_seconds):
                # A server may refuse before it has read everything, and close: its answer counts.
                with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                    await self._write(self._render(request))
                return await self._receive(kept_bytes)
        except TimeoutError as error:
            raise DeadlineExceeded(f"no answer to {request.method} {request.path}") from error
        except OSError as error:
            raise TransientError(f"the connection broke: {error}") from error
        except h11.RemoteProtocolError as error:
            if self._reader.at_eof():
                raise TransientError("the connection ended before the answer did") from error
            raise ProtocolError(f"no HTTP: {error}") from error

    async def send(self, request: HttpRequest, deadline: Deadline, *, share: float = 1.0) -> None:
        """Send a request, or the first `share` of its bytes, and wait for nothing."""
        data = self._render(request)
        self._ends = True
        # What breaks here is what the caller wants to break.
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(deadline.remaining_seconds):
                await self._write(data[: int(len(data) * share)])

    async def wait_for_end(self, deadline: Deadline) -> None:
        """Hold the connection until the peer ends it or the deadline passes."""
        self._ends = True
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(deadline.remaining_seconds):
                while await self._reader.read(_READ_BYTES):
                    pass

    async def close(self) -> None:
        """End it in good order; never fails."""
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError, ssl.SSLError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._writer.wait_closed()

    async def abort(self) -> None:
        """End it at once."""
        self._writer.transport.abort()
        await self.close()

    def _render(self, request: HttpRequest) -> bytes:
        headers = [(name.encode(), value.encode()) for name, value in request.headers]
        if request.chunked and request.body:
            headers.append((b"Transfer-Encoding", b"chunked"))
        else:
            headers.append((b"Content-Length", b"%d" % len(request.body)))
        if self._state.our_state is h11.DONE:
            self._state.start_next_cycle()
        try:
            head = self._state.send(h11.Request(method=request.method, target=request.path, headers=headers)) or b""
        except h11.LocalProtocolError as error:
            raise ProtocolError(f"no HTTP request can be made of it: {error}") from error
        body = self._state.send(h11.Data(data=request.body)) if request.body else b""
        end = self._state.send(h11.EndOfMessage())
        if request.http_1_0:
            self._ends = True
            head = head.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1)
        return head + (body or b"") + (end or b"")

    async def _write(self, data: bytes) -> None:
        self.sent_bytes += len(data)
        self._writer.write(data)
        await self._writer.drain()

    async def _receive(self, kept_bytes: int | None) -> HttpAnswer:
        status, length, body = 0, 0, bytearray()
        told: tuple[tuple[str, str], ...] = ()
        while True:
            event = self._state.next_event()
            if event is h11.NEED_DATA:
                data = await self._reader.read(_READ_BYTES)
                self.received_bytes += len(data)
                self._state.receive_data(data)
            elif isinstance(event, h11.Response):
                status = event.status_code
                told = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
            elif isinstance(event, h11.Data):
                length += len(event.data)
                if kept_bytes is None and length > MOST_ANSWER_BYTES:
                    raise ProtocolError("the answer is too long")
                if kept_bytes is None or len(body) < kept_bytes:
                    body += event.data[:kept_bytes]
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                raise TransientError("the connection ended instead of an answer")
        self._ends = self._ends or self._state.their_state is not h11.DONE or self._state.our_state is not h11.DONE
        answer = HttpAnswer(status, told, bytes(body), length)
        return answer if len(body) < length else dataclasses.replace(answer, body=decoded(answer))


def decoded(answer: HttpAnswer) -> bytes:
    """The body without its gzip or deflate coding, at most `MOST_ANSWER_BYTES`; ProtocolError when it is none."""
    coding = (answer.header("content-encoding") or "").strip().lower()
    if coding not in {"gzip", "deflate"} or not answer.body:
        return answer.body
    inflater = zlib.decompressobj(31 if coding == "gzip" else 15)
    try:
        data = inflater.decompress(answer.body, MOST_ANSWER_BYTES)
    except zlib.error as error:
        raise ProtocolError(f"no {coding}: {error}") from error
    if inflater.unconsumed_tail:
        raise ProtocolError("the answer is too long")
    return data
