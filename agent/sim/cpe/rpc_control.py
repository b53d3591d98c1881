"""How a CPE answers the RPCs that command it: reboot, reset, inform, options, deployment units (A.3.2.9, A.4.1)."""

from __future__ import annotations

import base64
import binascii
import re

from lxml import etree

from agent.sim.cpe.device import MOST_EVENTS, SCHEDULE_INFORM, FactoryReset, Reboot
from agent.sim.cpe.jobs import DuOperation, FilePlace, Job, JobKind
from agent.sim.cpe.records import Event
from agent.sim.cpe.rpc import Call, RpcFault, argument, items, number
from agent.sim.cpe.rpc_transfers import enqueue
from agent.sim.cpe.soap import Element, add, add_array, children, render_time, text_of, type_of

# The rest is for what the CPE has to tell of itself.
_MOST_WAITING_EVENTS = MOST_EVENTS // 2
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def reboot(call: Call) -> Element:
    """The reboot comes after the session, with M Reboot in the next one."""
    call.device.work.after_session.append(Reboot(argument(call.request, "CommandKey")))
    return call.response()


def factory_reset(call: Call) -> Element:
    """The reset comes after the session."""
    call.device.work.after_session.append(FactoryReset())
    return call.response()


def schedule_inform(call: Call) -> Element:
    """An extra session after the delay; each request is kept (A.4.1.2)."""
    delay, key = number(call.request, "DelaySeconds"), argument(call.request, "CommandKey")
    if delay == 0:
        raise RpcFault(9003, "DelaySeconds is greater than 0")
    if len(call.device.work.events) >= _MOST_WAITING_EVENTS:
        raise RpcFault(9004, "too many informs")
    call.device.raise_event(Event(SCHEDULE_INFORM, key), call.moment.at + call.device.scaled(delay))
    return call.response()


def get_options(call: Call) -> Element:
    """The options that vouchers brought, all of them for an empty name (A.4.1.4)."""
    _need_vouchers(call)
    wanted = argument(call.request, "OptionName")
    told = {name: serial for name, serial in call.device.options.items() if wanted in {"", name}}
    if wanted and not told:
        raise RpcFault(9003, f"no option {wanted}")
    response = call.response()
    array = add_array(response, "OptionList", "cwmp:OptionStruct", len(told))
    for name, serial in told.items():
        struct = add(array, "OptionStruct")
        add(struct, "OptionName", name)
        add(struct, "VoucherSN", str(serial))
        add(struct, "State", "1")
        add(struct, "Mode", "2")
        add(struct, "StartDate", render_time(None))
        add(struct, "IsTransferable", "0")
    return response


def set_vouchers(call: Call) -> Element:
    """Vouchers are signed XML in base64 (TR-069 A6 annex C); the signature is not looked at."""
    _need_vouchers(call)
    found: dict[str, int] = {}
    for each in items(call.request, "VoucherList", "base64"):
        try:
            voucher = etree.fromstring(base64.b64decode(each.text or "", validate=True), _parser())
        except (binascii.Error, ValueError, etree.XMLSyntaxError) as error:
            raise RpcFault(9003, "no voucher") from error
        for option in voucher.iter():
            name, serial = text_of(option, "OptionIdent"), text_of(option, "VSerialNum")
            if name:
                found[name] = int(serial) if serial and serial.isdigit() else 0
    call.device.options.update(found)
    return call.response()


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True)


def _need_vouchers(call: Call) -> None:
    if not call.device.behaviour.does_vouchers:
        raise RpcFault(9000)


def change_du_state(call: Call) -> Element:
    """Each operation is done after the session and told by its own DUStateChangeComplete (A.4.1.10)."""
    key = text_of(call.request, "CommandKey") or ""
    operations = [each for each in children(call.request, "Operations") if not _is_array(each)]
    for array in children(call.request, "Operations"):
        if _is_array(array):
            operations.extend(array)
    if not operations:
        raise RpcFault(9003, "no operation")
    jobs = [_du_job(call, each, key) for each in operations]
    enqueue(call.device, *jobs)
    return call.response()


def _is_array(element: Element) -> bool:
    """Some write an array of operations, some repeat the element (the schema repeats it)."""
    return len(element) > 0 and any(type_of(each) is not None or str(each.tag).endswith("OpStruct") for each in element)


def _du_job(call: Call, element: Element, key: str) -> Job:
    name = (type_of(element) or str(element.tag)).rpartition(":")[2].rpartition("}")[2]
    try:
        operation = DuOperation(name)
    except ValueError:
        raise RpcFault(9003, f"no operation {name}") from None
    uuid = text_of(element, "UUID") or ""
    if uuid and _UUID.fullmatch(uuid) is None:
        raise RpcFault(9003, "UUID")
    place = FilePlace(
        url=text_of(element, "URL") or "",
        username=text_of(element, "Username") or "",
        password=text_of(element, "Password") or "",
    )
    return Job(
        kind=JobKind.CHANGE_DU_STATE,
        command_key=key,
        place=place,
        start_at=call.moment.at,
        operation=operation,
        uuid=uuid,
        version=text_of(element, "Version") or "",
    )
