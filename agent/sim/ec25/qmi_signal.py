"""What QMI NAS says of the signal and of the cell that it comes from, by libqmi's qmi-service-nas.json."""

from __future__ import annotations

import struct

from agent.sim.ec25.firmware import Firmware
from agent.sim.ec25.qmi_service import QmiRefused
from agent.sim.ec25.qmux import QmiFault, Request, Tlvs
from agent.sim.ec25.radio import Measurement

LTE = 8
"""QmiNasRadioInterface."""
_BAND_CLASSES = {3: 122, 7: 126, 20: 145}
"""LTE band -> QmiNasActiveBand."""
_STEP_DB = 2


def measured_now(modem: Firmware) -> Measurement:
    """The signal now; refuses the request when there is none."""
    measured = modem.measure()
    if measured is None:
        raise QmiRefused(QmiFault.INFORMATION_UNAVAILABLE)
    return measured


def signal_levels(measured: Measurement) -> Tlvs:
    """The LTE levels, as the answer and the indication have them."""
    values = (measured.rssi_dbm, measured.rsrq_db, measured.rsrp_dbm, measured.sinr_db * 10)
    return ((0x14, struct.pack("<bbhh", *values)),)


def signal_info(modem: Firmware, _: Request) -> Tlvs:
    """Get Signal Info (0x4F)."""
    return signal_levels(measured_now(modem))


def signal_strength(modem: Firmware, _: Request) -> Tlvs:
    """Get Signal Strength (0x20)."""
    measured = measured_now(modem)
    return (
        (0x01, struct.pack("<bb", measured.rssi_dbm, LTE)),
        (0x11, struct.pack("<HBb", 1, -measured.rssi_dbm, LTE)),
        (0x16, struct.pack("<bb", measured.rsrq_db, LTE)),
        (0x17, struct.pack("<h", measured.sinr_db * 10)),
        (0x18, struct.pack("<h", measured.rsrp_dbm)),
    )


def active_band(modem: Firmware, _: Request) -> Tlvs:
    """Get RF Band Information (0x31)."""
    measured_now(modem)
    cell = modem.radio.cell
    return ((0x01, struct.pack("<BbHH", 1, LTE, _BAND_CLASSES[cell.band], cell.earfcn)),)


def cell_location(modem: Firmware, _: Request) -> Tlvs:
    """Get Cell Location Info (0x43): the serving cell."""
    measured, cell = measured_now(modem), modem.radio.cell
    mcc, mnc = cell.mcc, cell.mnc
    # 3GPP TS 24.008 §10.5.1.3: digits in pairs, F for the third of a network code that has two.
    plmn = bytes.fromhex(f"{mcc[1]}{mcc[0]}f{mcc[2]}{mnc[1]}{mnc[0]}")
    idle = not modem.bearers.families
    serving = struct.pack("<HIHH", cell.tac, cell.cell_id, cell.earfcn, cell.physical_id) + bytes([7, 8, 4, 62])
    levels = (measured.rsrq_db * 10, measured.rsrp_dbm * 10, measured.rssi_dbm * 10, 300)
    neighbours = bytes([1]) + struct.pack("<Hhhhh", cell.physical_id, *levels)
    return ((0x13, bytes([int(idle)]) + plmn + serving + neighbours),)


def signal_differs(measured: Measurement, told: Measurement | None) -> bool:
    """Whether a level has moved by so much since it was told that it is worth an indication."""
    if told is None:
        return True
    steps = (
        measured.rssi_dbm - told.rssi_dbm,
        measured.rsrp_dbm - told.rsrp_dbm,
        measured.rsrq_db - told.rsrq_db,
        measured.sinr_db - told.sinr_db,
    )
    return any(abs(step) >= _STEP_DB for step in steps)
