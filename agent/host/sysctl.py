"""Per-link kernel switches under /proc/sys/net, in the network namespace of the calling thread."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from agent.core.errors import TransientError

NET = Path("/proc/sys/net")
_ABSENT = (errno.ENOENT, errno.ENODEV, errno.ENXIO)


def fetch_switch(family: int, link_name: str, switch: str) -> int | None:
    """Value of net.ipv<family>.conf.<link_name>.<switch>; None when the link or the family is not there.

    `link_name` may be `all`. Raises TransientError.
    """
    try:
        return int(_path(family, link_name, switch).read_text(encoding="ascii"))
    except OSError as exc:
        if exc.errno in _ABSENT:
            return None
        raise TransientError(f"cannot read {_path(family, link_name, switch)}: {exc}") from exc


def save_switch(family: int, link_name: str, switch: str, value: int) -> None:
    """Set a switch; nothing happens when the link or the family is not there. Raises TransientError."""
    path = _path(family, link_name, switch)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"%d\n" % value)
        finally:
            os.close(descriptor)
    except OSError as exc:
        if exc.errno not in _ABSENT:
            raise TransientError(f"cannot write {path}: {exc}") from exc


def _path(family: int, link_name: str, switch: str) -> Path:
    return NET / f"ipv{family}" / "conf" / link_name / switch
