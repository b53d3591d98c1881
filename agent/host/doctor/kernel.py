"""Facts about the kernel: its modules, and its log."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from agent.doctor.kernel import KernelFacts
from agent.doctor.usb import KernelLine
from agent.host.doctor.places import Places, read_text

MODULES_BYTES = 16 << 20
RECORD_BYTES = 8192
RECORDS_MOST = 200_000
JOURNAL_SECONDS = 2.0
_NOTHING = re.compile(r"install\s+(\S+)\s+\S*/(?:true|false)\b")
_BLACKLIST = re.compile(r"blacklist\s+(\S+)")
_OF_USB = re.compile(r"usb|hub |xhci|over-current", re.IGNORECASE)


def fetch_kernel(places: Places, release: str | None = None) -> KernelFacts:
    """What is loaded, what can be, and what may not."""
    release = release if release is not None else os.uname().release
    loaded = places.sys / "module"
    return KernelFacts(
        release=release,
        has_usb=(places.sys / "bus/usb").is_dir(),
        loaded=frozenset(each.name for each in loaded.iterdir()) if loaded.is_dir() else frozenset(),
        loadable=_loadable(places.root / "lib/modules" / release),
        blocked=dict(_blocked(places)),
    )


def _loadable(directory: Path) -> frozenset[str] | None:
    """Modules on disk and built in, as depmod(8) has listed them; None when there is no such list."""
    dependencies = read_text(directory / "modules.dep", MODULES_BYTES)
    built_in = read_text(directory / "modules.builtin", MODULES_BYTES)
    if dependencies is None and built_in is None:
        return None
    paths = [line.partition(":")[0] for line in (dependencies or "").splitlines()] + (built_in or "").splitlines()
    return frozenset(path.rpartition("/")[2].partition(".ko")[0].replace("-", "_") for path in paths)


def _blocked(places: Places) -> Iterator[tuple[str, str]]:
    for active, *_ in places.named("modprobe.d", "*.conf"):
        for line in (read_text(active) or "").splitlines():
            words = line.partition("#")[0].strip()
            if found := _BLACKLIST.match(words) or _NOTHING.match(words):
                yield found[1].replace("-", "_"), str(active)


def fetch_kernel_log(places: Places) -> tuple[KernelLine, ...] | None:
    """Lines about USB of this boot, oldest first; None when this user may read neither the log nor the journal."""
    try:
        descriptor = os.open(places.root / "dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return _from_journal()
    try:
        now = time.monotonic()
        lines = (parse_record(record, now) for record in _records(descriptor))
        return tuple(line for line in lines if line is not None)
    finally:
        os.close(descriptor)


def parse_record(record: bytes, now: float) -> KernelLine | None:
    """A record of /dev/kmsg (`priority,sequence,microseconds,flags;text`); None when it is none about USB."""
    head, _, text = record.decode("utf-8", "replace").partition(";")
    fields = head.split(",")
    first = text.partition("\n")[0]
    if len(fields) < 3 or not fields[0].isdecimal() or int(fields[0]) >> 3 or not _OF_USB.search(first):
        return None
    age = max(0.0, now - int(fields[2]) / 1e6) if fields[2].isdecimal() else None
    return KernelLine(seconds_ago=age, text=first)


def _records(descriptor: int) -> Iterator[bytes]:
    for _ in range(RECORDS_MOST):
        try:
            record = os.read(descriptor, RECORD_BYTES)
        except BlockingIOError:
            return
        except BrokenPipeError:  # overwritten while it was read
            continue
        except OSError:  # not the kernel's log (some containers)
            return
        if not record:
            return
        yield record


def _from_journal() -> tuple[KernelLine, ...] | None:
    words = ["journalctl", "--dmesg", "--boot", "--quiet", "--no-pager", "--output=short-unix", "--lines=20000"]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=JOURNAL_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    now = time.time()
    lines = tuple(line for text in done.stdout.splitlines() if (line := parse_journal_line(text, now)) is not None)
    # Whoever may not read the system's journal gets an empty one, and no error.
    return lines if done.stdout.strip() else None


def parse_journal_line(line: str, now: float) -> KernelLine | None:
    """`1700000000.123456 host kernel: text`; None when it is none about USB."""
    stamp, _, rest = line.partition(" ")
    text = rest.partition("kernel: ")[2]
    if not text or not _OF_USB.search(text):
        return None
    try:
        age = max(0.0, now - float(stamp))
    except ValueError:
        return None
    return KernelLine(seconds_ago=age, text=text)
