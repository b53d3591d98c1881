"""A container that boots this machine's own system: its root file system below, everything written in memory."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

BOOT_SECONDS = 180
_NEEDED = ("systemd-nspawn", "unshare", "mount", "dbus-daemon")
_HIERARCHIES = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/systemd"))

# Everything is mounted in a mount namespace of its own and goes with it.
_BOOT = """
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd /run/container/upper /run/container/work /run/container/root
mount -t overlay overlay -o lowerdir=/,upperdir=/run/container/upper,workdir=/run/container/work /run/container/root
cp -a "$1/." /run/container/root/
umount -R /sys/fs/cgroup 2>/dev/null || umount -lR /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
exec systemd-nspawn --quiet --directory=/run/container/root --boot --machine="$2" --register=no --keep-unit \\
    --private-network --console=pipe --bind="$3:/results" -- systemd.unit=basic.target systemd.wants="$4" \\
    systemd.journald.max_level_console=crit systemd.show_status=no
"""


class NoContainerError(Exception):
    """This machine cannot boot one; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """What to add to the system, and the service that does the work and powers the container off."""

    service: str
    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Path from the root: mode and text."""
    folders: dict[str, Path] = field(default_factory=dict)
    """Path from the root: the folder whose contents go there."""

    def run(self, results: Path, seconds: float = BOOT_SECONDS) -> str:
        """Boot, wait for the power-off, and return the console. What the service wrote to `/results` is in `results`.

        Nothing is left behind. Raises NoContainerError when it cannot be tried, TimeoutError when it does not end.
        """
        missing = [name for name in _NEEDED if shutil.which(name) is None]
        if os.geteuid() != 0 or missing:
            raise NoContainerError(f"needs root and {', '.join(missing or _NEEDED)}")
        name = f"lastmile-{secrets.token_hex(6)}"
        with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder, control_groups(name) as groups:
            overlay = Path(folder)
            self._lay_out(overlay)
            entering = "".join(f"echo $$ > {group}/cgroup.procs; " for group in groups)
            words = ["bash", "-euc", _BOOT, "boot", folder, name, str(results), self.service]
            command = f"{entering}exec unshare --mount --propagation private {shlex.join(words)}"
            try:
                done = subprocess.run(
                    ["bash", "-euc", command],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    timeout=seconds,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise TimeoutError((error.stdout or b"").decode(errors="replace")[-2000:]) from error
            return done.stdout.decode(errors="replace")

    def _lay_out(self, overlay: Path) -> None:
        overlay.chmod(0o755)
        for name, (mode, text) in self.files.items():
            path = overlay / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(mode)
        for name, source in self.folders.items():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, overlay / name.lstrip("/"), ignore=ignored, dirs_exist_ok=True)


@contextlib.contextmanager
def control_groups(name: str) -> Iterator[list[Path]]:
    """Control groups for one container; whatever still is in them is ended with them."""
    hierarchies = [each for each in _HIERARCHIES if each.is_dir()] or [Path("/sys/fs/cgroup")]
    groups = []
    try:
        for each in hierarchies:
            groups.append(each / name)
            groups[-1].mkdir()
        yield groups
    except OSError as error:
        raise NoContainerError(f"control groups: {error}") from error
    finally:
        for group in groups:
            _remove(group)


def _remove(group: Path) -> None:
    if not group.is_dir():
        return
    if (group / "cgroup.kill").exists():
        (group / "cgroup.kill").write_text("1")
    deadline = time.monotonic() + 10
    folders = [Path(each) for each, _, _ in os.walk(group, topdown=False)]
    for folder in folders:
        while True:
            try:
                folder.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                break
