"""The data connections of an emulated modem: who holds them, and what the carrier is told.

One bearer per address family. Each QMI client that starts it holds a handle of its own; the bearer ends with the last
holder. A bearer without holders is the firmware's own (dial on demand), for which `start network` says NoEffect.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerSettings:
    """What the carrier gives a bearer."""

    interface: IPv4Interface | IPv6Interface
    gateway: IPv4Address | IPv6Address
    nameservers: tuple[IPv4Address | IPv6Address, ...]
    mtu: int

    @property
    def family(self) -> int:
        return self.interface.version


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Counters of the link, seen from the host."""

    rx_packets: int = 0
    tx_packets: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0


class CarrierLink(Protocol):
    """The network's side of one modem."""

    def attached(self, away_seconds: float | None) -> None:
        """The modem has registered, after having been away for so long (None: for the first time)."""

    def renumber(self) -> None:
        """The next lease has other addresses."""

    def lease(self, family: int) -> BearerSettings:
        """Settings for a new bearer."""

    async def open(self, settings: BearerSettings) -> None:
        """From now on packets of that address pass."""

    async def shut(self, settings: BearerSettings) -> None:
        """From now on they are dropped."""

    def traffic(self) -> Traffic: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnd:
    """Why a bearer was refused or ended: the old code, the verbose type and reason (libqmi, QmiWdsCallEndReason)."""

    code: int
    verbose_type: int
    verbose_reason: int


NO_SERVICE = CallEnd(code=3, verbose_type=3, verbose_reason=2001)
CLIENT_END = CallEnd(code=2, verbose_type=3, verbose_reason=2000)
RELEASED = CallEnd(code=5, verbose_type=6, verbose_reason=36)
POWERED_DOWN = CallEnd(code=1, verbose_type=2, verbose_reason=219)
IPV6_DISALLOWED = CallEnd(code=1, verbose_type=2, verbose_reason=210)
INTERFACE_IN_USE = CallEnd(code=1, verbose_type=2, verbose_reason=241)
_OLD_CODES = {8: 1012, 26: 1005, 27: 1013, 32: 1017, 33: 1018}


def network_refusal(reason: int) -> CallEnd:
    """The call end for an ESM cause that the network gave (3GPP TS 24.301 §9.9.4.4): 27 unknown APN and so on."""
    return CallEnd(code=_OLD_CODES.get(reason, 1), verbose_type=6, verbose_reason=reason)


class BearerRefused(Exception):
    """CallFailed, with its reason."""

    def __init__(self, end: CallEnd) -> None:
        super().__init__(f"call end {end.code} ({end.verbose_type},{end.verbose_reason})")
        self.end = end


class AlreadyStarted(Exception):
    """NoEffect: this client has it already, or the firmware holds it by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerChange:
    """A bearer came, went or was given other settings."""

    family: int
    connected: bool
    settings_changed: bool = False
    end: CallEnd | None = None
    by_network: bool = False


@dataclass(slots=True, kw_only=True)
class _Bearer:
    settings: BearerSettings
    apn: str
    holders: dict[int, int] = field(default_factory=dict)
    """handle -> client id"""


class Bearers:
    """The bearers of one modem."""

    def __init__(self, carrier: CarrierLink, notify: Callable[[BearerChange], None]) -> None:
        self._carrier = carrier
        self._notify = notify
        self._active: dict[int, _Bearer] = {}
        self._handles = itertools.count(0x1000_0001)
        self._lock = asyncio.Lock()

    def settings(self, family: int) -> BearerSettings | None:
        """Settings of the bearer of that family, None when there is none."""
        bearer = self._active.get(family)
        return None if bearer is None else bearer.settings

    @property
    def families(self) -> tuple[int, ...]:
        return tuple(sorted(self._active))

    async def start(self, client: int | None, family: int, apn: str) -> int:
        """Bring the bearer up for `client` (None: for the firmware itself) and return the packet data handle.

        Raises AlreadyStarted or BearerRefused."""
        async with self._lock:
            bearer = self._active.get(family)
            if bearer is not None:
                if client is None or not bearer.holders or client in bearer.holders.values():
                    raise AlreadyStarted
                if apn and bearer.apn and apn != bearer.apn:
                    raise BearerRefused(INTERFACE_IN_USE)
            else:
                bearer = _Bearer(settings=self._carrier.lease(family), apn=apn)
                try:
                    await self._carrier.open(bearer.settings)
                except asyncio.CancelledError:
                    await self._carrier.shut(bearer.settings)
                    raise
                self._active[family] = bearer
                self._notify(BearerChange(family=family, connected=True))
            handle = next(self._handles)
            if client is not None:
                bearer.holders[handle] = client
            return handle

    async def stop(self, client: int, handle: int) -> bool:
        """Give up a handle; False when the client has no such handle. The bearer ends with its last holder."""
        async with self._lock:
            for family, bearer in self._active.items():
                if bearer.holders.get(handle) == client:
                    del bearer.holders[handle]
                    if not bearer.holders:
                        await self._end(family, CLIENT_END, by_network=False)
                    return True
            return False

    async def release(self, client: int) -> None:
        """The client id was given back: end what it alone held."""
        async with self._lock:
            for family, bearer in tuple(self._active.items()):
                handles = [handle for handle, holder in bearer.holders.items() if holder == client]
                for handle in handles:
                    del bearer.holders[handle]
                if handles and not bearer.holders:
                    await self._end(family, CLIENT_END, by_network=False)

    async def end_all(self, end: CallEnd, *, by_network: bool) -> None:
        """End every bearer, whoever holds it."""
        async with self._lock:
            for family in tuple(self._active):
                await self._end(family, end, by_network=by_network)

    async def readdress(self) -> None:
        """The network gives every bearer another address while it is up."""
        async with self._lock:
            self._carrier.renumber()
            for family, bearer in self._active.items():
                await self._carrier.shut(bearer.settings)
                bearer.settings = self._carrier.lease(family)
                await self._carrier.open(bearer.settings)
                self._notify(BearerChange(family=family, connected=True, settings_changed=True))

    def traffic(self) -> Traffic:
        return self._carrier.traffic()

    async def _end(self, family: int, end: CallEnd, *, by_network: bool) -> None:
        bearer = self._active.pop(family)
        await self._carrier.shut(bearer.settings)
        self._notify(BearerChange(family=family, connected=False, end=end, by_network=by_network))
