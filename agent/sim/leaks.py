"""The leak detector at the end of the host's uplink: everything that leaves there instead of by a modem is noted."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from ipaddress import IPv4Address, IPv6Address

from agent.sim.records import Leak

_ETH_P_ALL = 3
_ETH_P_IP, _ETH_P_IPV6 = 0x0800, 0x86DD
_OUTGOING = 4
_MOST_KEPT = 1000
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}
_HOUSEKEEPING_ICMP6 = frozenset({130, 131, 132, 133, 134, 135, 136, 143})
"""Multicast listeners, routers and neighbours: the link's own talk."""
_HOP_BY_HOP = 0


def parse_packet(protocol: int, packet: bytes) -> Leak | None:
    """What an IP packet is; None for the link's own talk and for what is no IP."""
    if protocol == _ETH_P_IP and len(packet) >= 20:
        number, header = packet[9], (packet[0] & 15) * 4
        source, destination = str(IPv4Address(packet[12:16])), str(IPv4Address(packet[16:20]))
    elif protocol == _ETH_P_IPV6 and len(packet) >= 40:
        number, header = packet[6], 40
        if number == _HOP_BY_HOP and len(packet) > 48:
            number, header = packet[40], 48 + packet[41] * 8
        source, destination = str(IPv6Address(packet[8:24])), str(IPv6Address(packet[24:40]))
    else:
        return None
    payload = packet[header:]
    if number == 58 and payload[:1] and payload[0] in _HOUSEKEEPING_ICMP6:
        return None
    port = int.from_bytes(payload[2:4], "big") if number in (6, 17) and len(payload) >= 4 else 0
    return Leak(
        protocol=_PROTOCOLS.get(number, str(number)),
        source=source,
        destination=destination,
        destination_port=port,
    )


class LeakDetector:
    """Listens on every link of the network namespace of the thread that makes it."""

    def __init__(self) -> None:
        # SOCK_DGRAM gives the packet without its link-layer header.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        self._socket.setblocking(False)
        self._seen: deque[Leak] = deque(maxlen=_MOST_KEPT)

    def serve(self) -> None:
        """Note packets from the running event loop."""
        asyncio.get_running_loop().add_reader(self._socket, self._readable)

    def leaks(self) -> tuple[Leak, ...]:
        """The latest packets that left, oldest first."""
        self._readable()
        return tuple(self._seen)

    def forget(self) -> None:
        self._readable()
        self._seen.clear()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        while True:
            try:
                packet, (_link, protocol, kind, *_address) = self._socket.recvfrom(128)
            except BlockingIOError:
                return
            if kind != _OUTGOING and (leak := parse_packet(protocol, packet)) is not None:
                self._seen.append(leak)
