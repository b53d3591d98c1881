"""What a CPE says of itself: Inform, and the requests that it makes of the ACS (TR-069 A.3.3, A.4.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agent.core.errors import ConfigError
from agent.sim.cpe.device import Device
from agent.sim.cpe.jobs import Completion, JobKind
from agent.sim.cpe.records import Event, Moment
from agent.sim.cpe.soap import CWMP_NAMESPACES, Element, add, add_array, render_time, start
from agent.sim.cpe.tree import ParameterTree
from agent.sim.cpe.values import ValueType, type_label

EXTRA_EVENTS = {
    "Kicked": Event("5 KICKED"),
    "RequestDownload": Event("9 REQUEST DOWNLOAD"),
    "AutonomousTransferComplete": Event("10 AUTONOMOUS TRANSFER COMPLETE"),
}
"""Events that announce a CPE's own request; GetRPCMethods has none."""
_FORCED = (
    "DeviceSummary",
    "RootDataModelVersion",
    "DeviceInfo.SpecVersion",
    "DeviceInfo.HardwareVersion",
    "DeviceInfo.SoftwareVersion",
    "DeviceInfo.ProvisioningCode",
    "ManagementServer.ParameterKey",
    "ManagementServer.ConnectionRequestURL",
    "ManagementServer.AliasBasedAddressing",
)


@dataclass(frozen=True, slots=True)
class OwnRequest:
    """A request of the CPE's that waits for its turn; `completion` is what it tells, when it tells of one."""

    method: str
    body: Element
    completion: Completion | None = None


def inform(device: Device, namespace: str, events: Sequence[Event], changed: Iterable[str], moment: Moment) -> Element:
    """An Inform with the parameters that every Inform has, and those in `changed` (A.3.3.1)."""
    message = start(namespace, "Inform")
    origin = device.identity.origin
    identity = add(message, "DeviceId")
    add(identity, "Manufacturer", origin.manufacturer[:64])
    add(identity, "OUI", origin.oui)
    add(identity, "ProductClass", origin.product_class)
    add(identity, "SerialNumber", device.identity.serial_number)
    array = add_array(message, "Event", "cwmp:EventStruct", len(events))
    for event in events:
        struct = add(array, "EventStruct")
        add(struct, "EventCode", event.code)
        add(struct, "CommandKey", event.command_key)
    add(message, "MaxEnvelopes", "1")
    add(message, "CurrentTime", render_time(moment.wall))
    add(message, "RetryCount", str(device.retry.count))
    add_values(message, device.tree, dict.fromkeys((*_informed(device.tree), *sorted(changed))))
    return message


def _informed(tree: ParameterTree) -> list[str]:
    names = [tree.root + name for name in _FORCED if tree.node(tree.root + name) is not None]
    address = device_address_parameter(tree)
    return names if address is None else [*names, address]


def device_address_parameter(tree: ParameterTree) -> str | None:
    """The parameter that holds the CPE's own address on the WAN; None when it has none."""
    return next(
        (name for name in sorted(tree.model.personal) if tree.model.nodes[name].value == tree.model.origin.address),
        None,
    )


def add_values(message: Element, tree: ParameterTree, names: Iterable[str]) -> None:
    """Append a ParameterList with the values of parameters that exist; others are left out."""
    found = [(name, node.kind) for name in names if (node := tree.node(name)) is not None and node.kind is not None]
    array = add_array(message, "ParameterList", "cwmp:ParameterValueStruct", len(found))
    labels = {kind: type_label(kind) for kind in ValueType}
    for name, kind in found:
        struct = add(array, "ParameterValueStruct")
        add(struct, "Name", name)
        add(struct, "Value", tree.told_value(name), labels[kind])


def own_requests(device: Device, namespace: str) -> list[OwnRequest]:
    """What the CPE has to say in this session, in order: ended jobs, then what its behaviour or a command asks for.

    Methods are as `check_requests` lets them through."""
    found = [_completion_request(namespace, each) for each in device.work.completions]
    methods = (*device.work.requests, *device.behaviour.extra_requests)
    found.extend(OwnRequest(method, _EXTRA[method](device, namespace)) for method in methods)
    return found


def check_requests(methods: Iterable[str]) -> None:
    """ConfigError for a request that no CPE makes of its own."""
    for method in methods:
        if method not in _EXTRA:
            raise ConfigError(f"no CPE requests {method!r}; there are {', '.join(sorted(_EXTRA))}")


def _completion_request(namespace: str, completion: Completion) -> OwnRequest:
    if completion.job.kind is JobKind.CHANGE_DU_STATE:
        return OwnRequest("DUStateChangeComplete", _du_state_change_complete(namespace, completion), completion)
    message = start(namespace, "TransferComplete")
    add(message, "CommandKey", completion.job.command_key)
    _add_fault(message, "FaultStruct", completion, _known_code(namespace, completion))
    add(message, "StartTime", render_time(completion.started))
    add(message, "CompleteTime", render_time(completion.completed))
    return OwnRequest("TransferComplete", message, completion)


def _known_code(namespace: str, completion: Completion) -> int:
    """CWMP 1.0 has no finer faults of transfers than 9010 to 9012."""
    code = completion.fault_code
    if code <= 9012 or namespace != CWMP_NAMESPACES["1.0"]:
        return code
    return 9011 if completion.job.kind is JobKind.UPLOAD else 9010


def _add_fault(message: Element, name: str, completion: Completion, code: int) -> None:
    fault = add(message, name)
    add(fault, "FaultCode", str(code))
    add(fault, "FaultString", completion.fault_text)


def _du_state_change_complete(namespace: str, completion: Completion) -> Element:
    message = start(namespace, "DUStateChangeComplete")
    result = completion.du_result
    results = add(message, "Results")
    add(results, "UUID", result.uuid if result else "")
    add(results, "DeploymentUnitRef", "")
    add(results, "Version", result.version if result else "")
    add(results, "CurrentState", result.state if result else "Failed")
    add(results, "Resolved", "1" if completion.fault_code == 0 else "0")
    add(results, "ExecutionUnitRefList", "")
    add(results, "StartTime", render_time(completion.started))
    add(results, "CompleteTime", render_time(completion.completed))
    _add_fault(results, "Fault", completion, completion.fault_code)
    add(message, "CommandKey", completion.job.command_key)
    return message


def _get_rpc_methods(_: Device, namespace: str) -> Element:
    return start(namespace, "GetRPCMethods")


def _request_download(_: Device, namespace: str) -> Element:
    message = start(namespace, "RequestDownload")
    add(message, "FileType", "1 Firmware Upgrade Image")
    arguments = add_array(message, "FileTypeArg", "cwmp:ArgStruct", 1)
    argument = add(arguments, "ArgStruct")
    add(argument, "Name", "Version")
    add(argument, "Value", "latest")
    return message


def _kicked(device: Device, namespace: str) -> Element:
    message = start(namespace, "Kicked")
    add(message, "Command", "refresh")
    add(message, "Referer", device.identity.address)
    add(message, "Arg", "")
    add(message, "Next", f"http://{device.identity.address}/done")
    return message


def _autonomous_transfer_complete(device: Device, namespace: str) -> Element:
    message = start(namespace, "AutonomousTransferComplete")
    add(message, "AnnounceURL", "")
    add(message, "TransferURL", f"http://{device.identity.address}/config.xml")
    add(message, "IsDownload", "1")
    add(message, "FileType", "3 Vendor Configuration File")
    add(message, "FileSize", "4096")
    add(message, "TargetFileName", "")
    fault = add(message, "FaultStruct")
    add(fault, "FaultCode", "0")
    add(fault, "FaultString", "")
    add(message, "StartTime", render_time(None))
    add(message, "CompleteTime", render_time(None))
    return message


_EXTRA: dict[str, Callable[[Device, str], Element]] = {
    "GetRPCMethods": _get_rpc_methods,
    "RequestDownload": _request_download,
    "Kicked": _kicked,
    "AutonomousTransferComplete": _autonomous_transfer_complete,
}
