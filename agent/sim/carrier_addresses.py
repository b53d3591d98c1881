"""What a carrier's network gives: private addresses with odd prefixes and a gateway that may lie outside of them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from agent.sim.ec25.bearers import BearerSettings

_BLOCK = 32
_GENERATIONS = 64
"""Addresses that one modem gets before the first comes again."""
_FIRST_IPV4 = int(IPv4Address("10.64.0.0"))
_FIRST_IPV6 = int(IPv6Address("2001:db8:4000::"))
_MTUS = (1500, 1430, 1500, 1400)


def settings_for(index: int, generation: int, family: int) -> BearerSettings:
    """Settings number `generation` of modem `index`; no two modems and generations share an address."""
    place = index * _GENERATIONS + generation % _GENERATIONS
    mtu = _MTUS[index % len(_MTUS)]
    if family == 6:
        network = _FIRST_IPV6 + (place << 64)
        return BearerSettings(
            interface=IPv6Interface((network + 0x1000 + index, 64)),
            gateway=IPv6Address(network + 1),
            nameservers=(IPv6Address("2001:db8:53::53"), IPv6Address("2001:db8:53::54")),
            mtu=mtu,
        )
    prefix = 27 + (index + generation) % 4
    size = 1 << (32 - prefix)
    address = _FIRST_IPV4 + place * _BLOCK + 1 + index % (size - 2)
    return BearerSettings(
        interface=IPv4Interface((address, prefix)),
        # The neighbour above, whether inside the prefix or not: at the top of a block it is the broadcast address.
        gateway=IPv4Address(address + 1),
        nameservers=(IPv4Address(f"10.112.{index % 250}.53"), IPv4Address(f"10.112.{index % 250}.54")),
        mtu=mtu,
    )
