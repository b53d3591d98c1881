"""AT commands about the modem itself: identity, power, SIM, configuration (Quectel EC25 AT Commands Manual §2-§5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from agent.sim.ec25.at_line import AtCommand, AtRefused, Form
from agent.sim.ec25.firmware import REVISION, Firmware, Functionality
from agent.sim.ec25.sim_card import CardLock

Handler = Callable[[Firmware, AtCommand], list[str]]


def _attention(_: Firmware, __: AtCommand) -> list[str]:
    return []


def _identify(_: Firmware, __: AtCommand) -> list[str]:
    return ["Quectel", "EC25", f"Revision: {REVISION}"]


def _manufacturer(_: Firmware, __: AtCommand) -> list[str]:
    return ["Quectel"]


def _model(_: Firmware, __: AtCommand) -> list[str]:
    return ["EC25"]


def _revision(_: Firmware, __: AtCommand) -> list[str]:
    return [REVISION]


def _imei(modem: Firmware, command: AtCommand) -> list[str]:
    return [] if command.form is Form.TEST else [modem.imei]


def _sub_edition(_: Firmware, __: AtCommand) -> list[str]:
    return ["SubEdition: V01"]


def _require_card(modem: Firmware) -> None:
    if not modem.sim.present:
        raise AtRefused(10)
    if not modem.sim.powered:
        raise AtRefused(13)


def _require_unlocked(modem: Firmware) -> None:
    _require_card(modem)
    if modem.functionality is Functionality.MINIMUM:
        raise AtRefused(13)
    if modem.sim.lock is CardLock.PIN:
        raise AtRefused(11)
    if modem.sim.lock is CardLock.PUK:
        raise AtRefused(12)


def _iccid(modem: Firmware, _: AtCommand) -> list[str]:
    _require_card(modem)
    filler = "F" if len(modem.sim.iccid) % 2 else ""
    return [f"+QCCID: {modem.sim.iccid}{filler}"]


def _imsi(modem: Firmware, command: AtCommand) -> list[str]:
    if command.form is Form.TEST:
        return []
    _require_unlocked(modem)
    return [modem.sim.imsi]


def _pin(modem: Firmware, command: AtCommand) -> list[str]:
    _require_card(modem)
    if modem.functionality is Functionality.MINIMUM:
        raise AtRefused(13)
    if command.form is Form.READ:
        return [f"+CPIN: {modem.sim.lock.value}"]
    if command.form is not Form.SET:
        return []
    if modem.sim.lock is CardLock.PIN and len(command.arguments) == 1:
        accepted = modem.enter_pin(command.arguments[0])
    elif modem.sim.lock is CardLock.PUK and len(command.arguments) == 2:
        accepted = modem.enter_puk(*command.arguments)
    else:
        raise AtRefused(12 if modem.sim.lock is CardLock.PUK else 3)
    if not accepted:
        raise _wrong_pin(modem)
    return []


def _wrong_pin(modem: Firmware) -> AtRefused:
    return AtRefused(12 if modem.sim.lock is CardLock.PUK else 16)


def _pin_tries(modem: Firmware, _: AtCommand) -> list[str]:
    _require_card(modem)
    return [f'+QPINC: "SC",{modem.sim.pin_tries_left},{modem.sim.puk_tries_left}', '+QPINC: "P2",3,10']


def _sim_status(modem: Firmware, _: AtCommand) -> list[str]:
    return [f"+QSIMSTAT: 0,{int(modem.sim.present)}"]


def _error_format(modem: Firmware, command: AtCommand) -> list[str]:
    if command.form is Form.READ:
        return [f"+CMEE: {modem.error_format}"]
    if command.form is Form.SET:
        value = command.number(0)
        if value not in (0, 1, 2):
            raise AtRefused(50)
        modem.error_format = value
    return []


def _functionality(modem: Firmware, command: AtCommand) -> list[str]:
    if command.form is Form.READ:
        return [f"+CFUN: {int(modem.functionality)}"]
    if command.form is Form.TEST:
        return ["+CFUN: (0,1,4),(0,1)"]
    value = command.number(0)
    if value not in {0, 1, 4}:
        raise AtRefused(50)
    if len(command.arguments) > 1 and command.number(1) == 1:
        modem.reboot()
    else:
        modem.set_functionality(Functionality(value))
    return []


def _power_down(modem: Firmware, command: AtCommand) -> list[str]:
    if command.form is Form.SET and command.number(0) not in (0, 1):
        raise AtRefused(50)
    modem.shut_down()
    return []


_CONFIGURATION = {
    "nwscanmode": "0",
    "servicedomain": "2",
    "roamservice": "255",
    "urc/ri/ring": '"pulse",120',
    "band": "0x93,0x1a0080800d5,0x0",
    "ims": "0,0",
}


def _configuration(modem: Firmware, command: AtCommand) -> list[str]:
    if command.form is not Form.SET or not command.arguments:
        raise AtRefused(50)
    name = command.arguments[0].lower()
    if name == "usbnet":
        if len(command.arguments) == 1:
            return [f'+QCFG: "usbnet",{modem.usbnet}']
        if command.number(1) not in (0, 1, 2, 3):
            raise AtRefused(50)
        modem.usbnet = command.number(1)
        return []
    if name not in _CONFIGURATION:
        raise AtRefused(50)
    return [f'+QCFG: "{name}",{_CONFIGURATION[name]}'] if len(command.arguments) == 1 else []


def _capabilities(_: Firmware, __: AtCommand) -> list[str]:
    return ["+GCAP: +CGSM"]


def _clock(modem: Firmware, command: AtCommand) -> list[str]:
    if command.form is not Form.READ:
        return []
    if not modem.registered:
        # Never told the time by a network, it counts from where it was made.
        return ['+CCLK: "80/01/06,00:00:00+00"']
    return [f'+CCLK: "{datetime.now(UTC):%y/%m/%d,%H:%M:%S}+00"']


def _lock(modem: Firmware, command: AtCommand) -> list[str]:
    if command.form is Form.TEST:
        return ['+CLCK: ("SC")']
    if command.arguments[:1] != ("SC",) or command.number(1) not in (0, 1, 2):
        raise AtRefused(4)
    _require_card(modem)
    wanted, sim = command.number(1), modem.sim
    if wanted == 2:
        return [f"+CLCK: {int(sim.pin is not None)}"]
    if len(command.arguments) < 3:
        raise AtRefused(50)
    if sim.lock is CardLock.PUK or not sim.protect(command.arguments[2], enabled=wanted == 1):
        raise _wrong_pin(modem)
    return []


COMMANDS: Mapping[str, Handler] = {
    "I": _identify,
    "Z": _attention,
    "V": _attention,
    "Q": _attention,
    "X": _attention,
    "+GCAP": _capabilities,
    "+CCLK": _clock,
    "+CNUM": _attention,
    "+CLCK": _lock,
    "&F": _attention,
    "&D": _attention,
    "&C": _attention,
    "&W": _attention,
    "+CGMI": _manufacturer,
    "+GMI": _manufacturer,
    "+CGMM": _model,
    "+GMM": _model,
    "+CGMR": _revision,
    "+GMR": _revision,
    "+QGMR": _revision,
    "+CGSN": _imei,
    "+GSN": _imei,
    "+CSUB": _sub_edition,
    "+QCCID": _iccid,
    "+ICCID": _iccid,
    "+CIMI": _imsi,
    "+CPIN": _pin,
    "+QPINC": _pin_tries,
    "+QSIMSTAT": _sim_status,
    "+CMEE": _error_format,
    "+CFUN": _functionality,
    "+QPOWD": _power_down,
    "+QCFG": _configuration,
    "+QURCCFG": _attention,
}
