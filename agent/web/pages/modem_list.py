"""The list of modems: filters, order and pages, over rows that are all in memory (a fleet has some hundred). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from agent.modem.model import ModemState
from agent.store.glances import TrafficRow
from agent.store.rows import ModemRow
from agent.web.pages.listing import Listing

PAGE_ROWS = 100
QUERY_MOST = 100
PATH = "/modems"
_STATES = tuple(ModemState)
_WORST_FIRST = (
    *(ModemState.QUARANTINED, ModemState.SIM_BLOCKED, ModemState.DEGRADED, ModemState.RECOVERING),
    *(ModemState.DETECTED, ModemState.INITIALISING, ModemState.SEARCHING, ModemState.REGISTERED),
    *(ModemState.CONNECTING, ModemState.OFFLINE, ModemState.ONLINE),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemLine:
    """A modem as the list shows it."""

    modem: ModemRow
    rx_bytes: int
    """Today."""
    tx_bytes: int
    silent: bool
    """Whether its host's agent was not heard of lately."""

    @property
    def total_bytes(self) -> int:
        return self.rx_bytes + self.tx_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemLines:
    """A page of the list."""

    listing: Listing
    lines: Sequence[ModemLine]
    matching: int
    total: int
    states: Sequence[tuple[str, int]]
    """How many of those that match all other filters are in which state."""
    hosts: Sequence[str]
    offset: int

    @property
    def previous_url(self) -> str | None:
        if self.offset == 0:
            return None
        return self.listing.url(offset=str(max(0, self.offset - PAGE_ROWS)) if self.offset > PAGE_ROWS else None)

    @property
    def next_url(self) -> str | None:
        following = self.offset + PAGE_ROWS
        return self.listing.url(offset=str(following)) if following < self.matching else None


def _text(modem: ModemRow) -> str:
    parts = (modem.serial, modem.host, modem.slot, modem.operator, modem.iccid, modem.imsi, modem.model)
    addresses = (modem.wan_address, modem.wan_address_ipv6, modem.proxy_address, modem.reason)
    return " ".join(part.lower() for part in (*parts, *addresses) if part)


def _address(text: str | None) -> tuple[int, int]:
    return (0, 0) if text is None else (1, int(ip_address(text)))


_KEYS: Mapping[str, Callable[[ModemLine], Any]] = {
    "state": lambda line: _WORST_FIRST.index(line.modem.status),
    "serial": lambda line: line.modem.serial,
    "operator": lambda line: (line.modem.operator or "", line.modem.access_technology or ""),
    "signal": lambda line: -999.0 if line.modem.rsrp_dbm is None else line.modem.rsrp_dbm,
    "address": lambda line: _address(line.modem.wan_address),
    "proxy": lambda line: (line.modem.proxy_address or "", line.modem.proxy_port),
    "traffic": lambda line: line.total_bytes,
    "slot": lambda line: (line.modem.host, _slot(line.modem.slot)),
}
_HIGHEST_FIRST = frozenset({"signal", "traffic"})


def _slot(slot: str | None) -> tuple[int, ...]:
    """`1-1.10` after `1-1.9`."""
    return tuple(int(part) for part in (slot or "").replace("-", ".").split(".") if part.isdigit())


def select(
    modems: Sequence[ModemRow],
    traffic: Mapping[str, TrafficRow],
    silent: frozenset[str],
    given: Mapping[str, Sequence[str]],
) -> ModemLines:
    """The page that the address asks for; what it asks for and is not there is left out."""
    query = _one(given, "q")[:QUERY_MOST].strip()
    statuses = tuple(state for state in given.get("status", ()) if state in _STATES)
    hosts = sorted({modem.host for modem in modems})
    host = _one(given, "host")
    host = host if host in hosts else ""
    sort = _one(given, "sort")
    sort = sort if sort in _KEYS else "slot"
    listing = Listing(
        path=PATH,
        sort=sort,
        descending=_one(given, "order") == "desc",
        filters={"q": (query,) if query else (), "status": statuses, "host": (host,) if host else ()},
        first=_HIGHEST_FIRST,
    )
    needles = query.lower().split()
    found = [
        modem
        for modem in modems
        if (not host or modem.host == host) and all(needle in _text(modem) for needle in needles)
    ]
    counted = Counter(modem.status for modem in found)
    lines = [_line(modem, traffic, silent) for modem in found if not statuses or modem.status in statuses]
    lines.sort(key=_KEYS["slot"])
    lines.sort(key=_KEYS[sort], reverse=listing.descending)
    offset = _offset(_one(given, "offset"), len(lines))
    return ModemLines(
        listing=listing,
        lines=lines[offset : offset + PAGE_ROWS],
        matching=len(lines),
        total=len(modems),
        states=tuple((state.value, counted[state]) for state in reversed(_WORST_FIRST) if counted[state]),
        hosts=hosts,
        offset=offset,
    )


def _line(modem: ModemRow, traffic: Mapping[str, TrafficRow], silent: frozenset[str]) -> ModemLine:
    passed = traffic.get(modem.serial)
    return ModemLine(
        modem=modem,
        rx_bytes=passed.rx_bytes if passed is not None else 0,
        tx_bytes=passed.tx_bytes if passed is not None else 0,
        silent=modem.host in silent,
    )


def _one(given: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(given.get(name, ())), "")


def _offset(text: str, rows: int) -> int:
    offset = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    return offset if offset < rows else 0
