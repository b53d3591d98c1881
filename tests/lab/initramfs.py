"""A small initramfs: busybox, and the modules that find a virtio disk with ext4 on it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.lab.machine import LabError

_MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")

_INIT = """#!/bin/sh
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sysfs /sys
$B mount -t devtmpfs dev /dev
for module in {modules}; do $B insmod /modules/$module || $B echo "no module $module"; done
n=0
while [ ! -b /dev/vda ]; do
    n=$((n + 1))
    [ $n -gt 500 ] && {{ $B echo "no disk"; $B sleep 2; $B reboot -f; }}
    $B usleep 20000
done
$B mount -t ext4 -o rw,noatime /dev/vda /root || {{ $B echo "no root file system"; $B sleep 2; $B reboot -f; }}
$B umount /proc /sys
$B mount --move /dev /root/dev
exec $B switch_root /root /sbin/init
"""


def write_initramfs(root: Path, release: str, target: Path) -> None:
    """Make it from the busybox and the modules of the kernel `release` that are below `root`."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        tree = Path(folder)
        for name in ("bin", "proc", "sys", "dev", "root", "modules"):
            (tree / name).mkdir()
        shutil.copy(root / "usr/bin/busybox", tree / "bin/busybox")
        (tree / "bin/sh").symlink_to("busybox")
        modules = _module_files(root, release)
        for path in modules:
            shutil.copyfile(path, tree / "modules" / path.name)
        (tree / "init").write_text(_INIT.format(modules=" ".join(path.name for path in modules)))
        (tree / "init").chmod(0o755)
        names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
        # Not compressed: unpacking takes an emulated processor longer than reading does.
        archive = subprocess.run(
            ["cpio", "--create", "--format=newc", "--quiet"],
            cwd=tree,
            input=names.encode(),
            capture_output=True,
            check=True,
        )
        target.write_bytes(archive.stdout)


def _module_files(root: Path, release: str) -> list[Path]:
    """The modules and what they depend on, in the order of loading."""
    found: dict[Path, None] = {}
    for module in _MODULES:
        command = ["chroot", str(root), "modprobe", "--set-version", release, "--show-depends", module]
        shown = subprocess.run(command, capture_output=True, text=True, check=False)
        if shown.returncode != 0:
            raise LabError(f"{module}: {shown.stderr.strip()}")
        for line in shown.stdout.splitlines():
            kind, _, path = line.partition(" ")
            if kind == "insmod":
                found[root / path.strip().lstrip("/")] = None
    return list(found)
