"""QMI DMS (the device), UIM (the card) and WDA (the data port's format), by libqmi's qmi-service-{dms,uim,wda}.json."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from agent.sim.ec25.firmware import REVISION, Firmware, Functionality
from agent.sim.ec25.qmux import QmiFault, Request, Tlvs
from agent.sim.ec25.sim_card import CardLock, SimCard

_Handler = Callable[[Firmware, Request], Tlvs]
_ONLINE, _LOW_POWER, _OFFLINE, _RESET, _SHUTTING_DOWN = 0, 1, 3, 4, 5
_RAW_IP, _NO_AGGREGATION = 2, 0


class QmiRefused(Exception):
    """A request is refused with this protocol error."""

    def __init__(self, fault: QmiFault) -> None:
        super().__init__(fault.name)
        self.fault = fault


def _text(value: str) -> Callable[[Firmware, Request], Tlvs]:
    return lambda _modem, _request: ((0x01, value.encode()),)


def _ids(modem: Firmware, _: Request) -> Tlvs:
    return ((0x10, b"0"), (0x11, modem.imei.encode()), (0x12, b"unknown"))


def _operating_mode(modem: Firmware, _: Request) -> Tlvs:
    mode = _ONLINE if modem.functionality is Functionality.FULL else _LOW_POWER
    return ((0x01, bytes([mode])),)


def _set_operating_mode(modem: Firmware, request: Request) -> Tlvs:
    wanted = request.tlvs.get(0x01)
    if not wanted:
        raise QmiRefused(QmiFault.MISSING_ARGUMENT)
    if wanted[0] == _ONLINE:
        modem.set_functionality(Functionality.FULL)
    elif wanted[0] in (_LOW_POWER, _OFFLINE):
        modem.set_functionality(Functionality.FLIGHT)
    elif wanted[0] == _RESET:
        modem.reboot()
    elif wanted[0] == _SHUTTING_DOWN:
        modem.shut_down()
    else:
        raise QmiRefused(QmiFault.INVALID_ARGUMENT)
    return ()


def _capabilities(_: Firmware, __: Request) -> Tlvs:
    # 50 and 150 Mbit/s, simultaneous voice and data, a SIM, GSM, UMTS and LTE.
    return ((0x01, struct.pack("<IIBBB", 50_000_000, 150_000_000, 3, 2, 3) + bytes([4, 5, 8])),)


def _iccid(modem: Firmware, _: Request) -> Tlvs:
    if not modem.sim.present:
        raise QmiRefused(QmiFault.INFORMATION_UNAVAILABLE)
    return ((0x01, modem.sim.iccid.encode()),)


def _imsi(modem: Firmware, _: Request) -> Tlvs:
    if not modem.sim.usable:
        raise QmiRefused(QmiFault.INFORMATION_UNAVAILABLE)
    return ((0x01, modem.sim.imsi.encode()),)


DMS: Mapping[int, _Handler] = {
    0x20: _capabilities,
    0x21: _text("QUALCOMM INCORPORATED"),
    0x22: _text("QUECTEL Mobile Broadband Module"),
    0x23: _text(f"{REVISION}  1  [Mar 21 2019 09:00:00]"),
    0x25: _ids,
    0x2D: _operating_mode,
    0x2E: _set_operating_mode,
    0x3C: _iccid,
    0x43: _imsi,
}

_NO_APPLICATION = 0xFFFF
_USIM_AID = bytes.fromhex("a0000000871002ff49ff0589ffffffff")
_PRESENT, _ABSENT = 1, 0
_USIM = 2
_APPLICATION_STATES = {CardLock.NONE: 7, CardLock.PIN: 2, CardLock.PUK: 3}
_PERSONALISATION_READY = 2
_PIN_ENABLED_NOT_VERIFIED, _PIN_ENABLED_VERIFIED, _PIN_DISABLED, _PIN_BLOCKED = 1, 2, 3, 4


def _pin_state(sim: SimCard) -> int:
    if sim.lock is CardLock.PUK:
        return _PIN_BLOCKED
    if sim.lock is CardLock.PIN:
        return _PIN_ENABLED_NOT_VERIFIED
    return _PIN_DISABLED if sim.pin is None else _PIN_ENABLED_VERIFIED


def _card_status(modem: Firmware, _: Request) -> Tlvs:
    sim = modem.sim
    first = 0 if sim.present else _NO_APPLICATION
    status = struct.pack("<HHHH", first, _NO_APPLICATION, _NO_APPLICATION, _NO_APPLICATION)
    status += bytes([1])
    if not sim.present:
        return ((0x10, status + bytes([_ABSENT, 0, 0, 0, 3, 0])),)
    status += bytes([_PRESENT, 0, 0, 0, 0, 1])
    status += bytes([_USIM, _APPLICATION_STATES[sim.lock], _PERSONALISATION_READY, 0, 0, 0])
    status += bytes([len(_USIM_AID)]) + _USIM_AID
    status += bytes([0, _pin_state(sim), sim.pin_tries_left, sim.puk_tries_left, _PIN_ENABLED_NOT_VERIFIED, 3, 10])
    return ((0x10, status),)


UIM: Mapping[int, _Handler] = {0x2F: _card_status}


def _data_format(_: Firmware, __: Request) -> Tlvs:
    return (
        (0x10, b"\0"),
        (0x11, struct.pack("<I", _RAW_IP)),
        (0x12, struct.pack("<I", _NO_AGGREGATION)),
        (0x13, struct.pack("<I", _NO_AGGREGATION)),
    )


def _set_data_format(modem: Firmware, request: Request) -> Tlvs:
    wanted = request.tlvs.get(0x11)
    if wanted is not None and int.from_bytes(wanted, "little") != _RAW_IP:
        # The firmware of this family has no other format on the QMI composition.
        raise QmiRefused(QmiFault.INVALID_ARGUMENT)
    return _data_format(modem, request)


WDA: Mapping[int, _Handler] = {0x20: _set_data_format, 0x21: _data_format}
