"""This host's own addresses: where the proxies listen, who their clients are, and what they must not reach."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address

from pyroute2.netlink.rtnl import RTM_GETROUTE
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from agent.core.errors import ConfigError, TransientError
from agent.core.settings.schema import ProxySettings
from agent.host.links import SCOPE_GLOBAL, fetch_addresses
from agent.host.netlink import FAMILY_OF, NetlinkChannel, Request, decode
from agent.modem.model import Address, Interface
from agent.modem.routing import MAIN_TABLE

RTN_UNICAST = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyAddresses:
    """`proxy.listen` and `proxy.allow` with every "auto" resolved."""

    listen: Address
    allow: tuple[str, ...]
    """Client networks, CIDR."""


def host_addresses(channel: NetlinkChannel, modem_links: Collection[int] = ()) -> tuple[Address, ...]:
    """Every address of this host, of any scope, sorted, without those of the modems' links. Raises TransientError."""
    found = {each.interface.ip for each in fetch_addresses(channel) if each.link_index not in modem_links}
    return tuple(sorted(found, key=lambda address: (address.version, address.packed)))


def resolve_proxy_addresses(
    proxy: ProxySettings, channel: NetlinkChannel, modem_links: Collection[int] = ()
) -> ProxyAddresses:
    """Resolve "auto" by what the kernel has now; the links with these indexes are modems and never count.

    Raises ConfigError when only the operator can say, TransientError while the network is not up.
    """
    if proxy.listen == "auto":
        interface = _uplink_interface(channel, modem_links)
        listen: Address = interface.ip
    else:
        listen = ip_address(proxy.listen)
    if proxy.allow != "auto":
        return ProxyAddresses(listen=listen, allow=tuple(str(network) for network in proxy.allow))
    if listen.is_unspecified:
        raise ConfigError(
            f'proxy.allow: "auto" needs one listen address, not {listen}: name the networks of the clients'
        )
    networks = {
        str(each.interface.network)
        for each in fetch_addresses(channel)
        if each.interface.ip == listen and each.link_index not in modem_links
    }
    if not networks:
        raise TransientError(f"proxy.listen: no link of this host has the address {listen}")
    return ProxyAddresses(listen=listen, allow=tuple(sorted(networks)))


def _uplink_interface(channel: NetlinkChannel, modem_links: Collection[int]) -> Interface:
    """Address and network of the link with the main table's best default route, IPv4 first."""
    addresses = fetch_addresses(channel)
    for family in (4, 6):
        for index, source in _default_routes(channel, family):
            candidates = [
                each.interface
                for each in addresses
                if each.link_index == index and each.scope == SCOPE_GLOBAL and each.interface.version == family
            ]
            if index in modem_links or not candidates:
                continue
            # The kernel would talk to clients from the route's own source address, if it names one.
            return next((each for each in candidates if each.ip == source), candidates[0])
    raise TransientError('no default route yet, so proxy.listen = "auto" is unknown; a fixed address needs none')


def _default_routes(channel: NetlinkChannel, family: int) -> list[tuple[int, Address | None]]:
    """(link index, source address) of the main table's default routes, best first."""
    request = Request.encode(RTM_GETROUTE, 0, rtmsg(), attrs=[("RTA_TABLE", MAIN_TABLE)], family=FAMILY_OF[family])
    found = []
    for raw in channel.dump(request):
        message = decode(rtmsg, raw)
        attributes = dict(message["attrs"])
        if message["dst_len"] or message["type"] != RTN_UNICAST:
            continue
        source = attributes.get("RTA_PREFSRC")
        links = [attributes["RTA_OIF"]] if "RTA_OIF" in attributes else []
        links += [hop["oif"] for hop in attributes.get("RTA_MULTIPATH", ())]
        metric = attributes.get("RTA_PRIORITY", 0)
        found += [(metric, index, ip_address(source) if source is not None else None) for index in links]
    found.sort(key=lambda route: route[0])
    return [(index, source) for _, index, source in found]
