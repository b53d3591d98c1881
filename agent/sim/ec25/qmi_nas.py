"""QMI NAS: where the modem stands with the network, by libqmi's qmi-service-nas.json."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from agent.sim.ec25.firmware import Firmware, Stat
from agent.sim.ec25.qmi_device import QmiRefused
from agent.sim.ec25.qmux import QmiFault, Request, Tlvs
from agent.sim.ec25.radio import Measurement

_Handler = Callable[[Firmware, Request], Tlvs]
_STATES = {Stat.IDLE: 0, Stat.HOME: 1, Stat.SEARCHING: 2, Stat.DENIED: 3}
_ATTACHED, _DETACHED = 1, 2
_NETWORK_3GPP, _NETWORK_UNKNOWN = 2, 0
_LTE, _NO_RADIO = 8, 0
_LTE_CAPABILITY = 11
_BAND_CLASSES = {3: 122, 7: 126, 20: 145}
"""LTE band -> QmiNasActiveBand."""


def _name(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _plmn(modem: Firmware, name: str) -> bytes:
    cell = modem.radio.cell
    return struct.pack("<HH", int(cell.mcc), int(cell.mnc)) + _name(name)


def _serving_system(modem: Firmware, _: Request) -> Tlvs:
    registered = modem.registered
    attach = _ATTACHED if registered else _DETACHED
    network = _NETWORK_3GPP if registered else _NETWORK_UNKNOWN
    radios = bytes([1, _LTE]) if registered else bytes([1, _NO_RADIO])
    found: Tlvs = ((0x01, bytes([_STATES[modem.stat], attach, attach, network]) + radios),)
    if not registered:
        return found
    cell = modem.radio.cell
    return (
        *found,
        (0x10, b"\x01"),
        (0x11, bytes([1, _LTE_CAPABILITY])),
        (0x12, _plmn(modem, modem.operator or "")),
        (0x1D, struct.pack("<I", cell.cell_id)),
        (0x24, struct.pack("<H", cell.tac)),
    )


def _measured(modem: Firmware) -> Measurement:
    measured = modem.measure()
    if measured is None:
        raise QmiRefused(QmiFault.INFORMATION_UNAVAILABLE)
    return measured


def _signal_info(modem: Firmware, _: Request) -> Tlvs:
    measured = _measured(modem)
    values = (measured.rssi_dbm, measured.rsrq_db, measured.rsrp_dbm, measured.sinr_db * 10)
    return ((0x14, struct.pack("<bbhh", *values)),)


def _signal_strength(modem: Firmware, _: Request) -> Tlvs:
    measured = _measured(modem)
    return (
        (0x01, struct.pack("<bb", measured.rssi_dbm, _LTE)),
        (0x11, struct.pack("<HBb", 1, -measured.rssi_dbm, _LTE)),
        (0x16, struct.pack("<bb", measured.rsrq_db, _LTE)),
        (0x17, struct.pack("<h", measured.sinr_db * 10)),
        (0x18, struct.pack("<h", measured.rsrp_dbm)),
    )


def _home_network(modem: Firmware, _: Request) -> Tlvs:
    if not modem.sim.usable:
        raise QmiRefused(QmiFault.INFORMATION_UNAVAILABLE)
    return ((0x01, _plmn(modem, modem.radio.cell.operator)),)


def _band(modem: Firmware, _: Request) -> Tlvs:
    _measured(modem)
    cell = modem.radio.cell
    return ((0x01, struct.pack("<BbHH", 1, _LTE, _BAND_CLASSES[cell.band], cell.earfcn)),)


def _accept(_: Firmware, __: Request) -> Tlvs:
    return ()


NAS: Mapping[int, _Handler] = {
    0x02: _accept,
    0x03: _accept,
    0x20: _signal_strength,
    0x24: _serving_system,
    0x25: _home_network,
    0x31: _band,
    0x4F: _signal_info,
}
