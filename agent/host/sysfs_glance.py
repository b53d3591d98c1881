"""A cheap look at sysfs: whether any device that could be part of a modem came or went since the last look.

Reading what every device is costs some 30 ms with thirty modems, and the safety net asks every few seconds. Listing
the places where devices are registered costs a thirtieth: the kernel gives each registration a new inode there, also
when a device comes back under its old name.
"""

from __future__ import annotations

import os
from pathlib import Path

SYS = Path("/sys")
PLACES = (("bus/usb/devices", ""), ("class/tty", "ttyUSB"), ("class/usbmisc", ""), ("class/net", ""))
"""(directory, what the names that matter begin with)"""

Glance = frozenset[tuple[str, str, int, int]]
"""(place, name, inode, when it was made in ns) of each registration."""


def glance(sys: Path = SYS) -> Glance:
    """What is registered now; a place that is not there (its driver is not loaded) has nothing. What goes meanwhile
    may cut a place short, which the next glance shows as a change. Raises OSError."""
    found = set()
    for place, prefix in PLACES:
        try:
            with os.scandir(sys / place) as entries:
                for entry in entries:
                    if entry.name.startswith(prefix):
                        status = entry.stat(follow_symlinks=False)
                        found.add((place, entry.name, status.st_ino, status.st_mtime_ns))
        except FileNotFoundError:
            continue
    return frozenset(found)
