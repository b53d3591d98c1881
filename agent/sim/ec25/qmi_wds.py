"""QMI WDS: data sessions, each the property of a client id, by libqmi's qmi-service-wds.json."""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from agent.sim.ec25.bearers import AlreadyStarted, BearerChange, BearerRefused, BearerSettings, CallEnd
from agent.sim.ec25.firmware import Firmware
from agent.sim.ec25.qmux import QmiFault, Request, Tlvs

Answer = Callable[[Tlvs, int], None]
PACKET_SERVICE_STATUS = 0x22
_DISCONNECTED, _CONNECTED = 1, 2
_EVERY_HANDLE = 0xFFFF_FFFF


def _call_end(end: CallEnd) -> Tlvs:
    return (
        (0x10, struct.pack("<H", end.code)),
        (0x11, struct.pack("<Hh", end.verbose_type, end.verbose_reason)),
    )


def service_status(change: BearerChange) -> Tlvs:
    """TLVs of the packet service status indication."""
    status = _CONNECTED if change.connected else _DISCONNECTED
    tlvs: Tlvs = ((0x01, bytes([status, int(change.settings_changed)])),)
    if change.end is not None:
        tlvs += _call_end(change.end)
    return (*tlvs, (0x12, bytes([change.family])))


def _little_endian(address: IPv4Address) -> bytes:
    return address.packed[::-1]


def _settings(settings: BearerSettings, apn: str) -> Tlvs:
    tlvs: list[tuple[int, bytes]] = [(0x14, apn.encode())] if apn else []
    prefix_length = settings.interface.network.prefixlen
    if isinstance(settings.interface.ip, IPv4Address):
        mask = IPv4Address(settings.interface.network.netmask.packed)
        resolvers = [each for each in settings.nameservers if isinstance(each, IPv4Address)]
        tlvs += [(0x15 + place, _little_endian(each)) for place, each in enumerate(resolvers[:2])]
        tlvs.append((0x1E, _little_endian(settings.interface.ip)))
        if isinstance(settings.gateway, IPv4Address):
            tlvs.append((0x20, _little_endian(settings.gateway)))
        tlvs.append((0x21, _little_endian(mask)))
    else:
        tlvs.append((0x25, settings.interface.ip.packed + bytes([prefix_length])))
        tlvs.append((0x26, settings.gateway.packed + bytes([prefix_length])))
        resolvers6 = [each for each in settings.nameservers if isinstance(each, IPv6Address)]
        tlvs += [(0x27 + place, each.packed) for place, each in enumerate(resolvers6[:2])]
    tlvs.append((0x29, struct.pack("<I", settings.mtu)))
    tlvs.append((0x2B, bytes([settings.family])))
    return tuple(tlvs)


class Wds:
    """The service of one modem; `answer` may be called later, when the network has answered."""

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self._families: dict[int, int] = {}
        self._apns: dict[int, str] = {}
        self._handlers: dict[int, Callable[[Request, Answer], None]] = {
            0x00: self._reset,
            0x01: self._accept,
            0x20: self._start,
            0x21: self._stop,
            0x22: self._status,
            0x24: self._statistics,
            0x2D: self._current_settings,
            0x4D: self._set_family,
            0xA2: self._accept,
        }

    def family_of(self, client: int) -> int:
        """The address family that a client asked for; IPv4 when it never did."""
        return self._families.get(client, 4)

    def handle(self, request: Request, answer: Answer) -> None:
        """Answer one request of a client that exists."""
        handler = self._handlers.get(request.message)
        if handler is None:
            answer((), QmiFault.INVALID_QMI_COMMAND)
        else:
            handler(request, answer)

    def forget(self, client: int) -> None:
        """The client id was given back."""
        self._families.pop(client, None)
        self._firmware.clockwork.spawn(self._firmware.bearers.release(client))

    def _accept(self, _: Request, answer: Answer) -> None:
        answer((), 0)

    def _reset(self, request: Request, answer: Answer) -> None:
        self.forget(request.client)
        answer((), 0)

    def _set_family(self, request: Request, answer: Answer) -> None:
        wanted = (request.tlvs.get(0x01) or b"\0")[0]
        if wanted not in (4, 6, 8):
            answer((), QmiFault.INVALID_ARGUMENT)
            return
        self._families[request.client] = 6 if wanted == 6 else 4
        answer((), 0)

    def _start(self, request: Request, answer: Answer) -> None:
        if family := request.tlvs.get(0x19):
            self._families[request.client] = 6 if family[0] == 6 else 4
        self._firmware.clockwork.spawn(self._start_later(request, answer))

    async def _start_later(self, request: Request, answer: Answer) -> None:
        family = self.family_of(request.client)
        apn = request.tlvs.get(0x14, b"").decode("latin-1")
        try:
            handle = await self._firmware.start_bearer(request.client, family, apn)
        except AlreadyStarted:
            answer((), QmiFault.NO_EFFECT)
        except BearerRefused as refused:
            answer(_call_end(refused.end), QmiFault.CALL_FAILED)
        else:
            self._apns[family] = apn
            answer(((0x01, struct.pack("<I", handle)),), 0)

    def _stop(self, request: Request, answer: Answer) -> None:
        wanted = request.tlvs.get(0x01, b"")
        if len(wanted) != 4:
            answer((), QmiFault.MISSING_ARGUMENT)
            return
        self._firmware.clockwork.spawn(self._stop_later(request.client, int.from_bytes(wanted, "little"), answer))

    async def _stop_later(self, client: int, handle: int, answer: Answer) -> None:
        if handle == _EVERY_HANDLE:
            await self._firmware.bearers.release(client)
            answer((), 0)
        else:
            known = await self._firmware.bearers.stop(client, handle)
            answer((), 0 if known else QmiFault.INVALID_HANDLE)

    def _status(self, request: Request, answer: Answer) -> None:
        up = self._firmware.bearers.settings(self.family_of(request.client)) is not None
        answer(((0x01, bytes([_CONNECTED if up else _DISCONNECTED])),), 0)

    def _statistics(self, request: Request, answer: Answer) -> None:
        if self._firmware.bearers.settings(self.family_of(request.client)) is None:
            answer((), QmiFault.OUT_OF_CALL)
            return
        traffic = self._firmware.bearers.traffic()
        low = 0xFFFF_FFFF
        answer(
            (
                (0x10, struct.pack("<I", traffic.tx_packets & low)),
                (0x11, struct.pack("<I", traffic.rx_packets & low)),
                *((kind, bytes(4)) for kind in (0x12, 0x13, 0x14, 0x15)),
                (0x19, struct.pack("<Q", traffic.tx_bytes)),
                (0x1A, struct.pack("<Q", traffic.rx_bytes)),
                *((kind, bytes(4)) for kind in (0x1D, 0x1E)),
            ),
            0,
        )

    def _current_settings(self, request: Request, answer: Answer) -> None:
        family = self.family_of(request.client)
        settings = self._firmware.bearers.settings(family)
        if settings is None:
            answer((), QmiFault.OUT_OF_CALL)
        else:
            answer(_settings(settings, self._apns.get(family, "")), 0)
