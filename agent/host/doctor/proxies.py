"""What the proxies need: TCP ports, uids, and a folder that they can read."""

from __future__ import annotations

import os
import pwd
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from agent.core.settings.schema import ProxySettings
from agent.doctor.holders import lastmile_command
from agent.doctor.proxies import ConfigDirFacts, PortFacts, Taken, UidFacts
from agent.host.doctor.places import Places, read_text
from agent.host.doctor.processes import Process, Processes
from agent.modem.model import Address

_LISTEN = "0A"
_TABLES = (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6))
SERVICE_ACCOUNT = "lastmile"


def fetch_ports(
    places: Places, proxy: ProxySettings, web_port: int, uids: range, processes: Processes, *, socket_activated: bool
) -> PortFacts:
    """Who listens on the proxies' TCP ports and the web's. `socket_activated`: systemd holds the web's socket."""
    ports = {*range(proxy.tcp_port_first, proxy.tcp_port_last + 1), web_port}
    service = {uid for name, uid in _accounts() if name == SERVICE_ACCOUNT}
    taken = []
    for address, tcp_port, uid, inode in _listeners(places):
        if tcp_port not in ports:
            continue
        holders = [each for each in processes.all if inode in each.sockets]
        of_web = any(_serves_web(each, socket_activated) for each in holders) or (
            not holders and (uid in service or (uid == 0 and socket_activated))
        )
        taken.append(
            Taken(
                tcp_port=tcp_port,
                address=str(address),
                uid=uid,
                processes=tuple(f"{each.name} (process {each.pid})" for each in holders),
                ours=of_web if tcp_port == web_port else uid in uids,
            )
        )
    return PortFacts(
        proxy_ports=(proxy.tcp_port_first, proxy.tcp_port_last),
        web_port=web_port,
        taken=tuple(taken),
        complete=processes.complete,
    )


def _serves_web(process: Process, socket_activated: bool) -> bool:
    return lastmile_command(process.command) == "web" or (process.pid == 1 and socket_activated)


def _listeners(places: Places) -> Iterator[tuple[Address, int, int, int]]:
    """(address, TCP port, uid, inode) of every listening socket of this network namespace (proc_net_tcp)."""
    for name, family in _TABLES:
        text = read_text(places.proc / "thread-self/net" / name, 64 << 20) or ""
        for row in text.splitlines()[1:]:
            columns = row.split()
            if columns[3] != _LISTEN:
                break
            address, _, port = columns[1].partition(":")
            yield _address(address, family), int(port, 16), int(columns[7]), int(columns[9])


def _address(text: str, family: int) -> Address:
    """The kernel prints 32-bit words in the machine's own byte order."""
    words = (int(text[start : start + 8], 16) for start in range(0, len(text), 8))
    order = "<" if sys.byteorder == "little" else ">"
    packed = b"".join(struct.pack(f"{order}I", word) for word in words)
    return IPv4Address(packed) if family == socket.AF_INET else IPv6Address(packed)


def fetch_uids(places: Places, uids: range) -> UidFacts:
    """Accounts (as `getent passwd` lists them) and ranges of /etc/subuid and /etc/subgid."""
    return UidFacts(
        uids=uids,
        accounts=tuple((uid, name) for name, uid in _accounts() if uid in uids),
        subordinate=tuple(each for file in ("subuid", "subgid") for each in _subordinate(places.root / "etc" / file)),
    )


def _accounts() -> tuple[tuple[str, int], ...]:
    return tuple((entry.pw_name, entry.pw_uid) for entry in pwd.getpwall())


def _subordinate(path: Path) -> Iterator[tuple[str, int, int]]:
    for line in (read_text(path) or "").splitlines():
        fields = line.split(":")
        if len(fields) == 3 and fields[1].isdecimal() and fields[2].isdecimal():
            yield fields[0], int(fields[1]), int(fields[2])


def fetch_config_dir(path: Path, *, has_users: bool) -> ConfigDirFacts:
    """Modes of the folder, of those above it, and of the configurations in it."""
    closed = next((str(each) for each in (*reversed(path.parents), path) if _mode(each, stat.S_IXOTH) is False), None)
    try:
        files = sorted(each for each in path.iterdir() if each.suffix == ".cfg")
        visible, exists = True, True
    except FileNotFoundError:
        files, visible, exists = [], True, False
    except OSError:
        files, visible, exists = [], False, True
    loose = [str(each) for each in (path, *files) if _others_may_write(each)]
    return ConfigDirFacts(
        path=str(path),
        exists=exists,
        closed_at=closed,
        writable_by_others=tuple(loose),
        readable_by_all=tuple(str(each) for each in files if has_users and _mode(each, stat.S_IROTH)),
        files=len(files),
        visible=visible,
    )


def _mode(path: Path, bit: int) -> bool | None:
    """Whether a bit of the mode is set; None when the file is not there or cannot be seen."""
    try:
        return bool(path.stat().st_mode & bit)
    except OSError:
        return None


def _others_may_write(path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_uid != 0 or bool(status.st_mode & stat.S_IWOTH) or _group_may_write(status)


def _group_may_write(status: os.stat_result) -> bool:
    return status.st_gid != 0 and bool(status.st_mode & stat.S_IWGRP)
