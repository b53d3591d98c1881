"""A file whose open(2) never returns: a FUSE file system of one file that leaves OPEN unanswered.

The kernel's protocol (include/uapi/linux/fuse.h) is spoken directly, since four requests are all that is needed. A
signal to the caller ends its open with EINTR, so it can be killed; closing the channel ends every open with an error.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import struct
from pathlib import Path

from agent.core.errors import ConfigError
from agent.sim import kernel

_IN_HEADER = struct.Struct("<IIQQIIII")
_OUT_HEADER = struct.Struct("<IiQ")
_GETATTR, _OPEN, _INIT, _INTERRUPT, _FORGET, _DESTROY = 3, 14, 26, 36, 2, 38
_BUFFER_BYTES = 1 << 17
_ATTRIBUTES = struct.Struct("<QII6Q3I7I")
_INIT_OUT = struct.Struct("<IIIIHHI36x")


class OpenHang:
    """The FUSE channel; mount it, and unmount and close it to end the fault."""

    def __init__(self) -> None:
        """ConfigError where the kernel or the container has no FUSE."""
        try:
            self._channel = os.open("/dev/fuse", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigError(f"an open that hangs needs FUSE: {error}") from error
        self.waiting: set[int] = set()
        """Opens that hang now."""

    def mount(self, node: Path) -> None:
        """Cover `node`, in the calling thread's mount namespace."""
        options = f"fd={self._channel},rootmode={stat.S_IFREG:o},user_id=0,group_id=0,allow_other"
        kernel.mount("emulated-hang", node, "fuse", data=options)

    def serve(self) -> None:
        """Answer from the running event loop; the file must be mounted."""
        asyncio.get_running_loop().add_reader(self._channel, self._readable)

    def close(self) -> None:
        """Let go: every open that hangs fails."""
        asyncio.get_running_loop().remove_reader(self._channel)
        os.close(self._channel)

    def _readable(self) -> None:
        try:
            request = os.read(self._channel, _BUFFER_BYTES)
        except OSError as error:
            # ENODEV: unmounted; ENOENT: the request was withdrawn meanwhile.
            if error.errno == errno.ENODEV:
                asyncio.get_running_loop().remove_reader(self._channel)
            elif error.errno not in (errno.EAGAIN, errno.ENOENT, errno.EINTR):
                raise
            return
        _length, operation, unique, *_rest = _IN_HEADER.unpack_from(request)
        body = request[_IN_HEADER.size :]
        if operation == _INIT:
            major, minor = struct.unpack_from("<II", body)
            self._answer(unique, _INIT_OUT.pack(min(7, major), min(31, minor), 0, 0, 1, 1, 4096))
        elif operation == _GETATTR:
            attributes = (1, 0, 0, 1, *([0] * 5), *([0] * 3), stat.S_IFREG | 0o660, 1, 0, 0, 0, 4096, 0)
            self._answer(unique, _ATTRIBUTES.pack(*attributes))
        elif operation == _OPEN:
            self.waiting.add(unique)
        elif operation == _INTERRUPT:
            (interrupted,) = struct.unpack_from("<Q", body)
            if interrupted in self.waiting:
                self.waiting.discard(interrupted)
                self._answer(interrupted, b"", errno.EINTR)
        elif operation not in (_FORGET, _DESTROY):
            self._answer(unique, b"", errno.ENOSYS)

    def _answer(self, unique: int, body: bytes, error: int = 0) -> None:
        try:
            os.write(self._channel, _OUT_HEADER.pack(_OUT_HEADER.size + len(body), -error, unique) + body)
        except FileNotFoundError:
            # The caller was killed while we answered.
            return
