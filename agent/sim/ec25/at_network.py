"""AT commands about the network: registration, operator, signal, cell, packet domain (3GPP TS 27.007 §7, §8.5, §10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agent.sim.ec25.at_general import Handler
from agent.sim.ec25.at_line import AtCommand, AtRefused, Form
from agent.sim.ec25.contexts import KINDS, MOST_CONTEXTS, Context
from agent.sim.ec25.firmware import Firmware, Functionality


def _registration(modem: Firmware, command: AtCommand) -> list[str]:
    name = command.name
    mode = modem.registration_reports[name]
    if command.form is Form.TEST:
        return [f"{name}: (0-2)"]
    if command.form is Form.READ:
        return [f"{name}: {mode},{modem.registration_text(mode)}"]
    wanted = command.number(0) if command.form is Form.SET else 0
    if wanted not in (0, 1, 2):
        raise AtRefused(50)
    modem.registration_reports[name] = wanted
    return []


def _packet_reports(modem: Firmware, command: AtCommand) -> list[str]:
    if command.form is Form.READ:
        return [f"+CGEREP: {2 if modem.packet_reports else 0},{int(modem.packet_reports)}"]
    if command.form is Form.SET:
        modem.packet_reports = command.number(0) > 0
    return []


def _operator(modem: Firmware, command: AtCommand) -> list[str]:
    cell = modem.radio.cell
    if command.form is Form.READ:
        name = modem.operator if modem.registered else None
        if modem.deregistered:
            return ["+COPS: 2"]
        return ["+COPS: 0"] if name is None else [f'+COPS: 0,0,"{name}",7']
    if command.form is Form.TEST:
        if modem.measure() is None:
            raise AtRefused(30)
        return [f'+COPS: (2,"{cell.operator}","{cell.operator}","{cell.plmn}",7),,(0,1,2,3,4),(0,1,2)']
    mode = command.number(0)
    if mode in (0, 2):
        modem.choose_operator(deregistered=mode == 2)
    elif mode in (1, 4):
        modem.reregister()
    elif mode not in (0, 3):
        raise AtRefused(4)
    return []


def _signal_quality(modem: Firmware, _: AtCommand) -> list[str]:
    measured = modem.measure()
    if measured is None:
        return ["+CSQ: 99,99"]
    return [f"+CSQ: {min(31, max(0, (measured.rssi_dbm + 113) // 2))},99"]


def _extended_signal(modem: Firmware, _: AtCommand) -> list[str]:
    measured = modem.measure()
    if measured is None:
        return ['+QCSQ: "NOSERVICE"']
    raw_sinr = (measured.sinr_db + 20) * 5
    return [f'+QCSQ: "LTE",{measured.rssi_dbm},{measured.rsrp_dbm},{raw_sinr},{measured.rsrq_db}']


def _cell(modem: Firmware, command: AtCommand) -> list[str]:
    if command.arguments[:1] != ("servingcell",):
        return []
    measured, cell = modem.measure(), modem.radio.cell
    if measured is None:
        return ['+QENG: "servingcell","SEARCH"']
    state = "LIMSRV" if not modem.registered else "CONNECT" if modem.bearers.families else "NOCONN"
    return [
        f'+QENG: "servingcell","{state}","LTE","FDD",{cell.mcc},{cell.mnc},{cell.cell_id:X},{cell.physical_id},'
        f"{cell.earfcn},{cell.band},5,5,{cell.tac:X},{measured.rsrp_dbm},{measured.rsrq_db},{measured.rssi_dbm},"
        f"{measured.sinr_db},-"
    ]


def _network_information(modem: Firmware, _: AtCommand) -> list[str]:
    cell = modem.radio.cell
    if not modem.registered:
        return ["+QNWINFO: No Service"]
    return [f'+QNWINFO: "FDD LTE","{cell.plmn}","LTE BAND {cell.band}",{cell.earfcn}']


def _operator_name(modem: Firmware, _: AtCommand) -> list[str]:
    name = modem.operator or ""
    return [f'+QSPN: "{name}","{name}","",0,"{modem.radio.cell.plmn}"']


def _attached(modem: Firmware, command: AtCommand) -> list[str]:
    if command.form is Form.READ:
        return [f"+CGATT: {int(modem.registered)}"]
    if command.form is Form.SET:
        modem.set_functionality(Functionality.FULL if command.number(0) else Functionality.FLIGHT)
    return []


def _contexts(modem: Firmware, command: AtCommand) -> list[str]:
    if command.form is Form.READ:
        return [
            f'+CGDCONT: {number},"{each.kind}","{each.apn}","0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0",0,0,0,0'
            for number, each in sorted(modem.contexts.items())
        ]
    if command.form is Form.SET:
        number = command.number(0)
        if not 1 <= number <= MOST_CONTEXTS:
            raise AtRefused(50)
        if len(command.arguments) == 1:
            modem.contexts.pop(number, None)
        else:
            kind, apn = (*command.arguments[1:3], "")[:2]
            if kind.upper() not in KINDS:
                raise AtRefused(50)
            modem.contexts[number] = replace(modem.contexts.get(number, Context()), kind=kind.upper(), apn=apn)
    return []


def _addresses(modem: Firmware, _: AtCommand) -> list[str]:
    found = {family: settings.interface.ip for family in (4, 6) if (settings := modem.bearers.settings(family))}
    ipv4 = str(found.get(4, "0.0.0.0"))
    ipv6 = ".".join(str(byte) for byte in found[6].packed) if 6 in found else ".".join(["0"] * 16)
    return [f'+CGPADDR: 1,"{ipv4},{ipv6}"']


def _active_contexts(modem: Firmware, command: AtCommand) -> list[str]:
    if command.form is Form.READ:
        return [f"+CGACT: {number},{int(number == 1 and bool(modem.bearers.families))}" for number in modem.contexts]
    return []


COMMANDS: Mapping[str, Handler] = {
    "+CREG": _registration,
    "+CGREG": _registration,
    "+CEREG": _registration,
    "+CGEREP": _packet_reports,
    "+COPS": _operator,
    "+CSQ": _signal_quality,
    "+QCSQ": _extended_signal,
    "+QENG": _cell,
    "+QNWINFO": _network_information,
    "+QSPN": _operator_name,
    "+CGATT": _attached,
    "+CGDCONT": _contexts,
    "+CGPADDR": _addresses,
    "+CGACT": _active_contexts,
}
