"""QMI UIM: the SIM card, its files and its PIN, by libqmi's qmi-service-uim.json."""

from __future__ import annotations

import struct

from agent.sim.ec25.firmware import Change, Firmware
from agent.sim.ec25.qmi_service import Indicate, QmiRefused, QmiService, accept, required
from agent.sim.ec25.qmux import QmiFault, Request, Tlvs
from agent.sim.ec25.sim_card import CardLock, SimCard
from agent.sim.ec25.sim_files import USIM_AID, SimFile, find_file

_CARD_STATUS_MESSAGE = 0x32
_CARD_STATUS_EVENT = 1 << 0
"""Both the mask's bit and, here, the kind of subscription."""
_NO_APPLICATION = 0xFFFF
_ABSENT, _PRESENT, _ERROR = 0, 1, 2
_POWERED_DOWN = 1
"""QmiUimCardState and QmiUimCardError."""
_USIM = 2
_APPLICATION_STATES = {CardLock.NONE: 7, CardLock.PIN: 2, CardLock.PUK: 3}
_PERSONALISATION_READY = 2
_PIN_ENABLED_NOT_VERIFIED, _PIN_ENABLED_VERIFIED, _PIN_DISABLED, _PIN_BLOCKED = 1, 2, 3, 4
_PIN1 = 1
_FINE, _NOT_FOUND, _NOT_ALLOWED = (0x90, 0x00), (0x6A, 0x82), (0x69, 0x82)
"""Status words (ETSI TS 102 221 §10.2)."""
_CARD_RESULT = 0x10
_TRANSPARENT, _LINEAR = 0, 2
"""QmiUimFileType."""


def _pin_state(sim: SimCard) -> int:
    if sim.lock is CardLock.PUK:
        return _PIN_BLOCKED
    if sim.lock is CardLock.PIN:
        return _PIN_ENABLED_NOT_VERIFIED
    return _PIN_DISABLED if sim.pin is None else _PIN_ENABLED_VERIFIED


def _card_status(modem: Firmware, _: Request | None = None) -> Tlvs:
    sim = modem.sim
    first = 0 if sim.present and sim.powered else _NO_APPLICATION
    status = struct.pack("<HHHH", first, _NO_APPLICATION, _NO_APPLICATION, _NO_APPLICATION)
    status += bytes([1])
    if not sim.present:
        return ((0x10, status + bytes([_ABSENT, 0, 0, 0, 3, 0])),)
    if not sim.powered:
        return ((0x10, status + bytes([_ERROR, 0, 0, 0, _POWERED_DOWN, 0])),)
    status += bytes([_PRESENT, 0, 0, 0, 0, 1])
    status += bytes([_USIM, _APPLICATION_STATES[sim.lock], _PERSONALISATION_READY, 0, 0, 0])
    status += bytes([len(USIM_AID)]) + USIM_AID
    status += bytes([0, _pin_state(sim), sim.pin_tries_left, sim.puk_tries_left, _PIN_ENABLED_NOT_VERIFIED, 3, 10])
    return ((0x10, status),)


def _require_card(modem: Firmware) -> SimCard:
    if not modem.sim.present:
        raise QmiRefused(QmiFault.NO_SIM)
    return modem.sim


# -- files


def _file(modem: Firmware, request: Request) -> tuple[int, SimFile]:
    """(identifier, file) that a request names by identifier and path, both little-endian."""
    sim = _require_card(modem)
    required(request, 0x01, 2)
    wanted = required(request, 0x02, 3)
    identifier = int.from_bytes(wanted[:2], "little")
    words = wanted[3 : 3 + wanted[2]]
    path = tuple(int.from_bytes(words[place : place + 2], "little") for place in range(0, len(words), 2))
    found = find_file(sim, path, identifier)
    if found is None:
        raise QmiRefused(QmiFault.SIM_FILE_NOT_FOUND, ((_CARD_RESULT, bytes(_NOT_FOUND)),))
    if not found.open_to_all and not sim.usable:
        raise QmiRefused(QmiFault.ACCESS_DENIED, ((_CARD_RESULT, bytes(_NOT_ALLOWED)),))
    return identifier, found


def _content(data: bytes) -> Tlvs:
    return ((_CARD_RESULT, bytes(_FINE)), (0x11, len(data).to_bytes(2, "little") + data))


def _read_transparent(modem: Firmware, request: Request) -> Tlvs:
    _, found = _file(modem, request)
    offset, length = struct.unpack_from("<HH", required(request, 0x03, 4))
    if found.linear or offset > len(found.records[0]):
        raise QmiRefused(QmiFault.INVALID_ARGUMENT)
    return _content(found.records[0][offset : offset + length if length else None])


def _read_record(modem: Firmware, request: Request) -> Tlvs:
    _, found = _file(modem, request)
    number, length = struct.unpack_from("<HH", required(request, 0x03, 4))
    if not found.linear or not 1 <= number <= len(found.records):
        raise QmiRefused(QmiFault.INVALID_ARGUMENT)
    return _content(found.records[number - 1][: length or None])


def _file_attributes(modem: Firmware, request: Request) -> Tlvs:
    identifier, found = _file(modem, request)
    size = sum(map(len, found.records))
    kind = _LINEAR if found.linear else _TRANSPARENT
    shape = (len(found.records[0]), len(found.records)) if found.linear else (0, 0)
    # Five times "always"; then the raw data of the card's answer, of which there is none.
    told = struct.pack("<HHBHH", size, identifier, kind, *shape) + bytes(5 * 3) + bytes(2)
    return ((_CARD_RESULT, bytes(_FINE)), (0x11, told))


# -- PIN


def _words(request: Request, skip: int, count: int) -> list[str]:
    """That many length-prefixed texts of TLV 2, after so many bytes of which the first is the PIN's id: only PIN1 can
    be locked here."""
    data = required(request, 0x02, skip)
    if data[0] != _PIN1:
        raise QmiRefused(QmiFault.INVALID_ARGUMENT)
    found, place = [], skip
    for _ in range(count):
        if place >= len(data) or place + 1 + data[place] > len(data):
            raise QmiRefused(QmiFault.MALFORMED_MESSAGE)
        found.append(data[place + 1 : place + 1 + data[place]].decode("latin-1"))
        place += 1 + data[place]
    return found


def _tries_left(sim: SimCard) -> Tlvs:
    return ((0x10, bytes([sim.pin_tries_left, sim.puk_tries_left])),)


def _judge(sim: SimCard, *, accepted: bool) -> Tlvs:
    if accepted:
        return _tries_left(sim)
    fault = QmiFault.PIN_BLOCKED if sim.lock is CardLock.PUK else QmiFault.INCORRECT_PIN
    raise QmiRefused(QmiFault.PIN_ALWAYS_BLOCKED if sim.dead else fault, _tries_left(sim))


def _verify_pin(modem: Firmware, request: Request) -> Tlvs:
    sim = _require_card(modem)
    (pin,) = _words(request, 1, 1)
    if sim.lock is CardLock.PUK:
        return _judge(sim, accepted=False)
    if sim.pin is None:
        raise QmiRefused(QmiFault.NO_EFFECT)
    return _judge(sim, accepted=modem.enter_pin(pin))


def _unblock_pin(modem: Firmware, request: Request) -> Tlvs:
    sim = _require_card(modem)
    puk, pin = _words(request, 1, 2)
    return _judge(sim, accepted=modem.enter_puk(puk, pin))


def _change_pin(modem: Firmware, request: Request) -> Tlvs:
    sim = _require_card(modem)
    old, new = _words(request, 1, 2)
    if sim.pin is None:
        raise QmiRefused(QmiFault.PIN_RESTRICTION)
    return _judge(sim, accepted=sim.lock is not CardLock.PUK and sim.change_pin(old, new))


def _protect_pin(modem: Firmware, request: Request) -> Tlvs:
    sim = _require_card(modem)
    (pin,) = _words(request, 2, 1)
    enabled = required(request, 0x02, 2)[1] != 0
    if enabled == (sim.pin is not None):
        raise QmiRefused(QmiFault.NO_EFFECT)
    return _judge(sim, accepted=sim.lock is not CardLock.PUK and sim.protect(pin, enabled=enabled))


# -- power


def _power_off(modem: Firmware, request: Request) -> Tlvs:
    return _set_power(modem, request, on=False)


def _power_on(modem: Firmware, request: Request) -> Tlvs:
    return _set_power(modem, request, on=True)


def _set_power(modem: Firmware, request: Request, *, on: bool) -> Tlvs:
    if required(request, 0x01)[0] != 1:
        raise QmiRefused(QmiFault.INVALID_ARGUMENT)
    if _require_card(modem).powered == on:
        raise QmiRefused(QmiFault.NO_EFFECT)
    modem.power_card(on=on)
    return ()


class Uim(QmiService):
    """The service of one modem."""

    def __init__(self, firmware: Firmware, indicate: Indicate) -> None:
        super().__init__(
            firmware,
            indicate,
            {
                0x00: accept,
                0x20: _read_transparent,
                0x21: _read_record,
                0x24: _file_attributes,
                0x25: _protect_pin,
                0x26: _verify_pin,
                0x27: _unblock_pin,
                0x28: _change_pin,
                # The card's files never change by themselves, so that there is never a refresh to tell of.
                0x2A: accept,
                0x2E: self._register_events,
                0x2F: _card_status,
                0x30: _power_off,
                0x31: _power_on,
                0x44: accept,
            },
        )

    def changed(self, change: Change) -> None:
        if change is Change.CARD:
            self._tell(_CARD_STATUS_EVENT, _CARD_STATUS_MESSAGE, _card_status(self._firmware))

    def _register_events(self, _: Firmware, request: Request) -> Tlvs:
        wanted = int.from_bytes(required(request, 0x01, 4), "little") & _CARD_STATUS_EVENT
        self._subscriptions.put(request.client, _CARD_STATUS_EVENT, wanted=bool(wanted))
        return ((0x10, struct.pack("<I", wanted)),)
