"""A QMI client for tests that have no qmicli: frames put together and taken apart here, not by the emulator's code."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from agent.sim.ec25.firmware import Firmware
from agent.sim.ec25.qmi_port import QmiPort

CTL, WDS, DMS, NAS, UIM = 0x00, 0x01, 0x02, 0x03, 0x0B


@dataclass(frozen=True)
class Heard:
    """A frame from the modem; `fault` is None in an indication."""

    service: int
    client: int
    message: int
    fault: int | None
    tlvs: dict[int, bytes]


def request(service: int, client: int, message: int, tlvs: dict[int, bytes]) -> bytes:
    body = b"".join(struct.pack("<BH", kind, len(value)) + value for kind, value in tlvs.items())
    sdu = struct.pack("<BB" if service == CTL else "<BH", 0, 7) + struct.pack("<HH", message, len(body)) + body
    return struct.pack("<BHBBB", 1, len(sdu) + 5, 0, service, client) + sdu


def parse(frame: bytes) -> Heard:
    _, size, _, service, client, flags = struct.unpack_from("<BHBBBB", frame)
    assert size + 1 == len(frame)
    place = 8 if service == CTL else 9
    message, length = struct.unpack_from("<HH", frame, place)
    body, tlvs = frame[place + 4 :], {}
    assert len(body) == length
    while body:
        kind, size = struct.unpack_from("<BH", body)
        tlvs[kind] = body[3 : 3 + size]
        body = body[3 + size :]
    indication = flags == (2 if service == CTL else 4)
    result = None if indication else struct.unpack("<HH", tlvs.pop(2))
    return Heard(service, client, message, None if result is None else result[1], tlvs)


@dataclass
class QmiClient:
    """Clients of one port; `frames` is everything it said."""

    firmware: Firmware
    frames: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = QmiPort(self.firmware, self.frames.append)

    def ask(self, service: int, client: int, message: int, tlvs: dict[int, bytes] | None = None) -> Heard:
        """The answer, which must come at once and be the last frame that came."""
        before = len(self.frames)
        self.port.receive(request(service, client, message, tlvs or {}))
        assert len(self.frames) > before, "no answer"
        heard = next(each for each in map(parse, self.frames[before:]) if each.fault is not None)
        assert (heard.service, heard.message) == (service, message)
        return heard

    def allocate(self, service: int) -> int:
        """A new client's id."""
        return self.ask(CTL, 0, 0x22, {1: bytes([service])}).tlvs[1][1]

    def indications(self, service: int, message: int) -> list[Heard]:
        """Those that came since the last call, of all clients; forgets every other frame."""
        heard = [parse(frame) for frame in self.frames]
        self.frames.clear()
        return [each for each in heard if each.fault is None and (each.service, each.message) == (service, message)]
