"""QMI WDS profiles: the PDP contexts of `AT+CGDCONT` by another name, by libqmi's qmi-service-wds.json."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace

from agent.sim.ec25.contexts import KINDS, MOST_CONTEXTS, Context
from agent.sim.ec25.firmware import Firmware
from agent.sim.ec25.qmi_service import Handler, QmiRefused, required
from agent.sim.ec25.qmux import QmiFault, Request, Tlvs

_PROFILE_3GPP = 0
_EXTENDED_ERROR = 0xE0
_INVALID_PROFILE_NUMBER = 0x05
"""QmiWdsDsProfileError."""
DEFAULT_NUMBER = 1


def _unknown_profile() -> QmiRefused:
    extended = ((_EXTENDED_ERROR, struct.pack("<H", _INVALID_PROFILE_NUMBER)),)
    return QmiRefused(QmiFault.EXTENDED_INTERNAL, extended)


def _require_3gpp(kind: int) -> None:
    if kind != _PROFILE_3GPP:
        raise QmiRefused(QmiFault.INVALID_ARGUMENT)


def _number(modem: Firmware, request: Request, place: int = 1) -> int:
    """The number of a profile that is there; the kind comes first in TLV 1."""
    told = required(request, 0x01, place + 1)
    _require_3gpp(told[0])
    if told[place] not in modem.contexts:
        raise _unknown_profile()
    return told[place]


def _changed(context: Context, request: Request) -> Context:
    """The context with what the request says of it."""
    tlvs = request.tlvs
    if kind := tlvs.get(0x11):
        if kind[0] >= len(KINDS):
            raise QmiRefused(QmiFault.INVALID_PDP_TYPE)
        context = replace(context, kind=KINDS[kind[0]])
    if authentication := tlvs.get(0x1D):
        context = replace(context, authentication=authentication[0])

    def text(number: int, before: str) -> str:
        return tlvs[number].decode("latin-1") if number in tlvs else before

    return replace(
        context,
        name=text(0x10, context.name),
        apn=text(0x14, context.apn),
        username=text(0x1B, context.username),
        password=text(0x1C, context.password),
    )


def _settings(context: Context) -> Tlvs:
    return (
        (0x10, context.name.encode("latin-1")),
        (0x11, bytes([KINDS.index(context.kind)])),
        (0x14, context.apn.encode("latin-1")),
        (0x1B, context.username.encode("latin-1")),
        (0x1D, bytes([context.authentication])),
    )


def _create(modem: Firmware, request: Request) -> Tlvs:
    _require_3gpp(required(request, 0x01)[0])
    number = next((each for each in range(1, MOST_CONTEXTS + 1) if each not in modem.contexts), None)
    if number is None:
        raise QmiRefused(QmiFault.NO_FREE_PROFILE)
    modem.contexts[number] = _changed(Context(), request)
    return ((0x01, bytes([_PROFILE_3GPP, number])),)


def _modify(modem: Firmware, request: Request) -> Tlvs:
    number = _number(modem, request)
    modem.contexts[number] = _changed(modem.contexts[number], request)
    return ()


def _delete(modem: Firmware, request: Request) -> Tlvs:
    del modem.contexts[_number(modem, request)]
    return ()


def _list(modem: Firmware, request: Request) -> Tlvs:
    _require_3gpp((request.tlvs.get(0x10) or bytes([_PROFILE_3GPP]))[0])
    entries = [
        bytes([_PROFILE_3GPP, number, len(each.name)]) + each.name.encode("latin-1")
        for number, each in sorted(modem.contexts.items())
    ]
    return ((0x01, bytes([len(entries)]) + b"".join(entries)),)


def _one(modem: Firmware, request: Request) -> Tlvs:
    number = _number(modem, request)
    return (*_settings(modem.contexts[number]), (0x25, bytes([number])))


def _defaults(_: Firmware, request: Request) -> Tlvs:
    _require_3gpp(required(request, 0x01)[0])
    return _settings(Context())


def _default_number(_: Firmware, request: Request) -> Tlvs:
    _require_3gpp(required(request, 0x01, 2)[0])
    return ((0x01, bytes([DEFAULT_NUMBER])),)


def _attach_parameters(modem: Firmware, _: Request) -> Tlvs:
    if not modem.registered:
        raise QmiRefused(QmiFault.INFORMATION_UNAVAILABLE)
    context = modem.contexts.get(DEFAULT_NUMBER, Context())
    support = {"IP": 0, "IPV6": 1}.get(context.kind, 2)
    return ((0x10, context.apn.encode("latin-1")), (0x11, bytes([support])), (0x12, b"\x01"))


def _attach_list(_: Firmware, __: Request) -> Tlvs:
    return ((0x10, bytes([1]) + struct.pack("<H", DEFAULT_NUMBER)),)


PROFILES: Mapping[int, Handler] = {
    0x27: _create,
    0x28: _modify,
    0x29: _delete,
    0x2A: _list,
    0x2B: _one,
    0x2C: _defaults,
    0x49: _default_number,
    0x85: _attach_parameters,
    0x94: _attach_list,
}
