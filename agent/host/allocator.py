"""The C library's allocator, told that this process's threads hardly ever run at the same time."""

from __future__ import annotations

import ctypes

M_ARENA_MAX = -8
"""mallopt(3)"""


def share_one_heap() -> bool:
    """Have all threads allocate from one heap: glibc gives them up to eight for each core, of which each keeps what it
    once needed. The interpreter's lock lets one thread run at a time, so nothing is gained by more.

    Concerns threads that start afterwards. False where the C library has no such switch."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return bool(mallopt(M_ARENA_MAX, 1))
