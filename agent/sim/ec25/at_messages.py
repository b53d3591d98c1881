"""AT commands about messages: a store that stays empty (3GPP TS 27.005 §3), and character sets (TS 27.007 §5.5)."""

from __future__ import annotations

from collections.abc import Mapping

from agent.sim.ec25.at_general import Handler
from agent.sim.ec25.at_line import AtCommand, AtRefused, Form
from agent.sim.ec25.firmware import Firmware

_STORES = ("SM", "ME", "MT")
_CAPACITY = {"SM": 50, "ME": 255, "MT": 255}
_CHARACTER_SETS = ("GSM", "IRA", "UCS2")


def _format(modem: Firmware, command: AtCommand) -> list[str]:
    if command.form is Form.READ:
        return [f"+CMGF: {modem.message_format}"]
    if command.form is Form.TEST:
        return ["+CMGF: (0,1)"]
    value = command.number(0)
    if value not in (0, 1):
        raise AtRefused(50)
    modem.message_format = value
    return []


def _stores(modem: Firmware, command: AtCommand) -> list[str]:
    if command.form is Form.TEST:
        every = ",".join(f'"{store}"' for store in _STORES)
        return [f"+CPMS: ({every}),({every}),({every})"]
    if command.form is Form.READ:
        return ["+CPMS: " + ",".join(f'"{store}",0,{_CAPACITY[store]}' for store in modem.message_stores)]
    if not 1 <= len(command.arguments) <= 3 or any(store not in _STORES for store in command.arguments):
        raise AtRefused(50)
    modem.message_stores = (*command.arguments, *modem.message_stores[len(command.arguments) :])
    return ["+CPMS: " + ",".join(f"0,{_CAPACITY[store]}" for store in modem.message_stores)]


def _list(_: Firmware, command: AtCommand) -> list[str]:
    return ["+CMGL: (0-4)"] if command.form is Form.TEST else []


def _character_set(modem: Firmware, command: AtCommand) -> list[str]:
    if command.form is Form.TEST:
        return ["+CSCS: (" + ",".join(f'"{each}"' for each in _CHARACTER_SETS) + ")"]
    if command.form is Form.READ:
        return [f'+CSCS: "{modem.character_set}"']
    if command.arguments[:1] not in {(each,) for each in _CHARACTER_SETS}:
        raise AtRefused(50)
    modem.character_set = command.arguments[0]
    return []


def _announcements(_: Firmware, command: AtCommand) -> list[str]:
    if command.form is Form.TEST:
        return ["+CNMI: (0-2),(0-3),(0,2),(0-2),(0,1)"]
    return ["+CNMI: 2,1,0,0,0"] if command.form is Form.READ else []


COMMANDS: Mapping[str, Handler] = {
    "+CMGF": _format,
    "+CPMS": _stores,
    "+CMGL": _list,
    "+CSCS": _character_set,
    "+CNMI": _announcements,
}
