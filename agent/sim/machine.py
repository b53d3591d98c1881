"""The farm's mount namespace: what a program in it sees as /sys, /dev and /run.

The namespace belongs to one thread and ends with the farm process and the last program in it: nothing is left behind.
Changes of the host's own mounts still arrive (they are slaves), or the farm would hold others' namespaces alive.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from agent.sim import kernel

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "fuse", "kmsg")
_DIRECTORIES = ("pts", "shm", "net", "mqueue")
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
    "log": "/run/systemd/journal/dev-log",
}
_RUN_NOT_SHARED = frozenset({"udev", "netns", "lastmile"})


def _mount_run(udev: Path) -> None:
    """A /run with what the host has now, except what the farm has its own of."""
    entries = [Path(entry.path) for entry in os.scandir("/run") if entry.name not in _RUN_NOT_SHARED]
    links = {entry: entry.readlink() for entry in entries if entry.is_symlink()}
    held = [(entry, os.open(entry, os.O_PATH), entry.is_dir()) for entry in entries if entry not in links]
    kernel.mount("tmpfs", "/run", "tmpfs", data="mode=755")
    for entry, descriptor, is_directory in held:
        if is_directory:
            entry.mkdir()
        else:
            entry.touch()
        kernel.mount(f"/proc/thread-self/fd/{descriptor}", entry, flags=kernel.MS_BIND | kernel.MS_REC)
        os.close(descriptor)
    for entry, target in links.items():
        entry.symlink_to(target)
    Path("/run/udev").mkdir()
    kernel.mount(str(udev), "/run/udev", flags=kernel.MS_BIND)


def _mount_dev() -> None:
    """A /dev with the usual nodes, where serial ports can appear without touching the host's."""
    devices = {name: Path("/dev", name).stat() for name in _DEVICES if Path("/dev", name).exists()}
    held = {name: os.open(f"/dev/{name}", os.O_PATH) for name in _DIRECTORIES if Path("/dev", name).is_dir()}
    kernel.mount("tmpfs", "/dev", "tmpfs", data="mode=755")
    for name, status in devices.items():
        os.mknod(f"/dev/{name}", status.st_mode, status.st_rdev)
        Path("/dev", name).chmod(stat.S_IMODE(status.st_mode))
    for name, descriptor in held.items():
        Path("/dev", name).mkdir()
        kernel.mount(f"/proc/thread-self/fd/{descriptor}", f"/dev/{name}", flags=kernel.MS_BIND)
        os.close(descriptor)
    for name, target in _LINKS.items():
        Path("/dev", name).symlink_to(target)


def _stop_propagating() -> None:
    """Let no mount of this namespace reach the host's. In a chroot, whose `/` need not be a mount, that is said of the
    namespace's own root, which joining the namespace leads to; then the thread goes back into its chroot."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY)
    own = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY)
    try:
        kernel.setns(own, kernel.CLONE_NEWNS)
        kernel.mount("none", "/", flags=kernel.MS_SLAVE | kernel.MS_REC)
        os.fchdir(root)
        os.chroot(".")
    finally:
        os.close(own)
        os.close(root)


def enter_new_machine(sys: Path, udev: Path) -> None:
    """Give the calling thread a mount namespace whose /sys is `sys` and /run/udev `udev`, and a new /dev and /run."""
    kernel.unshare(kernel.CLONE_NEWNS)
    _stop_propagating()
    kernel.mount(str(sys), "/sys", flags=kernel.MS_BIND)
    _mount_run(udev)
    _mount_dev()


def place_nodes(nodes: Iterable[tuple[str, str]]) -> None:
    """`place_node` for each (name, source)."""
    for name, source in nodes:
        place_node(name, source)


def remove_nodes(names: Iterable[str]) -> None:
    """`remove_node` for each."""
    for name in names:
        remove_node(name)


def place_node(name: str, source: str) -> None:
    """Make /dev/`name` be the character device `source` (a bind mount: no symlink that a program would resolve)."""
    node = Path("/dev", name)
    node.touch()
    kernel.mount(source, node, flags=kernel.MS_BIND)


def uncover_node(name: str) -> None:
    """Unmount what was mounted last over /dev/`name`."""
    kernel.unmount(Path("/dev", name))


def remove_node(name: str) -> None:
    """Take /dev/`name` away; whoever has it open keeps it until closing."""
    uncover_node(name)
    Path("/dev", name).unlink()
