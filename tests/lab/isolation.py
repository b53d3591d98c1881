"""How programs are started that mount things and leave processes behind: so that all of it goes with one process."""

from __future__ import annotations

import shutil

NEEDED = ("setpriv", "unshare")
ALONE = (
    # The first process of the namespace dies with the thread that started it, and all others die with that one.
    *("setpriv", "--pdeathsig", "KILL", "--"),
    *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
"""Prefix of a command: mounts and processes of its own. The thread that starts it must outlive it."""


def missing(programs: tuple[str, ...]) -> list[str]:
    """Which of the programs this machine has not."""
    return [name for name in programs if shutil.which(name) is None]
