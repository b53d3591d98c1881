"""The machine itself: its clock, its disks, and systemd's units."""

from __future__ import annotations

import ctypes
import os
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

from agent.core.settings.schema import AgentSettings
from agent.doctor.files import FileFacts, Place
from agent.doctor.units import AGENT, MIGRATE, TARGET, WEB, UnitFacts, parse_units
from agent.host.doctor.places import Places

NOT_SYNCHRONISED = 5
"""TIME_ERROR of adjtimex(2)"""
TIMEX_BYTES = 512
"""More than `struct timex` has on any machine; all zero, it changes nothing (`modes`)."""
PROPERTIES = "Id,LoadState,ActiveState,UnitFileState,Result,NRestarts,NeedDaemonReload"
WEB_SOCKET = "lastmile-web.socket"
DISTRIBUTION_PROXY = "3proxy.service"
SHOWN = (TARGET, AGENT, WEB, WEB_SOCKET, MIGRATE, DISTRIBUTION_PROXY, "3proxy@*.service", "lastmile-*")
SYSTEMCTL_SECONDS = 3.0
OTHERS_WRITE = stat.S_IWOTH | stat.S_IWGRP


def clock_is_synchronised() -> bool | None:
    """What the kernel knows of its clock, whoever keeps it; None when it may not be asked."""
    libc = ctypes.CDLL(None, use_errno=True)
    state: int = libc.adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    return None if state < 0 else state != NOT_SYNCHRONISED


def fetch_files(agent: AgentSettings, settings_files: Iterable[Path]) -> FileFacts:
    """The agent's folders, and the settings files that others than root may change."""
    return FileFacts(
        places=(_place("state_dir", agent.state_dir), _place("run_dir", agent.run_dir)),
        loose_settings=tuple(str(path) for path in settings_files if _is_loose(path)),
    )


def settings_files(main: Path) -> tuple[Path, ...]:
    """The settings file and its drop-ins, as far as they are there; a folder that may not be looked into stands for
    what is in it."""
    if _status(main.parent) is not None and not os.access(main.parent, os.X_OK):
        return (main.parent,)
    drop_ins = main.parent / "lastmile.d"
    if drop_ins.is_dir() and not os.access(drop_ins, os.R_OK | os.X_OK):
        return (main, drop_ins)
    return tuple(path for path in (main, *sorted(drop_ins.glob("*.toml"))) if path.exists())


def _place(setting: str, path: Path) -> Place:
    status = _status(path)
    there = next((each for each in (path, *path.parents) if _status(each) is not None), Path("/"))
    try:
        room = os.statvfs(there)
        free, inodes = room.f_bavail * room.f_frsize, room.f_favail if room.f_files else None
        read_only = bool(room.f_flag & os.ST_RDONLY)
    except OSError:
        free, inodes, read_only = None, None, False
    return Place(
        setting=setting,
        path=str(path),
        exists=status is not None,
        owner=status.st_uid if status is not None else None,
        others_may_write=status is not None and bool(status.st_mode & OTHERS_WRITE),
        read_only=read_only,
        free_bytes=free,
        free_inodes=inodes,
    )


def _is_loose(path: Path) -> bool:
    status = _status(path)
    if status is None or (stat.S_ISDIR(status.st_mode) and not os.access(path, os.X_OK)):
        return False
    return status.st_uid != 0 or bool(status.st_mode & OTHERS_WRITE)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def fetch_units(places: Places, *, needs_systemd: bool) -> UnitFacts:
    """The units of lastmile, of its proxies, and of 3proxy's own package, as `systemctl show` has them."""
    if not (places.root / "run/systemd/system").is_dir():
        return UnitFacts(units=None, error="it does not run this machine", needs_systemd=needs_systemd)
    command = ["systemctl", "show", "--no-pager", f"--property={PROPERTIES}", "--", *SHOWN]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SYSTEMCTL_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None)
        reason = told.strip().partition("\n")[0] if isinstance(told, str) and told.strip() else str(error)
        return UnitFacts(units=None, error=reason, needs_systemd=needs_systemd)
    units = {unit.name: unit for unit in parse_units(done.stdout)}
    return UnitFacts(units=tuple(units.values()), error="", needs_systemd=needs_systemd)


def distribution_service(facts: UnitFacts) -> str | None:
    """How 3proxy's own service would run a proxy of its own; None when it does not."""
    for unit in facts.units or ():
        if unit.name == DISTRIBUTION_PROXY and (unit.active in ("active", "activating") or unit.enabled == "enabled"):
            return unit.active if unit.active != "inactive" else unit.enabled
    return None


def web_is_socket_activated(facts: UnitFacts) -> bool:
    return any(unit.name == WEB_SOCKET and unit.active == "active" for unit in facts.units or ())
