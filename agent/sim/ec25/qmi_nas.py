"""QMI NAS: where the modem stands with the network, by libqmi's qmi-service-nas.json."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from agent.sim.ec25.firmware import Change, Firmware, Stat
from agent.sim.ec25.qmi_device import OLD_BANDS
from agent.sim.ec25.qmi_service import Answer, Indicate, QmiRefused, QmiService, accept, required
from agent.sim.ec25.qmi_signal import (
    LTE,
    active_band,
    cell_location,
    signal_differs,
    signal_info,
    signal_levels,
    signal_strength,
)
from agent.sim.ec25.qmux import QmiFault, Request, Tlvs
from agent.sim.ec25.radio import Measurement

_STATES = {Stat.IDLE: 0, Stat.HOME: 1, Stat.SEARCHING: 2, Stat.DENIED: 3}
_ATTACHED, _DETACHED = 1, 2
_NETWORK_3GPP, _NETWORK_UNKNOWN = 2, 0
_NO_RADIO = 0
_LTE_CAPABILITY = 11
_NO_SERVICE, _LIMITED, _AVAILABLE = 0, 1, 2
_BOTH_DOMAINS = 3
_AUTOMATIC, _MANUAL = 0, 1
_REGISTER_AUTOMATIC, _REGISTER_MANUAL = 1, 2
_ATTACH, _DETACH = 1, 2
_SCAN = 0x21
_SERVING_SYSTEM, _SYSTEM_INFO, _SIGNAL_INFO = 0x24, 0x4E, 0x51
"""Indications."""
_SERVING_SYSTEM_EVENTS, _SYSTEM_INFO_EVENTS, _SIGNAL_EVENTS = 0x13, 0x18, 0x19
"""TLVs of Register Indications."""
_SIGNAL_LOOK_SECONDS = 5.0


def _name(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _codes(plmn: str) -> bytes:
    return struct.pack("<HH", int(plmn[:3]), int(plmn[3:]))


def _plmn(modem: Firmware, name: str) -> bytes:
    return _codes(modem.radio.cell.plmn) + _name(name)


# -- registration


def _serving_system(modem: Firmware, _: Request | None = None, *, cell_id: int = 0x1D, tac: int = 0x24) -> Tlvs:
    """TLVs of the answer; the indication has other numbers for some of them."""
    registered = modem.registered
    attach = _ATTACHED if registered else _DETACHED
    network = _NETWORK_3GPP if registered else _NETWORK_UNKNOWN
    radios = bytes([1, LTE]) if registered else bytes([1, _NO_RADIO])
    found: Tlvs = ((0x01, bytes([_STATES[modem.stat], attach, attach, network]) + radios),)
    if not registered:
        return found
    cell = modem.radio.cell
    return (
        *found,
        (0x10, b"\x01"),
        (0x11, bytes([1, _LTE_CAPABILITY])),
        (0x12, _plmn(modem, modem.operator or "")),
        (cell_id, struct.pack("<I", cell.cell_id)),
        (tac, struct.pack("<H", cell.tac)),
    )


def _system_info(modem: Firmware, _: Request | None = None) -> Tlvs:
    status = _AVAILABLE if modem.registered else _NO_SERVICE if modem.measure() is None else _LIMITED
    none = bytes([_NO_SERVICE, _NO_SERVICE, 0])
    found: Tlvs = ((0x12, none), (0x13, none), (0x14, bytes([status, status, int(status == _AVAILABLE)])))
    if status == _NO_SERVICE:
        return found
    cell = modem.radio.cell
    domain = _BOTH_DOMAINS if modem.registered else 0
    # Each value after a byte that says whether it is valid: domain, capability, roaming, forbidden, LAC, cell, reject
    # information, network, TAC.
    info = bytes([1, domain, 1, _BOTH_DOMAINS, 1, 0, 1, int(modem.stat is Stat.DENIED), 0]) + b"\xff\xff"
    info += b"\x01" + struct.pack("<I", cell.cell_id) + bytes([0, 0, 0])
    info += b"\x01" + cell.mcc.encode() + cell.mnc.encode().ljust(3, b"\xff")
    info += b"\x01" + struct.pack("<H", cell.tac)
    return (*found, (0x19, info))


def _operator_name(modem: Firmware, _: Request) -> Tlvs:
    if modem.operator is None:
        raise QmiRefused(QmiFault.INFORMATION_UNAVAILABLE)
    return ((0x13, modem.operator.encode()),)


def _home_network(modem: Firmware, _: Request) -> Tlvs:
    if not modem.sim.usable:
        raise QmiRefused(QmiFault.INFORMATION_UNAVAILABLE)
    return ((0x01, _plmn(modem, modem.radio.cell.operator)),)


def _register(modem: Firmware, request: Request) -> Tlvs:
    action = required(request, 0x01)[0]
    if action == _REGISTER_MANUAL:
        _choose(modem, required(request, 0x10, 4))
    elif action == _REGISTER_AUTOMATIC:
        _choose(modem, None)
    else:
        raise QmiRefused(QmiFault.INVALID_ARGUMENT)
    modem.choose_operator(deregistered=False)
    return ()


def _choose(modem: Firmware, codes: bytes | None) -> None:
    """Look for one network only, or for any."""
    plmn = None
    if codes is not None:
        mcc, mnc = struct.unpack_from("<HH", codes)
        plmn = f"{mcc:03d}{mnc:02d}"
    modem.radio.selection = replace(modem.radio.selection, plmn=plmn)


def _attach(modem: Firmware, request: Request) -> Tlvs:
    action = required(request, 0x10)[0]
    if action not in (_ATTACH, _DETACH):
        raise QmiRefused(QmiFault.INVALID_ARGUMENT)
    modem.choose_operator(deregistered=action == _DETACH)
    return ()


# -- which cells will do


def _selection(modem: Firmware, _: Request) -> Tlvs:
    selection = modem.radio.selection
    found: Tlvs = (
        (0x10, b"\0"),
        (0x11, struct.pack("<H", selection.modes)),
        (0x12, struct.pack("<Q", OLD_BANDS)),
        (0x14, struct.pack("<H", 0xFF)),
        (0x15, struct.pack("<Q", selection.lte_bands)),
        (0x16, bytes([_AUTOMATIC if selection.plmn is None else _MANUAL])),
        (0x18, struct.pack("<I", 2)),
    )
    if selection.plmn is not None:
        found += ((0x1B, _codes(selection.plmn) + b"\0"),)
    return found


def _set_selection(modem: Firmware, request: Request) -> Tlvs:
    selection = modem.radio.selection
    if modes := request.tlvs.get(0x11):
        selection = replace(selection, modes=int.from_bytes(modes, "little"))
    if bands := request.tlvs.get(0x15):
        selection = replace(selection, lte_bands=int.from_bytes(bands, "little"))
    modem.radio.selection = selection
    if network := request.tlvs.get(0x16):
        _choose(modem, network[1:5] if network[0] == _MANUAL and len(network) >= 5 else None)
    modem.evaluate()
    return ()


def _technology_preference(_: Firmware, __: Request) -> Tlvs:
    return ((0x01, struct.pack("<HB", _AUTOMATIC, 0)),)


# -- time


def _network_time(modem: Firmware, _: Request) -> Tlvs:
    if not modem.registered:
        raise QmiRefused(QmiFault.INFORMATION_UNAVAILABLE)
    now = datetime.now(UTC)
    when = struct.pack("<HBBBBBB", now.year, now.month, now.day, now.hour, now.minute, now.second, now.weekday())
    return ((0x11, when + bytes([0, 0, LTE])),)


class Nas(QmiService):
    """The service of one modem."""

    def __init__(self, firmware: Firmware, indicate: Indicate) -> None:
        super().__init__(
            firmware,
            indicate,
            {
                0x00: accept,
                # The older way to ask for indications; those of Register Indications are the ones that come.
                0x02: accept,
                0x03: self._register_indications,
                0x20: signal_strength,
                0x22: _register,
                0x23: _attach,
                0x24: _serving_system,
                0x25: _home_network,
                0x2B: _technology_preference,
                0x31: active_band,
                0x33: _set_selection,
                0x34: _selection,
                0x39: _operator_name,
                0x43: cell_location,
                0x4D: _system_info,
                0x4F: signal_info,
                # The thresholds asked for are not kept: every change of a few dB is told.
                0x50: accept,
                0x6C: accept,
                0x67: self._search,
                0x7D: _network_time,
            },
        )
        self._looking = False
        self._told: Measurement | None = None

    def handle(self, request: Request, answer: Answer) -> None:
        if request.message == _SCAN:
            self._firmware.clockwork.after(self._firmware.profile.scan_seconds, lambda: self._scanned(answer))
        else:
            super().handle(request, answer)

    def changed(self, change: Change) -> None:
        if change is Change.REGISTRATION:
            serving = _serving_system(self._firmware, cell_id=0x1E, tac=0x25)
            self._tell(_SERVING_SYSTEM_EVENTS, _SERVING_SYSTEM, serving)
            self._tell(_SYSTEM_INFO_EVENTS, _SYSTEM_INFO, _system_info(self._firmware))

    def _register_indications(self, _: Firmware, request: Request) -> Tlvs:
        self._subscriptions.note(request, (_SERVING_SYSTEM_EVENTS, _SYSTEM_INFO_EVENTS, _SIGNAL_EVENTS))
        if self._subscriptions.clients(_SIGNAL_EVENTS) and not self._looking:
            self._looking = True
            self._look()
        return ()

    def _search(self, modem: Firmware, _: Request) -> Tlvs:
        modem.evaluate()
        return ()

    def _look(self) -> None:
        """Tell of the signal when it is another than the last one told, for as long as somebody wants to know."""
        if not self._subscriptions.clients(_SIGNAL_EVENTS):
            self._looking = False
            return
        measured = self._firmware.measure()
        if measured is not None and signal_differs(measured, self._told):
            self._told = measured
            self._tell(_SIGNAL_EVENTS, _SIGNAL_INFO, signal_levels(measured))
        self._firmware.clockwork.after(_SIGNAL_LOOK_SECONDS, self._look)

    def _scanned(self, answer: Answer) -> None:
        modem = self._firmware
        found: Sequence[bytes] = ()
        radios: Sequence[bytes] = ()
        if modem.measure() is not None:
            cell = modem.radio.cell
            # Serving or available, home, not forbidden, not preferred.
            status = 0x01 if modem.registered else 0x02
            found = (_codes(cell.plmn) + bytes([status | 0x04 | 0x20 | 0x80]) + _name(cell.operator),)
            radios = (_codes(cell.plmn) + bytes([LTE]),)
        answer(tuple((kind, _counted(each)) for kind, each in ((0x10, found), (0x11, radios))), 0)


def _counted(elements: Sequence[bytes]) -> bytes:
    return len(elements).to_bytes(2, "little") + b"".join(elements)
