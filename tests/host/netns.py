"""Network namespaces for tests: the calling thread moves into a fresh one, and peers hang off it by veth pairs.

A namespace has no name and leaves nothing behind: it goes with the last socket and descriptor that holds it.
Subprocesses of the thread, and sockets it makes, are in its namespace.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")


def ip(*words: str) -> str:
    """Run `ip` in the calling thread's namespace and return what it prints."""
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=10).stdout


def link_index(name: str) -> int:
    """ifindex of a link of the calling thread's namespace."""
    return int(ip("-o", "link", "show", "dev", name).split(":")[0])


@contextlib.contextmanager
def fresh_namespace() -> Iterator[None]:
    """The calling thread is in a new namespace, with loopback up, until the end of the block."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _check(_libc.unshare(CLONE_NEWNET))
        try:
            ip("link", "set", "lo", "up")
            yield
        finally:
            _check(_libc.setns(home, CLONE_NEWNET))
    finally:
        os.close(home)


@dataclass(frozen=True)
class Peer:
    """Another namespace at the far end of a veth pair."""

    descriptor: int
    name: str
    """The pair's near end, in the namespace of the thread that made the peer."""

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is in the peer's namespace; a socket made there stays there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _check(_libc.setns(self.descriptor, CLONE_NEWNET))
            try:
                yield
            finally:
                _check(_libc.setns(home, CLONE_NEWNET))
        finally:
            os.close(home)


@contextlib.contextmanager
def peer(name: str, *far_addresses: str) -> Iterator[Peer]:
    """A veth pair: `name` here (down, bare), `far` in a new namespace with `far_addresses`, up, default route by it."""
    with _held_namespace() as descriptor:
        made = Peer(descriptor, name)
        ip("link", "add", name, "type", "veth", "peer", "name", "far", "netns", f"/proc/{os.getpid()}/fd/{descriptor}")
        try:
            with made.entered():
                ip("link", "set", "lo", "up")
                for address in far_addresses:
                    ip("addr", "add", address, "dev", "far", *(("nodad",) if ":" in address else ()))
                ip("link", "set", "far", "up")
                for family in ("-4", "-6"):
                    ip(family, "route", "add", "default", "dev", "far")
            yield made
        finally:
            subprocess.run(["ip", "link", "del", name], check=False, capture_output=True, timeout=10)


@contextlib.contextmanager
def _held_namespace() -> Iterator[int]:
    with fresh_namespace():
        descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def serving(step: Callable[[], None]) -> Iterator[None]:
    """`step` again and again in a thread of its own, in the caller's namespace; it must return within a second."""
    ended = threading.Event()

    def turn() -> None:
        while not ended.is_set():
            step()

    thread = threading.Thread(target=turn, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=5)
        assert not thread.is_alive()


def write_sysctl(path: str, value: int) -> None:
    """Set /proc/sys/net/`path` in the calling thread's namespace."""
    Path("/proc/sys/net", path).write_text(f"{value}\n", encoding="ascii")


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
