"""A message of the ACS in, the CPE's answer out: which handler, which mishap, which bytes. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.sim.cpe import rpc_control, rpc_parameters, rpc_transfers
from agent.sim.cpe.behaviour import Mishap, MishapKind, Trigger
from agent.sim.cpe.dialect import speak
from agent.sim.cpe.rpc import Call, RpcFault
from agent.sim.cpe.soap import SOAP, Element, add, add_strings, render_envelope, start

Handler = Callable[[Call], Element]


@dataclass(frozen=True, slots=True)
class Answer:
    """The bytes to be sent; `mishap` tells what else happens while they are sent. `fault_code` 0: no fault."""

    body: bytes
    fault_code: int = 0
    mishap: MishapKind | None = None


def get_rpc_methods(call: Call) -> Element:
    """All that this CPE's version of CWMP and its behaviour let it answer (A.3.1.1)."""
    response = call.response()
    add_strings(response, "MethodList", methods_of(call))
    return response


_SINCE_1_0: Mapping[str, Handler] = {
    "GetRPCMethods": get_rpc_methods,
    "SetParameterValues": rpc_parameters.set_parameter_values,
    "GetParameterValues": rpc_parameters.get_parameter_values,
    "GetParameterNames": rpc_parameters.get_parameter_names,
    "SetParameterAttributes": rpc_parameters.set_parameter_attributes,
    "GetParameterAttributes": rpc_parameters.get_parameter_attributes,
    "AddObject": rpc_parameters.add_object,
    "DeleteObject": rpc_parameters.delete_object,
    "Download": rpc_transfers.download,
    "Upload": rpc_transfers.upload,
    "Reboot": rpc_control.reboot,
    "FactoryReset": rpc_control.factory_reset,
    "ScheduleInform": rpc_control.schedule_inform,
    "GetQueuedTransfers": rpc_transfers.get_queued_transfers,
}
_VOUCHERS: Mapping[str, Handler] = {
    "SetVouchers": rpc_control.set_vouchers,
    "GetOptions": rpc_control.get_options,
}
_SINCE_1_1: Mapping[str, Handler] = {"GetAllQueuedTransfers": rpc_transfers.get_all_queued_transfers}
_SINCE_1_2: Mapping[str, Handler] = {
    "ScheduleDownload": rpc_transfers.schedule_download,
    "CancelTransfer": rpc_transfers.cancel_transfer,
    "ChangeDUState": rpc_control.change_du_state,
}


def _handlers(call: Call) -> dict[str, Handler]:
    found = dict(_SINCE_1_0)
    if call.device.behaviour.does_vouchers:
        found.update(_VOUCHERS)
    if not call.namespace.endswith("cwmp-1-0"):
        found.update(_SINCE_1_1)
        if not call.namespace.endswith("cwmp-1-1"):
            found.update(_SINCE_1_2)
    return found


def methods_of(call: Call) -> list[str]:
    """The names that GetRPCMethods tells."""
    return list(_handlers(call))


def answer(call: Call, identifier: str | None) -> Answer:
    """Answer one RPC. The device's state changes as the RPC says, unless a mishap keeps it from being carried out."""
    device = call.device
    device.rpcs_answered += 1
    mishap = _mishap(call)
    if mishap is not None:
        match mishap.kind:
            case MishapKind.FAULT:
                return _fault_answer(call, identifier, RpcFault(mishap.code))
            case MishapKind.EMPTY:
                return Answer(b"")
            case MishapKind.HANG | MishapKind.REBOOT:
                return Answer(b"", mishap=mishap.kind)
            case _:
                pass
    try:
        handler = _handlers(call).get(call.method)
        if handler is None:
            raise RpcFault(9000, call.method)
        body = speak(render_envelope(call.namespace, handler(call), identifier), device.behaviour.dialects)
        most = device.behaviour.most_answer_bytes
        if most is not None and len(body) > most:
            raise RpcFault(9004, f"the answer has {len(body)} bytes")
        told = Answer(body)
    except RpcFault as fault:
        told = _fault_answer(call, identifier, fault)
    if mishap is None:
        return told
    if mishap.kind is MishapKind.MALFORMED:
        return Answer(told.body[: len(told.body) * 2 // 3], told.fault_code)
    return Answer(told.body, told.fault_code, mishap.kind)


def _mishap(call: Call) -> Mishap | None:
    device, behaviour = call.device, call.device.behaviour
    for each in device.mishaps:
        if each.method in {None, call.method}:
            device.mishaps.remove(each)
            return each
    if behaviour.every and device.rpcs_answered % behaviour.every == 0:
        return behaviour.every_mishap
    if (told := behaviour.on_method.get(call.method)) is not None:
        return told
    for trigger, mishap in behaviour.on_trigger.items():
        if _PULLED[trigger](call):
            return mishap
    return None


_PULLED: Mapping[Trigger, Callable[[Call], bool]] = {
    Trigger.PARTIAL_PATH: lambda call: call.method == "GetParameterValues" and rpc_parameters.has_partial_path(call),
    Trigger.EMPTY_PATH: lambda call: call.method == "GetParameterNames" and rpc_parameters.has_empty_path(call),
    Trigger.UNKNOWN_NAME: rpc_parameters.has_unknown_name,
}


def _fault_answer(call: Call, identifier: str | None, fault: RpcFault) -> Answer:
    body = start(SOAP, "Fault")
    add(body, "faultcode", "Client" if fault.code in {9003, 9005, 9006, 9007, 9008} else "Server")
    add(body, "faultstring", "CWMP fault")
    detail = start(call.namespace, "Fault")
    add(body, "detail").append(detail)
    add(detail, "FaultCode", str(fault.code))
    add(detail, "FaultString", fault.text)
    for name, code, text in fault.parameters:
        each = add(detail, "SetParameterValuesFault")
        add(each, "ParameterName", name)
        add(each, "FaultCode", str(code))
        add(each, "FaultString", text)
    data = render_envelope(call.namespace, body, identifier)
    return Answer(speak(data, call.device.behaviour.dialects), fault.code)
