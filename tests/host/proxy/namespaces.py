"""Network namespaces that belong to a thread and vanish with it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_CLONE_NEWNET = 0x40000000
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network namespace with one thread in it; threads and processes that this thread makes are in it, too."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, initializer=_enter_new)
        self.thread_id = self.run(threading.get_native_id)
        self.ip("link set lo up")

    def run(
        self, function: Callable[_Arguments, _Result], *arguments: _Arguments.args, **keywords: _Arguments.kwargs
    ) -> _Result:
        """Call the function inside, with a deadline."""
        return self._executor.submit(function, *arguments, **keywords).result(timeout=60)

    def ip(self, words: str) -> None:
        self.run(subprocess.run, ["ip", *words.split()], check=True, capture_output=True)

    def close(self) -> None:
        self._executor.shutdown()


def _enter_new() -> None:
    if _libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def may_make_namespaces() -> bool:
    return os.geteuid() == 0
