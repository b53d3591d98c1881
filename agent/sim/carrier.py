"""A modem's carrier: a network namespace in which every address answers, for as long as the modem has a bearer."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable

from agent.sim import links
from agent.sim.carrier_addresses import settings_for
from agent.sim.carrier_servers import CarrierServers
from agent.sim.ec25.bearers import BearerSettings, Traffic
from agent.sim.namespaces import NamespaceThread, NetworkNamespace
from agent.sim.records import CarrierEvent

_MOST_EVENTS = 2000
_IPV6_FREEBIND = 78
_SYSCTL = {"ipv4/conf/all/rp_filter": "1", "ipv4/conf/default/rp_filter": "1"}


def _listen(kind: int, port: int, backlog: int = 128) -> socket.socket:
    """A socket for both families on every address."""
    made = socket.socket(socket.AF_INET6, kind)
    made.setblocking(False)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if kind == socket.SOCK_DGRAM:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        # To answer from an IPv6 address that is this namespace's own by its route only.
        made.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
    made.bind(("::", port))
    if kind == socket.SOCK_STREAM:
        made.listen(backlog)
    return made


class Carrier:
    """One modem's network; satisfies `agent.sim.ec25.bearers.CarrierLink`."""

    def __init__(self, index: int, name: str, roamer: NamespaceThread, detach_seconds: float) -> None:
        self.index = index
        self.events: deque[CarrierEvent] = deque(maxlen=_MOST_EVENTS)
        self.namespace = NetworkNamespace.create(name, _SYSCTL)
        self.meter: Callable[[], Traffic] | None = None
        """Reads the counters of the modem's link; None while it has none."""
        self._roamer = roamer
        self._detach_seconds = detach_seconds
        self._generation = 0
        self._twin: Carrier | None = None
        self._muted = False
        self._open: dict[int, BearerSettings] = {}
        self._servers: CarrierServers | None = None

    async def start(self) -> None:
        """Open the servers."""
        sockets = await self._roamer.run(self._prepare)
        self._servers = CarrierServers(self.index, self.events)
        await self._servers.start(*sockets)

    def _prepare(self) -> tuple[socket.socket, ...]:
        self.namespace.enter()
        links.bring_up_loopback()
        return (
            _listen(socket.SOCK_STREAM, 80),
            _listen(socket.SOCK_STREAM, 443),
            _listen(socket.SOCK_DGRAM, 53),
            _listen(socket.SOCK_DGRAM, 7),
        )

    async def make_link(self, make: Callable[[], int]) -> int:
        """Have `make` make this end of the modem's link here, and return the descriptor that it gives."""

        def work() -> int:
            self.namespace.enter()
            return make()

        return await self._roamer.run(work)

    async def attach_link(self) -> None:
        """The modem's link has just been made: bring this end up."""

        def work() -> None:
            self.namespace.enter()
            links.set_up(links.CARRIER_LINK, arp=False)

        await self._roamer.run(work)

    async def close(self) -> None:
        """Close the servers and take the namespace away."""
        if self._servers is not None:
            await self._servers.close()
        self.namespace.delete()

    # -- CarrierLink

    def attached(self, away_seconds: float | None) -> None:
        """A modem that was away long enough is a new one to the network."""
        if away_seconds is not None and away_seconds >= self._detach_seconds:
            self._generation += 1

    def renumber(self) -> None:
        self._generation += 1

    def lease(self, family: int) -> BearerSettings:
        if self._twin is not None:
            return self._twin.lease(family)
        return settings_for(self.index, self._generation, family)

    async def open(self, settings: BearerSettings) -> None:
        self._open[settings.family] = settings

        def work() -> None:
            self.namespace.enter()
            links.route_bearer(settings, answering=not self._muted)

        await self._roamer.run(work)

    async def shut(self, settings: BearerSettings) -> None:
        self._open.pop(settings.family, None)

        def work() -> None:
            self.namespace.enter()
            links.unroute_bearer(settings)

        await self._roamer.run(work)

    def traffic(self) -> Traffic:
        return Traffic() if self.meter is None else self.meter()

    # -- what can be wrong

    def imitate(self, other: Carrier | None) -> None:
        """Lease the addresses that `other` leases, as CGNAT carriers do; None: its own again."""
        self._twin = other

    async def mute(self, *, muted: bool) -> None:
        """Bearers stay up, but nothing comes back: an empty prepaid account, a broken gateway."""
        self._muted = muted
        for settings in tuple(self._open.values()):

            def work(settings: BearerSettings = settings) -> None:
                self.namespace.enter()
                if muted:
                    links.unroute_bearer(settings, forget_address=False)
                else:
                    links.route_bearer(settings, answering=True)

            await self._roamer.run(work)
