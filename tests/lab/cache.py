"""Where images are kept between runs: a folder per recipe, made under a lock and moved into place when complete."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

KEPT = 2
"""Images that stay: the newest used ones."""
_LOCK_SECONDS = 1800.0
"""Another run may be building; it has its own deadlines."""
_PART, _RUN = "part-", "run-"


def cache_folder() -> Path:
    """LASTMILE_LAB_CACHE, or a folder of the user's cache."""
    if named := os.environ.get("LASTMILE_LAB_CACHE"):
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lastmile" / "lab"


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock file; TimeoutError when others do not let go of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path} is held by another process") from None
                time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


def obtain(folder: Path, make: Callable[[Path], None]) -> bool:
    """See to it that `folder` is there, by `make` when it is not; whether it had to be made.

    `make` is given an empty folder on the same file system; when it raises, or is killed, nothing of it counts."""
    with locked(folder.parent / "lock"):
        if folder.is_dir():
            os.utime(folder)
            return False
        # The lock is ours, so whatever is half made was left by one that was killed.
        for left in folder.parent.glob(f"{_PART}*"):
            shutil.rmtree(left)
        part = Path(tempfile.mkdtemp(prefix=_PART, dir=folder.parent))
        try:
            make(part)
            _flush(part)
            part.chmod(0o755)
            part.rename(folder)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        return True


def _flush(folder: Path) -> None:
    """Have the files on the disk before their folder counts: a power failure must not leave a hollow one."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def scratch(cache: Path) -> Iterator[Path]:
    """A folder of one's own, removed at the end; what killed runs have left is removed too."""
    with locked(cache / "scratch-lock"):
        for left in cache.glob(f"{_RUN}*"):
            _remove_if_left(left)
        folder = Path(tempfile.mkdtemp(prefix=_RUN, dir=cache))
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(held)


def _remove_if_left(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # its owner runs
    else:
        shutil.rmtree(folder)
    finally:
        os.close(descriptor)


def prune(cache: Path, prefix: str, kept: int = KEPT) -> list[Path]:
    """Remove all but the newest used folders of that prefix; returns those removed. A VM keeps what it has open."""
    with locked(cache / "lock"):
        folders = sorted(cache.glob(f"{prefix}*"), key=lambda path: path.stat().st_mtime, reverse=True)
        for folder in folders[kept:]:
            shutil.rmtree(folder)
        return folders[kept:]
