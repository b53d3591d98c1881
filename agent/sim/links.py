"""Links, addresses and routes of the farm's network namespaces. Each function acts where its calling thread is.

A modem's link is a veth pair made to behave like raw IP: no ARP, and one MAC on both ends, which is what a link without
ARP sends to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from agent.core.errors import TransientError
from agent.sim.ec25.bearers import BearerSettings, Traffic

_IFF_UP, _IFF_NOARP = 0x1, 0x80
_MAIN = 254
_SCOPE_HOST = 254
_ALL = {4: "0.0.0.0/0", 6: "::/0"}
_GONE = frozenset({2, 3, 19, 22})
"""ENOENT, ESRCH, ENODEV, EINVAL: what is to be deleted is not there."""
CARRIER_LINK = "wan0"


@contextmanager
def _netlink() -> Iterator[Any]:
    """rtnetlink of the calling thread's namespace; its errors leave as TransientError."""
    try:
        with IPRoute() as netlink:
            yield netlink
    except NetlinkError as error:
        raise TransientError(f"netlink: {error}") from error


def index_of(netlink: Any, name: str) -> int:
    found = netlink.link_lookup(ifname=name)
    if not found:
        raise TransientError(f"no link {name}")
    return int(found[0])


def bring_up_loopback() -> None:
    with _netlink() as netlink:
        netlink.link("set", index=index_of(netlink, "lo"), state="up")


def add_pair(name: str, peer_name: str, peer_namespace: int, *, mac: str | None = None) -> None:
    """A veth pair whose other end is in the namespace of that descriptor."""
    with _netlink() as netlink:
        peer: dict[str, Any] = {"ifname": peer_name, "net_ns_fd": peer_namespace}
        extra: dict[str, Any] = {}
        if mac is not None:
            peer["address"] = extra["address"] = mac
        netlink.link("add", ifname=name, kind="veth", peer=peer, **extra)


def set_up(name: str, addresses: tuple[str, ...] = (), *, arp: bool = True) -> int:
    """Give the link its addresses (CIDR), bring it up, and return its index."""
    with _netlink() as netlink:
        index = index_of(netlink, name)
        for address in addresses:
            netlink.addr("add", index=index, address=address.split("/")[0], prefixlen=int(address.split("/")[1]))
        flags = _IFF_UP | (0 if arp else _IFF_NOARP)
        netlink.link("set", index=index, flags=flags, change=flags)
        return index


def silence_arp(name: str) -> int:
    """Take ARP away from a link that stays down, and return its index: the agent brings it up."""
    with _netlink() as netlink:
        index = index_of(netlink, name)
        netlink.link("set", index=index, flags=_IFF_NOARP, change=_IFF_NOARP)
        return index


def delete_link(name: str) -> None:
    """Delete a link and its peer; none is no error."""
    with _netlink() as netlink:
        for index in netlink.link_lookup(ifname=name):
            netlink.link("del", index=index)


def add_default_routes(gateways: tuple[str, ...]) -> None:
    with _netlink() as netlink:
        for gateway in gateways:
            netlink.route("add", dst=_ALL[6 if ":" in gateway else 4], gateway=gateway)


def _everywhere(family: int) -> dict[str, Any]:
    """The route that makes every address of a family this namespace's own."""
    scope = {"scope": _SCOPE_HOST} if family == 4 else {}
    return {"dst": _ALL[family], "type": "local", "table": _MAIN, **scope}


def route_bearer(settings: BearerSettings, *, answering: bool) -> None:
    """Let packets of the bearer's address in, and (when `answering`) take every destination for this namespace's own.

    A source that has no route back is a martian and dropped, as a carrier drops an address that it did not give."""
    with _netlink() as netlink:
        link, loopback = index_of(netlink, CARRIER_LINK), index_of(netlink, "lo")
        netlink.route("replace", dst=f"{settings.interface.ip}/{settings.interface.max_prefixlen}", oif=link)
        if answering:
            netlink.route("replace", oif=loopback, **_everywhere(settings.family))


def unroute_bearer(settings: BearerSettings, *, forget_address: bool = True) -> None:
    """Drop everything of that family from now on; what is already gone is no error."""
    with _netlink() as netlink:
        _delete(netlink, **_everywhere(settings.family))
        if forget_address:
            _delete(netlink, dst=f"{settings.interface.ip}/{settings.interface.max_prefixlen}")


def _delete(netlink: Any, **route: Any) -> None:
    try:
        netlink.route("del", **route)
    except NetlinkError as error:
        if error.code not in _GONE:
            raise


def ipv4_networks() -> tuple[IPv4Network, ...]:
    """Networks that this namespace has addresses in or routes to, default routes apart."""
    with _netlink() as netlink:
        routes = [(route.get("dst"), route["dst_len"]) for route in netlink.get_routes(family=2)]
    return tuple(IPv4Network(f"{dst}/{length}", strict=False) for dst, length in routes if dst and length)


def read_traffic(thread_id: int, link_name: str) -> Traffic:
    """Counters of a link in the namespace of that thread of this process; zeros when it is gone."""
    for line in Path(f"/proc/self/task/{thread_id}/net/dev").read_text().splitlines():
        name, separator, values = line.partition(":")
        if separator and name.strip() == link_name:
            numbers = [int(value) for value in values.split()]
            return Traffic(rx_bytes=numbers[0], rx_packets=numbers[1], tx_bytes=numbers[8], tx_packets=numbers[9])
    return Traffic()
