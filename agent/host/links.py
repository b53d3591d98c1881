"""Network links by their index: state, addresses, MTU, lasting names, the raw-IP switch."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL
from pyroute2.netlink.rtnl import (
    RTM_DELADDR,
    RTM_DELLINKPROP,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWLINKPROP,
)
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_NODAD, IFA_F_NOPREFIXROUTE, ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP, ifinfmsg

from agent.core.errors import TransientError
from agent.host.netlink import FAMILY_OF, NetlinkChannel, Request, decode
from agent.host.sysctl import fetch_switch, save_switch
from agent.modem.actions import ConfigureLink
from agent.modem.model import Interface, LinkState

SCOPE_GLOBAL = 0
FLAGS_OF_OURS = IFA_F_NOPREFIXROUTE
LASTING_PREFIX = "modem-"
_HARMLESS = {RTM_DELADDR: errno.EADDRNOTAVAIL, RTM_NEWADDR: errno.EEXIST}


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """An address as the kernel holds it."""

    link_index: int
    interface: Interface
    scope: int
    flags: int


class NetlinkLinks:
    """`ports.Links` on the kernel; every method raises TransientError and may be called from any thread."""

    def __init__(self, channel: NetlinkChannel) -> None:
        self._channel = channel

    def observe(self, index: int, raw_ip_path: str | None) -> LinkState | None:
        """The link's state; None when there is no such link."""
        link = self._fetch_link(index)
        if link is None:
            return None
        addresses = fetch_addresses(self._channel, index)
        counters = link.get_attr("IFLA_STATS64") or {}
        return LinkState(
            index=index,
            name=link.get_attr("IFLA_IFNAME"),
            up=bool(link["flags"] & IFF_UP),
            mtu=link.get_attr("IFLA_MTU"),
            raw_ip=_read_raw_ip(raw_ip_path) if raw_ip_path is not None else None,
            addresses=frozenset(each.interface for each in addresses if each.scope == SCOPE_GLOBAL),
            alternative_names=frozenset(_alternative_names(link)),
            rx_bytes=counters.get("rx_bytes", 0),
            tx_bytes=counters.get("tx_bytes", 0),
        )

    def switch_to_raw_ip(self, index: int, raw_ip_path: str) -> None:
        """Take the link down and set the driver's switch; the link stays down until it is configured."""
        self._execute([_link_request(RTM_NEWLINK, index, flags=0, change=IFF_UP)])
        try:
            Path(raw_ip_path).write_text("Y", encoding="ascii")
        except OSError as exc:
            raise TransientError(f"cannot switch link {index} to raw-IP: {exc}") from exc
        if _read_raw_ip(raw_ip_path) is not True:
            raise TransientError(f"link {index} did not take raw-IP")

    def configure(self, wanted: ConfigureLink) -> None:
        """Bring the link to exactly what is wanted; what is so already is not touched.

        Router advertisements are ignored on it: they would put a default route by this modem into the main table.
        """
        link = self._fetch_link(wanted.link_index)
        if link is None:
            raise TransientError(f"link {wanted.link_index} has gone")
        name = link.get_attr("IFLA_IFNAME")
        if fetch_switch(6, name, "accept_ra") not in (0, None):
            save_switch(6, name, "accept_ra", 0)
        self._name(wanted.link_index, set(_alternative_names(link)), wanted.alternative_name)
        requests = []
        if not link["flags"] & IFF_UP or wanted.mtu not in (None, link.get_attr("IFLA_MTU")):
            attributes = [("IFLA_MTU", wanted.mtu)] if wanted.mtu is not None else []
            requests.append(_link_request(RTM_NEWLINK, wanted.link_index, attributes, flags=IFF_UP, change=IFF_UP))
        found = fetch_addresses(self._channel, wanted.link_index)
        requests += _address_changes(wanted, found)
        self._execute(requests)

    def release_all(self) -> tuple[str, ...]:
        """Take every link that has a lasting name of ours down, and take that name, the addresses of ours and the
        changed switches off it; return the links' names. A link that goes meanwhile is no error."""
        released = []
        for raw in self._channel.dump(Request.encode(RTM_GETLINK, 0, ifinfmsg())):
            link = decode(ifinfmsg, raw)
            names = [each for each in _alternative_names(link) if each.startswith(LASTING_PREFIX)]
            if names:
                self._release(link["index"], link.get_attr("IFLA_IFNAME"), names)
                released.append(link.get_attr("IFLA_IFNAME"))
        return tuple(released)

    def _release(self, index: int, name: str, lasting: Iterable[str]) -> None:
        requests = [
            _address_request(RTM_DELADDR, 0, index, each.interface)
            for each in fetch_addresses(self._channel, index)
            if each.scope == SCOPE_GLOBAL and each.flags & FLAGS_OF_OURS == FLAGS_OF_OURS
        ]
        requests.append(_link_request(RTM_NEWLINK, index, flags=0, change=IFF_UP))
        requests += [_name_request(RTM_DELLINKPROP, index, each) for each in lasting]
        for code in self._channel.execute(requests):
            if code not in (0, errno.ENODEV, errno.EADDRNOTAVAIL):
                raise TransientError(f"netlink refused to release {name}: {os.strerror(code)}")
        for family, switch in ((4, "rp_filter"), (6, "accept_ra")):
            usual = fetch_switch(family, "default", switch)
            if usual is not None:
                save_switch(family, name, switch, usual)

    def _name(self, index: int, found: set[str], wanted: str) -> None:
        """Make `wanted` the link's only lasting name, whoever holds it now."""
        stale = {each for each in found if each.startswith(LASTING_PREFIX) and each != wanted}
        requests = [_name_request(RTM_DELLINKPROP, index, each) for each in sorted(stale)]
        if wanted not in found:
            holder = self._holder(wanted)
            if holder is not None and holder != index:
                requests.append(_name_request(RTM_DELLINKPROP, holder, wanted))
            requests.append(_name_request(RTM_NEWLINKPROP, index, wanted))
        self._execute(requests)

    def _holder(self, alternative_name: str) -> int | None:
        request = Request.encode(RTM_GETLINK, 0, ifinfmsg(), attrs=[("IFLA_ALT_IFNAME", alternative_name)])
        raw = self._channel.fetch(request)
        return int(decode(ifinfmsg, raw)["index"]) if raw is not None else None

    def _fetch_link(self, index: int) -> Any | None:
        raw = self._channel.fetch(Request.encode(RTM_GETLINK, 0, ifinfmsg(), index=index))
        return decode(ifinfmsg, raw) if raw is not None else None

    def _execute(self, requests: list[Request]) -> None:
        """All of them; an address that came or went meanwhile is no error."""
        for request, code in zip(requests, self._channel.execute(requests), strict=True):
            if code not in (0, _HARMLESS.get(request.kind, 0)):
                raise TransientError(f"netlink refused to change a link: {os.strerror(code)}")


def fetch_addresses(channel: NetlinkChannel, link_index: int | None = None) -> list[LinkAddress]:
    """Addresses of both families and any scope: of one link, or of all. Raises TransientError."""
    fields = {"index": link_index} if link_index is not None else {}
    found = []
    for raw in channel.dump(Request.encode(RTM_GETADDR, 0, ifaddrmsg(), **fields)):
        message = decode(ifaddrmsg, raw)
        address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        text = f"{address}/{message['prefixlen']}"
        interface: Interface
        if message["family"] == socket.AF_INET:
            interface = IPv4Interface(text)
        elif message["family"] == socket.AF_INET6:
            interface = IPv6Interface(text)
        else:
            continue
        flags = message.get_attr("IFA_FLAGS")
        found.append(
            LinkAddress(
                link_index=message["index"],
                interface=interface,
                scope=message["scope"],
                flags=message["flags"] if flags is None else flags,
            )
        )
    return found


def _address_changes(wanted: ConfigureLink, found: Iterable[LinkAddress]) -> list[Request]:
    """Removals, then additions. An address that lacks our flags is made anew, for its prefix route to go; and all
    are added after a removal, since with a primary IPv4 address the kernel removes those of its network."""
    index = wanted.link_index
    goals = {each.interface for each in wanted.settings}
    present = set()
    requests = []
    for each in found:
        if each.scope != SCOPE_GLOBAL:
            continue
        if each.interface in goals and each.flags & FLAGS_OF_OURS == FLAGS_OF_OURS:
            present.add(each.interface)
        else:
            requests.append(_address_request(RTM_DELADDR, 0, index, each.interface))
    missing = goals if requests else goals - present
    in_order = sorted(missing, key=lambda goal: (goal.version, goal.ip.packed))
    additions = [_address_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, each) for each in in_order]
    return requests + additions


def _address_request(kind: int, flags: int, index: int, interface: Interface) -> Request:
    address = str(interface.ip)
    attributes: list[tuple[str, object]] = [("IFA_LOCAL", address), ("IFA_ADDRESS", address)]
    if kind == RTM_NEWADDR:
        # Nobody else is on a point-to-point link, so a duplicate cannot be detected there and is not waited for.
        nodad = IFA_F_NODAD if interface.version == 6 else 0
        attributes.append(("IFA_FLAGS", FLAGS_OF_OURS | nodad))
    return Request.encode(
        kind,
        flags,
        ifaddrmsg(),
        attrs=attributes,
        family=FAMILY_OF[interface.version],
        prefixlen=interface.network.prefixlen,
        index=index,
        scope=SCOPE_GLOBAL,
    )


def _link_request(
    kind: int, index: int, attributes: list[tuple[str, Any]] | None = None, *, flags: int = 0, change: int = 0
) -> Request:
    return Request.encode(kind, 0, ifinfmsg(), attrs=attributes or [], index=index, flags=flags, change=change)


def _name_request(kind: int, index: int, name: str) -> Request:
    properties = {"attrs": [("IFLA_ALT_IFNAME", name)]}
    flags = NLM_F_CREATE | NLM_F_EXCL if kind == RTM_NEWLINKPROP else 0
    return Request.encode(kind, flags, ifinfmsg(), attrs=[("IFLA_PROP_LIST", properties)], index=index)


def _alternative_names(link: Any) -> Iterable[str]:
    properties = link.get_attr("IFLA_PROP_LIST")
    return tuple(properties.altnames()) if properties is not None else ()


def _read_raw_ip(path: str) -> bool | None:
    """None when the driver has no such switch, or the link has just gone."""
    try:
        return Path(path).read_text(encoding="ascii").strip().upper() in ("Y", "1")
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENODEV):
            return None
        raise TransientError(f"cannot read {path}: {exc}") from exc
