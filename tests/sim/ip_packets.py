"""UDP datagrams as raw IP packets, put together and taken apart."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

_UDP = 17


def checksum(data: bytes) -> int:
    """RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass(frozen=True)
class Datagram:
    source: str
    destination: str
    source_port: int
    destination_port: int
    payload: bytes

    def render(self) -> bytes:
        source, destination = ip_address(self.source), ip_address(self.destination)
        size = 8 + len(self.payload)
        head = struct.pack(">HHHH", self.source_port, self.destination_port, size, 0)
        pseudo = source.packed + destination.packed + struct.pack(">II", size, _UDP) + head + self.payload
        udp = head[:6] + struct.pack(">H", checksum(pseudo) or 0xFFFF) + self.payload
        if isinstance(source, IPv6Address):
            return struct.pack(">IHBB", 6 << 28, size, _UDP, 64) + source.packed + destination.packed + udp
        assert isinstance(destination, IPv4Address)
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + size, 1, 0, 64, _UDP, 0) + source.packed + destination.packed
        return ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:] + udp


def parse_datagram(packet: bytes) -> Datagram:
    if packet[0] >> 4 == 6:
        source, destination, udp = IPv6Address(packet[8:24]), IPv6Address(packet[24:40]), packet[40:]
        return _parse(str(source), str(destination), udp)
    assert checksum(packet[:20]) == 0
    return _parse(str(IPv4Address(packet[12:16])), str(IPv4Address(packet[16:20])), packet[20:])


def _parse(source: str, destination: str, udp: bytes) -> Datagram:
    source_port, destination_port, size, _ = struct.unpack_from(">HHHH", udp)
    assert size == len(udp)
    return Datagram(source, destination, source_port, destination_port, udp[8:])
