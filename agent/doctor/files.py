"""Places on disk: whose they are, who may change them, and how much room is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.doctor.findings import AS_ROOT, Finding, Findings, failure, hint, listed, ok, unknown, warning

MIB = 1024 * 1024
ROOM_LEAST_BYTES = 50 * MIB
ROOM_WANTED_BYTES = 500 * MIB
INODES_LEAST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder of the agent's."""

    setting: str
    path: str
    exists: bool
    owner: int | None
    others_may_write: bool
    read_only: bool
    free_bytes: int | None
    """Of the file system that it is on, or will be; None: it cannot be seen."""
    free_inodes: int | None
    """None: this file system does not count them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """`state_dir` and `run_dir`, and settings files that others than root may change."""

    places: tuple[Place, ...]
    loose_settings: tuple[str, ...]


def judge_files(facts: FileFacts) -> Findings:
    """files.settings, files.state_dir, files.run_dir, files.room"""
    return (*_settings(facts), *(finding for place in facts.places for finding in _place(place)))


def _settings(facts: FileFacts) -> Iterator[Finding]:
    if facts.loose_settings:
        first = facts.loose_settings[0]
        yield failure(
            "files.settings",
            f"others than root may change {listed(facts.loose_settings)}",
            f"chown root:lastmile {first} && chmod 0640 {first}",
        )


def _place(place: Place) -> Iterator[Finding]:
    name = f"files.{place.setting}"
    if place.free_bytes is None:
        yield unknown(name, f"{place.path} cannot be looked at", AS_ROOT)
        return
    if place.read_only:
        yield failure(
            name, f"{place.path} is on a file system that is read-only", "dmesg | tail tells why; mend the disk"
        )
    elif not place.exists:
        yield hint(name, f"{place.path} is not there; the agent's unit makes it")
    elif place.owner != 0 or place.others_may_write:
        yield failure(
            name,
            f"{place.path} belongs to uid {place.owner}, or others may write it",
            f"chown root {place.path} && chmod go-w {place.path}",
        )
    else:
        yield ok(name, f"{place.path} is root's alone to change")
    yield from _room(place, place.free_bytes)


def _room(place: Place, free: int) -> Iterator[Finding]:
    if place.setting != "state_dir":
        return
    text = f"{free // MIB} MiB are free for {place.path}"
    mend = "df -h; journalctl --vacuum-size=500M; apt clean"
    if free < ROOM_LEAST_BYTES or (place.free_inodes is not None and place.free_inodes < INODES_LEAST):
        inodes = f", {place.free_inodes} inodes" if place.free_inodes is not None else ""
        yield failure("files.room", f"{text}{inodes}: the agent will fail to save", mend)
    elif free < ROOM_WANTED_BYTES:
        yield warning("files.room", f"{text}: little for the outbox while the database is away", mend)
    else:
        yield ok("files.room", text)
