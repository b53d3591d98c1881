"""The USB/IP server: one TCP connection for each imported device, read and written as fast as one process can."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from agent.sim.usbip.function import Ec25Function, Reply
from agent.sim.usbip.protocol import (
    BUS_ID_BYTES,
    CMD_SUBMIT,
    CMD_UNLINK,
    DIRECTION_OUT,
    ECONNRESET,
    HEADER,
    LARGEST_TRANSFER_BYTES,
    OPERATION,
    REQUEST_DEVICES,
    REQUEST_IMPORT,
    ExportedDevice,
    render_devices,
    render_import,
    render_return,
    render_unlinked,
)

_WRITE_BYTES_MOST = 1 << 20
"""Of answers that the guest has not taken; beyond it the device's packets wait."""


class Export(Protocol):
    """A device that can be imported."""

    def describe(self) -> ExportedDevice | None:
        """None while it is not on the bus."""

    def imported(self, connection: UrbConnection) -> Ec25Function | None:
        """The guest wants the device; None refuses it."""

    def lost(self, connection: UrbConnection) -> None:
        """That connection is gone, or its guest has let the device go."""

    def writable(self, *, writable: bool) -> None:
        """Whether answers are taken."""


class UrbConnection(asyncio.Protocol):
    """One connection: a request for the list or an import, then URBs."""

    def __init__(self, exports: Callable[[], list[Export]], everyone: set[UrbConnection]) -> None:
        self._exports = exports
        self._everyone = everyone
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._export: Export | None = None
        self._function: Ec25Function | None = None

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_WRITE_BYTES_MOST)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._everyone.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._everyone.discard(self)
        self._function = None
        if self._export is not None:
            self._export.lost(self)
            self._export = None

    def pause_writing(self) -> None:
        if self._export is not None:
            self._export.writable(writable=False)

    def resume_writing(self) -> None:
        if self._export is not None:
            self._export.writable(writable=True)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._function is None and not self._operate():
            return
        self._transfer()

    def drop(self) -> None:
        """The device is unplugged: what is under way is lost."""
        if self._transport is not None:
            self._transport.abort()

    # -- before the import

    def _operate(self) -> bool:
        """Answer the first request; True when URBs follow."""
        if len(self._buffer) < OPERATION.size or self._transport is None:
            return False
        _, code, _ = OPERATION.unpack_from(self._buffer)
        if code == REQUEST_DEVICES:
            described = [each.describe() for each in self._exports()]
            self._transport.write(render_devices([each for each in described if each is not None]))
            self._transport.close()
        elif code == REQUEST_IMPORT:
            if len(self._buffer) < OPERATION.size + BUS_ID_BYTES:
                return False
            bus_id = bytes(self._buffer[OPERATION.size : OPERATION.size + BUS_ID_BYTES]).rstrip(b"\0").decode("latin-1")
            del self._buffer[: OPERATION.size + BUS_ID_BYTES]
            return self._import(bus_id, self._transport)
        else:
            self._transport.abort()
        return False

    def _import(self, bus_id: str, transport: asyncio.Transport) -> bool:
        for export in self._exports():
            described = export.describe()
            if described is not None and described.bus_id == bus_id:
                self._function = export.imported(self)
                if self._function is not None:
                    self._export = export
                    transport.write(render_import(described))
                    return True
        transport.write(render_import(None))
        transport.close()
        return False

    # -- after it

    def _transfer(self) -> None:
        """Hand over every URB that is complete."""
        buffer, offset = self._buffer, 0
        size = HEADER.size
        while self._function is not None and len(buffer) - offset >= size:
            command, sequence, _, direction, endpoint, other, length, _, _, _, setup = HEADER.unpack_from(
                buffer, offset
            )
            if command == CMD_SUBMIT:
                if not 0 <= length <= LARGEST_TRANSFER_BYTES:
                    self.drop()
                    return
                end = offset + size
                to_device = direction == DIRECTION_OUT
                if to_device:
                    end += length
                    if len(buffer) < end:
                        break
                data = bytes(buffer[offset + size : end])
                offset = end
                self._function.submit(sequence, endpoint, length, setup, data, to_device=to_device)
            elif command == CMD_UNLINK:
                offset += size
                self._unlink(sequence, other)
            else:
                self.drop()
                return
        del buffer[:offset]

    def _unlink(self, sequence: int, other: int) -> None:
        if self._function is not None and self._transport is not None:
            status = ECONNRESET if self._function.unlink(other) else 0
            self._transport.write(render_unlinked(sequence, status))

    @property
    def reply(self) -> Reply:
        """Where the function's answers go."""
        return self._answer

    def _answer(self, sequence: int, status: int, result: bytes | int) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if isinstance(result, int):
            transport.write(render_return(sequence, status, result))
        else:
            transport.write(render_return(sequence, status, len(result)) + result)


class UsbipServer:
    """Listens on a socket that somebody else has bound."""

    def __init__(self, exports: Callable[[], list[Export]]) -> None:
        self._exports = exports
        self._connections: set[UrbConnection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: UrbConnection(self._exports, self._connections), sock=listening)

    def drop_all(self) -> None:
        """The guest is another one now: nothing of the old one's is left."""
        for connection in tuple(self._connections):
            connection.drop()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.drop_all()
        await asyncio.sleep(0)
