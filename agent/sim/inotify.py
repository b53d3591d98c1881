"""Noticing writes to the files that stand for sysfs attributes."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable
from pathlib import Path

from agent.sim import kernel

_IN_CLOSE_WRITE = 0x8
_IN_IGNORED = 0x8000
_HEADER = struct.Struct("iIII")


class WriteWatcher:
    """Calls back when a watched file was written and closed; a file's watch ends when the file is deleted."""

    def __init__(self) -> None:
        self._descriptor = kernel.inotify_init()
        self._callbacks: dict[int, Callable[[], None]] = {}
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def watch(self, path: Path, callback: Callable[[], None]) -> None:
        """Call `callback` after every write to `path`."""
        self._callbacks[kernel.inotify_add_watch(self._descriptor, path, _IN_CLOSE_WRITE)] = callback

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _read(self) -> None:
        data = os.read(self._descriptor, 65536)
        offset = 0
        while offset < len(data):
            watch, mask, _cookie, length = _HEADER.unpack_from(data, offset)
            offset += _HEADER.size + length
            if mask & _IN_IGNORED:
                self._callbacks.pop(watch, None)
            elif mask & _IN_CLOSE_WRITE and watch in self._callbacks:
                self._callbacks[watch]()
