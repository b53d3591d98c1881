"""A pseudo terminal standing for a serial port or a cdc-wdm node."""

from __future__ import annotations

import asyncio
import os
import pty
import tty
from collections.abc import Callable

_READ_BYTES = 4096


class Terminal:
    """The modem's end of a port; `path` is what the host opens.

    The host's end is held open here too: else the kernel reports a hang-up for as long as nobody has it open, and a
    poll would spin. What nobody reads is kept up to the terminal's buffer, and lost beyond it."""

    def __init__(self, receive: Callable[[bytes], None] | None) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._receive = receive
        if receive is not None:
            asyncio.get_running_loop().add_reader(self._master, self._readable)

    def write(self, data: bytes) -> None:
        """The modem says `data`."""
        try:
            os.write(self._master, data)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Hang up: whoever has the port open gets EIO."""
        if self._receive is not None:
            asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._slave)
        os.close(self._master)

    def _readable(self) -> None:
        try:
            data = os.read(self._master, _READ_BYTES)
        except BlockingIOError:
            return
        if self._receive is not None:
            self._receive(data)
