"""Where a Linux host keeps what the doctor reads; tests give another root."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CONFIGURATION_DIRECTORIES = ("etc", "run", "usr/local/lib", "usr/lib", "lib")
"""Of udev, modprobe, sysctl: a file in an earlier one hides those of the same name in later ones."""


@dataclass(frozen=True, slots=True)
class Places:
    """Paths below a root."""

    root: Path = Path("/")

    @property
    def sys(self) -> Path:
        return self.root / "sys"

    @property
    def proc(self) -> Path:
        return self.root / "proc"

    def named(self, subdirectory: str, pattern: str) -> tuple[tuple[Path, ...], ...]:
        """Files of `<configuration directory>/<subdirectory>` whose name matches: one tuple for each name, sorted by
        it, the file that counts first. `/lib` that is a link to `/usr/lib` counts once."""
        found: dict[str, list[Path]] = {}
        for directory in self._directories(subdirectory):
            for path in directory.glob(pattern):
                found.setdefault(path.name, []).append(path)
        return tuple(tuple(found[name]) for name in sorted(found))

    def _directories(self, subdirectory: str) -> Iterator[Path]:
        seen = set()
        for name in CONFIGURATION_DIRECTORIES:
            directory = self.root / name / subdirectory
            try:
                where = directory.resolve(strict=True)
            except OSError:  # not there
                continue
            if where not in seen:
                seen.add(where)
                yield directory


def read_text(path: Path, limit_bytes: int = 1 << 20) -> str | None:
    """The text of a small file, stripped; None when it is not there or may not be read."""
    try:
        with path.open("rb") as file:
            return file.read(limit_bytes).decode("utf-8", "replace").strip()
    except OSError:
        return None
