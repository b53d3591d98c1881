"""What can be done to an emulated modem, by name; some faults happen once, others last until they are cleared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.core.errors import ConfigError
from agent.sim.ec25.bearers import AlreadyStarted, BearerRefused
from agent.sim.ec25.radio import cell_for
from agent.sim.modem import EmulatedModem, imei_of

Arguments = Mapping[str, Any]
FindModem = Callable[[int], EmulatedModem]
_OF_PORTS = frozenset({"hang", "qmi_hang", "open_hang", "garble"})
UNTIL = ("cleared", "usb_reset", "reboot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How a fault begins, and how it ends; `end` None: it happens once."""

    begin: Callable[[EmulatedModem, Arguments, FindModem], Awaitable[None]]
    end: Callable[[EmulatedModem], Awaitable[None]] | None = None


def _set_at_ports(modem: EmulatedModem, name: str, value: bool) -> None:
    for port in (modem.at, modem.at_secondary):
        if port is not None:
            setattr(port, name, value)


def _set_hung(modem: EmulatedModem, *, hung: bool) -> None:
    for port in (modem.diag, modem.at, modem.at_secondary):
        if port is not None:
            port.hung = hung


async def _hang(modem: EmulatedModem, _: Arguments, __: FindModem) -> None:
    _set_hung(modem, hung=True)


async def _unhang(modem: EmulatedModem) -> None:
    _set_hung(modem, hung=False)


async def _garble(modem: EmulatedModem, _: Arguments, __: FindModem) -> None:
    _set_at_ports(modem, "garbled", True)


async def _ungarble(modem: EmulatedModem) -> None:
    _set_at_ports(modem, "garbled", False)


async def _echo(modem: EmulatedModem, _: Arguments, __: FindModem) -> None:
    _set_at_ports(modem, "echo", True)


async def _qmi_hang(modem: EmulatedModem, _: Arguments, __: FindModem) -> None:
    if modem.qmi is not None:
        modem.qmi.hung = True


async def _qmi_unhang(modem: EmulatedModem) -> None:
    if modem.qmi is not None:
        modem.qmi.hung = False


async def _open_hang(modem: EmulatedModem, _: Arguments, __: FindModem) -> None:
    await modem.hang_open()


async def _open_unhang(modem: EmulatedModem) -> None:
    await modem.unhang_open()


async def _vanish(modem: EmulatedModem, arguments: Arguments, _: FindModem) -> None:
    await modem.unplug(announce=bool(arguments.get("announce", True)))


async def _no_sim(modem: EmulatedModem, _: Arguments, __: FindModem) -> None:
    modem.firmware.sim.present = False
    modem.firmware.sim_changed()


async def _sim_back(modem: EmulatedModem) -> None:
    modem.firmware.sim.present = True
    modem.firmware.sim.power_cycle()
    modem.firmware.sim_changed()


async def _pin(modem: EmulatedModem, arguments: Arguments, _: FindModem) -> None:
    modem.firmware.sim.pin = str(arguments.get("pin", "1234"))
    modem.firmware.sim.power_cycle()
    modem.firmware.sim_changed()


async def _puk(modem: EmulatedModem, _: Arguments, __: FindModem) -> None:
    modem.firmware.sim.block()
    modem.firmware.sim_changed()


async def _unlock(modem: EmulatedModem) -> None:
    modem.firmware.sim.pin, modem.firmware.sim.pin_tries_left = None, 3
    modem.firmware.sim.power_cycle()
    modem.firmware.sim_changed()


async def _denied(modem: EmulatedModem, _: Arguments, __: FindModem) -> None:
    modem.firmware.denied = True
    modem.firmware.evaluate()


async def _allowed(modem: EmulatedModem) -> None:
    modem.firmware.denied = False
    modem.firmware.evaluate()


async def _no_signal(modem: EmulatedModem, _: Arguments, __: FindModem) -> None:
    modem.firmware.radio.silent = True
    modem.firmware.evaluate()


async def _signal(modem: EmulatedModem) -> None:
    modem.firmware.radio.silent = False
    modem.firmware.evaluate()


async def _call_failed(modem: EmulatedModem, arguments: Arguments, _: FindModem) -> None:
    modem.firmware.refusal = int(arguments.get("reason", 27))
    modem.firmware.drop()


async def _call_accepted(modem: EmulatedModem) -> None:
    modem.firmware.refusal = None


async def _drop(modem: EmulatedModem, _: Arguments, __: FindModem) -> None:
    modem.firmware.drop()


async def _session_exists(modem: EmulatedModem, _: Arguments, __: FindModem) -> None:
    try:
        await modem.firmware.start_bearer(None, 4, "")
    except (AlreadyStarted, BearerRefused) as error:
        raise ConfigError(f"modem {modem.index} cannot dial by itself now: {error!r}") from error


async def _mute(modem: EmulatedModem, _: Arguments, __: FindModem) -> None:
    await modem.carrier.mute(muted=True)


async def _unmute(modem: EmulatedModem) -> None:
    await modem.carrier.mute(muted=False)


async def _address_change(modem: EmulatedModem, _: Arguments, __: FindModem) -> None:
    await modem.firmware.bearers.readdress()


async def _same_address(modem: EmulatedModem, arguments: Arguments, find: FindModem) -> None:
    other = find(int(arguments["other"]))
    if other is modem:
        raise ConfigError("a modem has the same address as itself already")
    modem.carrier.imitate(other.carrier)
    await modem.firmware.bearers.readdress()


async def _own_address(modem: EmulatedModem) -> None:
    modem.carrier.imitate(None)
    await modem.firmware.bearers.readdress()


async def _same_imei(modem: EmulatedModem, arguments: Arguments, find: FindModem) -> None:
    modem.firmware.imei = find(int(arguments["other"])).firmware.imei


async def _own_imei(modem: EmulatedModem) -> None:
    modem.firmware.imei = imei_of(modem.index)


async def _usbnet(modem: EmulatedModem, arguments: Arguments, _: FindModem) -> None:
    modem.firmware.usbnet = int(arguments.get("mode", 1))
    if modem.slot is not None:
        slot = modem.slot
        await modem.unplug()
        await modem.plug(slot)


async def _usb_serial(modem: EmulatedModem, arguments: Arguments, _: FindModem) -> None:
    serial = arguments.get("serial", "0123456789ABCDEF")
    modem.usb_serial = None if serial is None else str(serial)
    if modem.slot is not None:
        slot = modem.slot
        await modem.unplug()
        await modem.plug(slot)


async def _roam(modem: EmulatedModem, _: Arguments, __: FindModem) -> None:
    modem.firmware.radio.cell = cell_for(modem.index + 1000)
    modem.firmware.reregister()


FAULTS: Mapping[str, Fault] = {
    "hang": Fault(begin=_hang, end=_unhang),
    "qmi_hang": Fault(begin=_qmi_hang, end=_qmi_unhang),
    "open_hang": Fault(begin=_open_hang, end=_open_unhang),
    "garble": Fault(begin=_garble, end=_ungarble),
    "echo": Fault(begin=_echo),
    "vanish": Fault(begin=_vanish),
    "no_sim": Fault(begin=_no_sim, end=_sim_back),
    "pin": Fault(begin=_pin, end=_unlock),
    "puk": Fault(begin=_puk, end=_unlock),
    "denied": Fault(begin=_denied, end=_allowed),
    "no_signal": Fault(begin=_no_signal, end=_signal),
    "call_failed": Fault(begin=_call_failed, end=_call_accepted),
    "drop": Fault(begin=_drop),
    "session_exists": Fault(begin=_session_exists),
    "mute": Fault(begin=_mute, end=_unmute),
    "address_change": Fault(begin=_address_change),
    "same_address": Fault(begin=_same_address, end=_own_address),
    "same_imei": Fault(begin=_same_imei, end=_own_imei),
    "usbnet": Fault(begin=_usbnet),
    "usb_serial": Fault(begin=_usb_serial),
    "cell_change": Fault(begin=_roam),
}


async def begin_fault(modem: EmulatedModem, name: str, arguments: Arguments, find: FindModem) -> None:
    """Begin the fault of that name; ConfigError when there is none or its arguments make no sense."""
    fault = FAULTS.get(name)
    if fault is None:
        raise ConfigError(f"no fault {name!r}; there are {', '.join(sorted(FAULTS))}")
    until = str(arguments.get("until", "cleared"))
    if until not in UNTIL:
        raise ConfigError(f"until {until!r}: one of {', '.join(UNTIL)} is wanted")
    if until != "cleared" and name not in _OF_PORTS:
        raise ConfigError(f"{name} is no fault of a port: it lasts until it is cleared")
    await fault.begin(modem, arguments, find)
    if fault.end is not None:
        modem.faults[name] = until


async def clear_faults(modem: EmulatedModem, name: str | None) -> None:
    """End one fault, or all of them; one that is not active is no error."""
    for each in [name] if name is not None else list(modem.faults):
        if modem.faults.pop(each, None) is not None and (end := FAULTS[each].end) is not None:
            await end(modem)
