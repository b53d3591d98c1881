"""The bytes of files for CPEs, in a directory, each under its SHA-256: there as a whole, or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.core.atomic import sync_directory
from agent.core.errors import AgentError, TransientError

MODE = 0o640
DIRECTORY_MODE = 0o750
TEMPORARY = ".incoming-{}"
ABANDONED_SECONDS = 86_400.0


class FileTooLargeError(AgentError):
    """More bytes than a file may have."""


class StorageError(TransientError):
    """The directory cannot be written or read: no room, no right, no disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """Bytes that have come in, and are not in their place yet."""

    path: Path
    sha256: str
    size: int


class FileShelf:
    """The directory; it is made when something is first put into it. All methods raise StorageError."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def receive(self, chunks: Iterable[bytes], *, bytes_most: int) -> Iterator[Received]:
        """Write `chunks` down, and give them up at the end unless `place` was called.

        Raises FileTooLargeError, and lets through what `chunks` raises."""
        with self._translated():
            self._directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            self._forget_old()
        path = self._directory / TEMPORARY.format(secrets.token_hex(8))
        try:
            sha256, size = self._write(path, chunks, bytes_most)
            yield Received(path=path, sha256=sha256, size=size)
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def place(self, received: Received) -> None:
        """Put received bytes where they are found by their digest; the same bytes may be there already."""
        with self._translated():
            received.path.replace(self.path_of(received.sha256))
            sync_directory(self._directory)

    def remove(self, sha256: str) -> None:
        """Take bytes away; that they are not there is no error."""
        with self._translated():
            self.path_of(sha256).unlink(missing_ok=True)

    def path_of(self, sha256: str) -> Path:
        """Where the bytes of this digest are."""
        return self._directory / sha256

    def _write(self, path: Path, chunks: Iterable[bytes], bytes_most: int) -> tuple[str, int]:
        digest = hashlib.sha256()
        size = 0
        with self._translated():
            file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE), "wb")
        with file:
            for chunk in chunks:
                size += len(chunk)
                if size > bytes_most:
                    raise FileTooLargeError(f"a file may have {bytes_most} bytes (acs.file_bytes_most)")
                digest.update(chunk)
                with self._translated():
                    file.write(chunk)
            with self._translated():
                file.flush()
                self._give_away(file.fileno())
                os.fsync(file.fileno())
        return digest.hexdigest(), size

    def _give_away(self, descriptor: int) -> None:
        """What root adds must be readable for the server that hands it out: it gets the directory's owner."""
        os.fchmod(descriptor, MODE)
        if os.geteuid() == 0:
            owner = self._directory.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)

    def _forget_old(self) -> None:
        """Take away what a process left that was killed while it received."""
        for path in self._directory.glob(TEMPORARY.format("*")):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                    path.unlink()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise StorageError(f"{self._directory}: {exc.strerror or exc} (acs.file_dir)") from exc
