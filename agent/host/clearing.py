"""Takes everything of lastmile off this host: the proxies first, then what their traffic went by."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from agent.core.errors import AgentError, TransientError
from agent.core.identifiers import Serial
from agent.host.device_links import DeviceLinkDirectory
from agent.host.links import NetlinkLinks
from agent.host.proxy.instances import ProxyInstances
from agent.host.routes import NetlinkRouting
from agent.modem.actions import ApplyRouting
from agent.modem.model import Allocation, Rule
from agent.modem.routing import host_rules

STOPS_AT_ONCE = 16
"""A 3proxy takes about three seconds to end."""
PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """What was found and removed."""

    proxies: tuple[Serial, ...]
    rules: tuple[Rule, ...]
    links: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostClearing:
    """All parts of this host that the agent changes; the database is not needed."""

    proxies: ProxyInstances
    routing: NetlinkRouting
    links: NetlinkLinks
    device_links: DeviceLinkDirectory
    uids: range
    tables: range
    allocations: tuple[Allocation, ...] = ()
    """Those that were given to modems, as far as it is known: they may lie outside of the ranges of today."""

    def clear(self) -> Cleared:
        """Stop and forget every proxy; remove every rule, route, lasting link name, address and device link of ours.

        Raises TransientError when a proxy cannot be stopped: nothing else is touched then, since without its rule it
        would leave by the host's uplink. What is gone already is no error, so it can be repeated."""
        proxies = self._stop_proxies()
        rules = [*self.routing.purge((), self.uids, self.tables)]
        for allocation in self.allocations:
            uid, table = allocation.uid, allocation.table
            rules += self.routing.purge((), range(uid, uid + 1), range(table, table + 1))
        self.routing.apply(ApplyRouting(delete_rules=host_rules()))
        links = self.links.release_all()
        self.device_links.remove_all()
        return Cleared(proxies=proxies, rules=tuple(rules), links=links)

    def _stop_proxies(self) -> tuple[Serial, ...]:
        known = tuple(self.proxies.known())
        with ThreadPoolExecutor(max_workers=STOPS_AT_ONCE, thread_name_prefix="stop") as pool:
            failures = [failure for failure in pool.map(self._forget, known) if failure is not None]
        if failures:
            raise TransientError(f"a proxy cannot be stopped, so its rules stay: {'; '.join(failures)}")
        return known

    def _forget(self, serial: Serial) -> str | None:
        try:
            self.proxies.forget(serial)
        except AgentError as error:
            return f"{serial}: {error}"
        return None


def users_of(paths: Iterable[Path], proc: Path = PROC) -> tuple[int, ...]:
    """Processes that have one of these files open, in whatever mount namespace they are. Needs root for all of them."""
    wanted = {(found.st_dev, found.st_ino) for found in map(_status, paths) if found is not None}
    if not wanted:
        return ()
    pids = (each for each in proc.iterdir() if each.name.isdigit())
    return tuple(sorted(int(each.name) for each in pids if wanted & _open_files(each / "fd")))


def _open_files(folder: Path) -> set[tuple[int, int]]:
    try:
        descriptors = list(folder.iterdir())
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # it has just ended, or is another user's
        return set()
    return {(found.st_dev, found.st_ino) for found in map(_status, descriptors) if found is not None}


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # closed meanwhile, or never there
        return None
