"""The system calls of namespaces and mounts, which Python 3.11's library does not have.

All of them act on the calling *thread*: `unshare` and `setns` change its namespaces, and a mount is made in its mount
namespace. So each is called in a thread made for it (`agent.sim.namespaces`).
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

CLONE_NEWNS = 0x0002_0000
CLONE_NEWNET = 0x4000_0000
MS_BIND = 4096
MS_REC = 16384
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """Give the calling thread new namespaces (unshare(2))."""
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Move the calling thread into the namespace of `descriptor` (setns(2))."""
    _check(_libc.setns(descriptor, kind), "setns")


def mount(source: str, target: str | Path, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2) in the calling thread's mount namespace."""
    _check(
        _libc.mount(source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data.encode()),
        f"mount {target}",
    )


def unmount(target: str | Path) -> None:
    """Detach what is mounted at `target`; whoever still has it open keeps it until closing."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"unmount {target}")


def inotify_init() -> int:
    """A non-blocking inotify descriptor."""
    return _check(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")


def inotify_add_watch(descriptor: int, path: Path, mask: int) -> int:
    """Watch `path`; returns the watch's number (inotify_add_watch(2))."""
    return _check(_libc.inotify_add_watch(descriptor, os.fsencode(path), mask), f"inotify {path}")
