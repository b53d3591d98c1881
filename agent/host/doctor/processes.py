"""The processes of this machine: what they are and what they have open."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SOCKET = re.compile(r"socket:\[(\d+)\]")
_NOT_DEVICES = ("socket:", "pipe:", "anon_inode:", "/memfd:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process. `visible`: whether its descriptors could be read; else it seems to have none."""

    pid: int
    name: str
    command: tuple[str, ...]
    sockets: frozenset[int]
    """Inodes."""
    devices: frozenset[int]
    """Device numbers of character devices."""
    shares_network: bool
    """Whether it is in this process's network namespace; True when that cannot be seen."""
    visible: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """All of them; `complete` when none was hidden from this user, but for the first one, which some containers hide
    from root as well."""

    all: tuple[Process, ...]

    @property
    def complete(self) -> bool:
        return all(process.visible or process.pid == 1 for process in self.all)

    def runs(self, name: str) -> bool:
        """Whether a process of that name runs in this network namespace; the kernel keeps 15 characters of it."""
        return any(process.name == name[:15] and process.shares_network for process in self.all)


def fetch_processes(proc: Path) -> Processes:
    """A look at every process. Those that end meanwhile are left out."""
    own_network = _network(proc / "self")
    found = (_process(proc / name, own_network) for name in os.listdir(proc) if name.isdecimal())  # noqa: PTH208 - no Path for each
    return Processes(all=tuple(process for process in found if process is not None))


def _process(directory: Path, own_network: int | None) -> Process | None:
    try:
        name = (directory / "comm").read_text(encoding="utf-8", errors="replace").strip()
        words = (directory / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    visible = True
    sockets: set[int] = set()
    devices: set[int] = set()
    try:
        for target, path in _descriptors(directory / "fd"):
            if socket := _SOCKET.fullmatch(target):
                sockets.add(int(socket[1]))
            elif not target.startswith(_NOT_DEVICES) and (device := _device(path)) is not None:
                devices.add(device)
    except FileNotFoundError:
        return None
    except PermissionError:
        visible = False
    except ProcessLookupError:
        return None
    network = _network(directory)
    return Process(
        pid=int(directory.name),
        name=name,
        command=tuple(word.decode("utf-8", "replace") for word in words if word),
        sockets=frozenset(sockets),
        devices=frozenset(devices),
        shares_network=network is None or own_network is None or network == own_network,
        visible=visible,
    )


def _descriptors(folder: Path) -> Iterator[tuple[str, str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                yield os.readlink(entry.path), entry.path  # noqa: PTH115 - thousands of them
            except FileNotFoundError:  # closed meanwhile
                continue


def _device(path: str) -> int | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - thousands of them
    except OSError:
        return None
    return status.st_rdev if stat.S_ISCHR(status.st_mode) else None


def _network(directory: Path) -> int | None:
    try:
        return (directory / "ns/net").stat().st_ino
    except OSError:
        return None
