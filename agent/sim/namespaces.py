"""Named network namespaces, and threads that live in a namespace.

A name is a bind mount under /run/netns, as `ip netns` makes it, so a person can look inside with `ip netns exec`, and
what a killed farm left can be found again.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from agent.core.clock import Deadline
from agent.core.errors import TransientError
from agent.sim import kernel

NAMES = Path("/run/netns")
_T = TypeVar("_T")

_QUIET = {
    # No duplicate address detection, router solicitations or link-local addresses: an LTE link has none of them.
    "ipv6/conf/default/accept_dad": "0",
    "ipv6/conf/default/router_solicitations": "0",
    "ipv6/conf/default/addr_gen_mode": "1",
    "ipv6/conf/default/accept_ra": "0",
}


@contextmanager
def _names_locked() -> Iterator[None]:
    """Keeps the farms of this machine from making and removing the mount of `NAMES` at once."""
    descriptor = os.open(NAMES, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _share_names_directory() -> None:
    try:
        kernel.mount("none", NAMES, flags=kernel.MS_SHARED | kernel.MS_REC)
    except OSError:
        kernel.mount(str(NAMES), NAMES, flags=kernel.MS_BIND | kernel.MS_REC)
        kernel.mount("none", NAMES, flags=kernel.MS_SHARED | kernel.MS_REC)


def write_sysctl(values: dict[str, str]) -> None:
    """Set /proc/sys/net values of the calling thread's network namespace."""
    for key, value in values.items():
        Path("/proc/sys/net", key).write_text(value)


def _make(name: str, sysctl: dict[str, str]) -> None:
    path = NAMES / name
    kernel.unshare(kernel.CLONE_NEWNET)
    write_sysctl(_QUIET | sysctl)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o444))
    try:
        kernel.mount("/proc/thread-self/ns/net", path, flags=kernel.MS_BIND)
    except OSError:
        path.unlink()
        raise


class NetworkNamespace:
    """A named network namespace, held open by this process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = NAMES / name
        self.descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    @classmethod
    def create(cls, name: str, sysctl: dict[str, str] | None = None) -> NetworkNamespace:
        """Make the namespace; FileExistsError when the name is taken."""
        NAMES.mkdir(parents=True, exist_ok=True)
        with _names_locked(), ThreadPoolExecutor(1) as throw_away:
            _share_names_directory()
            throw_away.submit(_make, name, sysctl or {}).result()
        return cls(name)

    def enter(self) -> None:
        """Move the calling thread here."""
        kernel.setns(self.descriptor, kernel.CLONE_NEWNET)

    def delete(self) -> None:
        """Let go and take the name away; the kernel drops the namespace with its last user."""
        os.close(self.descriptor)
        delete_name(self.name)


def delete_name(name: str) -> None:
    """Take a namespace's name away; none is no error."""
    path = NAMES / name
    if not path.exists():
        return
    with _names_locked():
        _unmount_if_mounted(path)
        path.unlink()
        if not any(NAMES.iterdir()):
            # `ip netns` would leave this mount, which it and `_share_names_directory` make anew when there is none.
            _unmount_if_mounted(NAMES)


def _unmount_if_mounted(path: Path) -> None:
    try:
        kernel.unmount(path)
    except OSError as error:
        # EINVAL: nothing is mounted there, as after a crash between the two steps of making or removing a name.
        if error.errno != errno.EINVAL:
            raise


def names_of(prefix: str) -> list[str]:
    """Names of namespaces that begin with `prefix`."""
    return sorted(path.name for path in NAMES.glob(f"{prefix}*")) if NAMES.is_dir() else []


def processes_in(name: str) -> list[int]:
    """Processes whose network namespace is the named one, without this process."""
    wanted = (NAMES / name).stat().st_ino
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if (entry / "ns/net").stat().st_ino == wanted:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def end_processes_in(name: str, patience_seconds: float = 2.0) -> int:
    """End whatever still runs in the named namespace, politely and then not; returns how many there were.

    Raises TransientError when some outlive SIGKILL (stuck in the kernel)."""
    deadline = Deadline.after(patience_seconds)
    ended = set(processes_in(name))
    for how, until in ((signal.SIGTERM, deadline), (signal.SIGKILL, Deadline.after(2 * patience_seconds))):
        for pid in processes_in(name):
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                continue
        while not until.passed and processes_in(name):
            time.sleep(0.02)
    if left := processes_in(name):
        raise TransientError(f"processes {left} in {name} do not end")
    return len(ended)


class NamespaceThread:
    """One thread that has moved into a namespace; work is handed to it and awaited."""

    def __init__(self, enter: Callable[[], None]) -> None:
        self._executor = ThreadPoolExecutor(1, initializer=enter)
        self.thread_id: int = self._executor.submit(_own_thread_id).result()

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do `work` there and return what it returns."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def run_blocking(self, work: Callable[[], _T]) -> _T:
        """`run` for where no event loop turns."""
        return self._executor.submit(work).result()

    def close(self) -> None:
        self._executor.shutdown()


def _own_thread_id() -> int:
    return threading.get_native_id()
