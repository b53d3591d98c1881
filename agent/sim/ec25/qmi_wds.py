"""QMI WDS: data sessions, each the property of a client id, by libqmi's qmi-service-wds.json."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

from agent.sim.ec25.bearers import AlreadyStarted, BearerChange, BearerRefused, BearerSettings, CallEnd
from agent.sim.ec25.firmware import Firmware
from agent.sim.ec25.qmi_profiles import DEFAULT_NUMBER, PROFILES
from agent.sim.ec25.qmi_service import Answer, Indicate, QmiRefused, QmiService, accept, required
from agent.sim.ec25.qmux import QmiFault, Request, Tlvs

PACKET_SERVICE_STATUS = 0x22
_DISCONNECTED, _CONNECTED = 1, 2
_EVERY_HANDLE = 0xFFFF_FFFF
_START, _STOP = 0x20, 0x21
_UPLINK_RATE, _DOWNLINK_RATE = 50_000_000, 150_000_000
_CHANNEL_ACTIVE = 2
_BEARER_LTE = 0x0A
_NETWORK_3GPP, _MASK_LTE = 2, 1 << 5
"""QmiWdsDataBearerTechnology, QmiWdsNetworkType and QmiWdsRat3gpp."""


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


def _require_bearer(modem: Firmware) -> None:
    if not modem.bearers.families:
        raise QmiRefused(QmiFault.OUT_OF_CALL)


def _channel_rates(modem: Firmware, _: Request) -> Tlvs:
    now = (_UPLINK_RATE, _DOWNLINK_RATE) if modem.bearers.families else (0, 0)
    return ((0x01, struct.pack("<IIII", *now, _UPLINK_RATE, _DOWNLINK_RATE)),)


def _dormancy(modem: Firmware, _: Request) -> Tlvs:
    _require_bearer(modem)
    return ((0x01, bytes([_CHANNEL_ACTIVE])),)


def _technology(modem: Firmware, _: Request) -> Tlvs:
    _require_bearer(modem)
    return ((0x01, bytes([_BEARER_LTE])),)


def _current_technology(modem: Firmware, _: Request) -> Tlvs:
    _require_bearer(modem)
    return ((0x01, struct.pack("<BII", _NETWORK_3GPP, _MASK_LTE, 0)),)


def _autoconnect(_: Firmware, __: Request) -> Tlvs:
    return ((0x01, b"\0"),)


def _set_autoconnect(_: Firmware, request: Request) -> Tlvs:
    if required(request, 0x01)[0] != 0:
        raise QmiRefused(QmiFault.NOT_SUPPORTED)
    return ()


class Wds(QmiService):
    """The service of one modem; `answer` may be called later, when the network has answered."""

    def __init__(self, firmware: Firmware, indicate: Indicate) -> None:
        super().__init__(
            firmware,
            indicate,
            {
                **PROFILES,
                0x00: self._reset,
                # Reports of rates, statistics and technology: nothing about these changes here.
                0x01: accept,
                0x03: accept,
                0x22: self._status,
                0x23: _channel_rates,
                0x24: self._statistics,
                0x2D: self._current_settings,
                0x30: _dormancy,
                0x34: _autoconnect,
                0x37: _technology,
                0x44: _current_technology,
                0x4D: self._set_family,
                0x51: _set_autoconnect,
                # One data port, without multiplexing: whichever is asked for is the one.
                0xA2: accept,
            },
        )
        self._families: dict[int, int] = {}
        self._apns: dict[int, str] = {}

    def family_of(self, client: int) -> int:
        """The address family that a client asked for; IPv4 when it never did."""
        return self._families.get(client, 4)

    def handle(self, request: Request, answer: Answer) -> None:
        later = {_START: self._start, _STOP: self._stop}.get(request.message)
        if later is None:
            super().handle(request, answer)
        else:
            later(request, answer)

    def forget(self, client: int) -> None:
        super().forget(client)
        self._families.pop(client, None)
        self._firmware.clockwork.spawn(self._firmware.bearers.release(client))

    def _reset(self, _: Firmware, request: Request) -> Tlvs:
        self.forget(request.client)
        return ()

    def _set_family(self, _: Firmware, request: Request) -> Tlvs:
        wanted = required(request, 0x01)[0]
        if wanted not in (4, 6, 8):
            raise QmiRefused(QmiFault.INVALID_ARGUMENT)
        self._families[request.client] = 6 if wanted == 6 else 4
        return ()

    def _start(self, request: Request, answer: Answer) -> None:
        if family := request.tlvs.get(0x19):
            self._families[request.client] = 6 if family[0] == 6 else 4
        self._firmware.clockwork.spawn(self._start_later(request, answer))

    async def _start_later(self, request: Request, answer: Answer) -> None:
        family = self.family_of(request.client)
        number = (request.tlvs.get(0x31) or bytes([DEFAULT_NUMBER]))[0]
        apn = request.tlvs.get(0x14, b"").decode("latin-1")
        if not apn and (context := self._firmware.contexts.get(number)) is not None:
            apn = context.apn
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

    def _status(self, modem: Firmware, request: Request) -> Tlvs:
        up = modem.bearers.settings(self.family_of(request.client)) is not None
        return ((0x01, bytes([_CONNECTED if up else _DISCONNECTED])),)

    def _statistics(self, modem: Firmware, request: Request) -> Tlvs:
        if modem.bearers.settings(self.family_of(request.client)) is None:
            raise QmiRefused(QmiFault.OUT_OF_CALL)
        traffic = modem.bearers.traffic()
        low = 0xFFFF_FFFF
        return (
            (0x10, struct.pack("<I", traffic.tx_packets & low)),
            (0x11, struct.pack("<I", traffic.rx_packets & low)),
            *((kind, bytes(4)) for kind in (0x12, 0x13, 0x14, 0x15)),
            (0x19, struct.pack("<Q", traffic.tx_bytes)),
            (0x1A, struct.pack("<Q", traffic.rx_bytes)),
            *((kind, bytes(4)) for kind in (0x1D, 0x1E)),
        )

    def _current_settings(self, modem: Firmware, request: Request) -> Tlvs:
        family = self.family_of(request.client)
        settings = modem.bearers.settings(family)
        if settings is None:
            raise QmiRefused(QmiFault.OUT_OF_CALL)
        return _settings(settings, self._apns.get(family, ""))
