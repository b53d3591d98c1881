"""QMI DMS (the device) and WDA (the data port's format), by libqmi's qmi-service-dms.json and qmi-service-wda.json."""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping

from agent.sim.ec25.firmware import REVISION, Change, Firmware, Functionality
from agent.sim.ec25.qmi_service import Handler, Indicate, QmiRefused, QmiService, accept, required
from agent.sim.ec25.qmux import QmiFault, Request, Tlvs
from agent.sim.ec25.radio import LTE_BANDS

_EVENT_REPORT = 0x01
_OPERATING_MODE_EVENT = 0x14
_ONLINE, _LOW_POWER, _OFFLINE, _RESET, _SHUTTING_DOWN = 0, 1, 3, 4, 5
_EXTERNALLY_POWERED = 0x01
_RAW_IP, _NO_AGGREGATION = 2, 0
_GPS_EPOCH_SECONDS = 315_964_800
"""1980-01-06, from which DMS counts (leap seconds left aside)."""
_TIME_UNIT_MILLISECONDS = 1.25
OLD_BANDS = 1 << 7 | 1 << 9 | 1 << 22 | 1 << 49
"""QmiDmsBandCapability: GSM 1800 and 900, UMTS 2100 and 900."""


def _text(value: str) -> Handler:
    return lambda _modem, _request: ((0x01, value.encode()),)


def _ids(modem: Firmware, _: Request) -> Tlvs:
    return ((0x10, b"0"), (0x11, modem.imei.encode()), (0x12, b"unknown"))


def _mode(modem: Firmware) -> int:
    return _ONLINE if modem.functionality is Functionality.FULL else _LOW_POWER


def _operating_mode(modem: Firmware, _: Request) -> Tlvs:
    return ((0x01, bytes([_mode(modem)])),)


def _set_operating_mode(modem: Firmware, request: Request) -> Tlvs:
    wanted = required(request, 0x01)[0]
    if wanted == _ONLINE:
        modem.set_functionality(Functionality.FULL)
    elif wanted in (_LOW_POWER, _OFFLINE):
        modem.set_functionality(Functionality.FLIGHT)
    elif wanted == _RESET:
        modem.reboot()
    elif wanted == _SHUTTING_DOWN:
        modem.shut_down()
    else:
        raise QmiRefused(QmiFault.INVALID_ARGUMENT)
    return ()


def _capabilities(_: Firmware, __: Request) -> Tlvs:
    # 50 and 150 Mbit/s, simultaneous voice and data, a SIM, GSM, UMTS and LTE.
    return ((0x01, struct.pack("<IIBBB", 50_000_000, 150_000_000, 3, 2, 3) + bytes([4, 5, 8])),)


def _bands(_: Firmware, __: Request) -> Tlvs:
    return ((0x01, struct.pack("<Q", OLD_BANDS)), (0x10, struct.pack("<Q", LTE_BANDS)))


def _iccid(modem: Firmware, _: Request) -> Tlvs:
    if not modem.sim.present:
        raise QmiRefused(QmiFault.INFORMATION_UNAVAILABLE)
    return ((0x01, modem.sim.iccid.encode()),)


def _imsi(modem: Firmware, _: Request) -> Tlvs:
    if not modem.sim.usable:
        raise QmiRefused(QmiFault.INFORMATION_UNAVAILABLE)
    return ((0x01, modem.sim.imsi.encode()),)


def _msisdn(_: Firmware, __: Request) -> Tlvs:
    # Carriers of data SIMs write no number into the card.
    raise QmiRefused(QmiFault.NOT_PROVISIONED)


def _power_state(_: Firmware, __: Request) -> Tlvs:
    return ((0x01, bytes([_EXTERNALLY_POWERED, 100])),)


def _time(_: Firmware, __: Request) -> Tlvs:
    milliseconds = int((time.time() - _GPS_EPOCH_SECONDS) * 1000)
    count = int(milliseconds / _TIME_UNIT_MILLISECONDS)
    system = struct.pack("<Q", milliseconds)
    return ((0x01, count.to_bytes(6, "little") + bytes(2)), (0x10, system), (0x11, system))


class Dms(QmiService):
    """The service of one modem."""

    def __init__(self, firmware: Firmware, indicate: Indicate) -> None:
        super().__init__(
            firmware,
            indicate,
            {
                0x00: accept,
                _EVENT_REPORT: self._set_event_report,
                0x20: _capabilities,
                0x21: _text("QUALCOMM INCORPORATED"),
                0x22: _text("QUECTEL Mobile Broadband Module"),
                0x23: _text(f"{REVISION}  1  [Mar 21 2019 09:00:00]"),
                0x24: _msisdn,
                0x25: _ids,
                0x26: _power_state,
                0x2C: _text("10000"),
                0x2D: _operating_mode,
                0x2E: _set_operating_mode,
                0x2F: _time,
                0x3C: _iccid,
                0x43: _imsi,
                0x45: _bands,
                0x51: _text(REVISION),
            },
        )

    def changed(self, change: Change) -> None:
        if change is Change.FUNCTIONALITY:
            mode = ((_OPERATING_MODE_EVENT, bytes([_mode(self._firmware)])),)
            self._tell(_OPERATING_MODE_EVENT, _EVENT_REPORT, mode)

    def _set_event_report(self, _: Firmware, request: Request) -> Tlvs:
        self._subscriptions.note(request, (_OPERATING_MODE_EVENT,))
        return ()


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


WDA: Mapping[int, Handler] = {0x00: accept, 0x20: _set_data_format, 0x21: _data_format}
