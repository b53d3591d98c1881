"""How a CPE answers the RPCs on parameters and objects (TR-069 A.3.2.1 to A.3.2.7): request in, answer out."""

from __future__ import annotations

from agent.sim.cpe.device import BOOTSTRAP, Device
from agent.sim.cpe.requests import add_values
from agent.sim.cpe.rpc import Call, RpcFault, argument, flag, items, number, strings
from agent.sim.cpe.soap import Element, add, add_array, add_strings, child, text_of, type_of
from agent.sim.cpe.values import is_valid, type_named

_LONGEST_NAME = 256


def get_parameter_values(call: Call) -> Element:
    """9005 for any unknown name, 9004 when more is asked than the CPE tells at once."""
    names = strings(call.request, "ParameterNames")
    tree, most = call.device.tree, call.device.behaviour.most_names
    told: list[str] = []
    for name in names:
        _known(call.device, name)
        told.extend(tree.parameters_under(name))
    if most is not None and max(len(names), len(told)) > most:
        raise RpcFault(9004, f"more than {most} parameters")
    for name in told:
        if code := call.device.behaviour.name_faults.get(name):
            raise RpcFault(code, name)
    response = call.response()
    add_values(response, tree, told)
    return response


def get_parameter_names(call: Call) -> Element:
    """The object itself and all below it, or with NextLevel only its children; a parameter alone (A.3.2.3)."""
    path, next_level = argument(call.request, "ParameterPath"), flag(call.request, "NextLevel")
    tree = call.device.tree
    _known(call.device, path)
    if path and not path.endswith("."):
        if next_level:
            raise RpcFault(9003, "NextLevel of a parameter")
        names = [path]
    else:
        names = list(tree.children(path) if next_level else tree.under(path))
    response = call.response()
    array = add_array(response, "ParameterList", "cwmp:ParameterInfoStruct", len(names))
    for name in names:
        node = tree.node(name)
        struct = add(array, "ParameterInfoStruct")
        add(struct, "Name", name)
        add(struct, "Writable", "1" if node is not None and node.writable else "0")
    return response


def set_parameter_values(call: Call) -> Element:
    """All or nothing; 9003 with one SetParameterValuesFault for each bad parameter (A.3.2.1)."""
    key = argument(call.request, "ParameterKey")
    faults: list[tuple[str, int, str]] = []
    wanted: dict[str, str] = {}
    for struct in items(call.request, "ParameterList", "ParameterValueStruct"):
        name = argument(struct, "Name")
        value = child(struct, "Value")
        if value is None:
            raise RpcFault(9003, f"{name} without Value")
        if name in wanted:
            faults.append((name, 9003, "named twice"))
        elif (fault := _refusal(call.device, name, value.text or "", type_of(value))) is not None:
            faults.append((name, *fault))
        wanted[name] = value.text or ""
    if faults:
        raise RpcFault(9003, "Invalid arguments", tuple(faults))
    _apply(call, wanted)
    call.device.tree.put("ManagementServer.ParameterKey", key)
    response = call.response()
    add(response, "Status", str(call.device.behaviour.set_status))
    return response


def _refusal(device: Device, name: str, value: str, label: str | None) -> tuple[int, str] | None:
    node = device.tree.node(name)
    if code := device.behaviour.name_faults.get(name):
        return code, "refused"
    if node is None or node.kind is None:
        return 9005, "Invalid parameter name"
    if not node.writable:
        return 9008, "Attempt to set a non-writable parameter"
    if label is not None and device.behaviour.strict_types and type_named(label) is not node.kind:
        return 9006, f"{node.kind.value} is wanted, not {label}"
    is_zero_interval = name.endswith(".PeriodicInformInterval") and value.strip("0") == ""
    if is_zero_interval or not is_valid(node.kind, value):
        return 9007, f"no {node.kind.value} that makes sense"
    return None


def _apply(call: Call, wanted: dict[str, str]) -> None:
    device, now = call.device, call.moment.at
    server = device.tree.root + "ManagementServer."
    if device.tree.get("ManagementServer.URL") != wanted.get(server + "URL", device.tree.get("ManagementServer.URL")):
        # Another ACS has not met this CPE (§3.7.1.5, table 8).
        device.raise_event(BOOTSTRAP, now)
    for name, value in wanted.items():
        device.tree.set_value(name, value)
        if name.endswith(".DiagnosticsState") and value == "Requested":
            ready = now + device.scaled(device.timing.diagnostics_seconds)
            device.work.diagnostics.append((name[: name.rfind(".") + 1], ready))
    if any(name.startswith(server + "PeriodicInform") for name in wanted):
        device.plan_periodic(now)


def get_parameter_attributes(call: Call) -> Element:
    names = strings(call.request, "ParameterNames")
    tree = call.device.tree
    told: list[str] = []
    for name in names:
        _known(call.device, name)
        told.extend(tree.parameters_under(name))
    response = call.response()
    array = add_array(response, "ParameterList", "cwmp:ParameterAttributeStruct", len(told))
    for name in told:
        struct = add(array, "ParameterAttributeStruct")
        add(struct, "Name", name)
        add(struct, "Notification", str(tree.notification(name)))
        add_strings(struct, "AccessList", tree.access_list(name))
    return response


def set_parameter_attributes(call: Call) -> Element:
    """Notification and access list of parameters or of all below a path; all or nothing (A.3.2.4)."""
    tree = call.device.tree
    structs = items(call.request, "ParameterList", "SetParameterAttributesStruct")
    for struct in structs:
        _known(call.device, argument(struct, "Name"))
        if flag(struct, "NotificationChange") and not 0 <= number(struct, "Notification") <= 6:
            raise RpcFault(9003, "Notification is 0 to 6")
        flag(struct, "AccessListChange")
    for struct in structs:
        entities = child(struct, "AccessList")
        access = () if entities is None else tuple(each.text or "" for each in entities)
        for name in tree.parameters_under(argument(struct, "Name")):
            if flag(struct, "NotificationChange"):
                tree.set_notification(name, number(struct, "Notification"))
            if flag(struct, "AccessListChange"):
                tree.set_access_list(name, access)
    return call.response()


def add_object(call: Call) -> Element:
    """A new instance: 9005 for what is no table, 9004 when there is no room (A.3.2.6)."""
    path, key = argument(call.request, "ObjectName"), argument(call.request, "ParameterKey")
    _refuse_object(call.device, path)
    if not path.endswith(".") or not call.device.tree.is_table(path):
        raise RpcFault(9005, path)
    try:
        instance = call.device.tree.add_instance(path)
    except ValueError as error:
        raise RpcFault(9004, str(error)) from error
    call.device.tree.put("ManagementServer.ParameterKey", key)
    response = call.response()
    add(response, "InstanceNumber", str(instance))
    add(response, "Status", str(call.device.behaviour.set_status))
    return response


def delete_object(call: Call) -> Element:
    """9005 for what is no instance that may go (A.3.2.7)."""
    path, key = argument(call.request, "ObjectName"), argument(call.request, "ParameterKey")
    _refuse_object(call.device, path)
    if not path.endswith(".") or not call.device.tree.is_deletable(path):
        raise RpcFault(9005, path)
    call.device.tree.delete_instance(path)
    call.device.tree.put("ManagementServer.ParameterKey", key)
    response = call.response()
    add(response, "Status", str(call.device.behaviour.set_status))
    return response


def _refuse_object(device: Device, path: str) -> None:
    if code := device.behaviour.name_faults.get(path):
        raise RpcFault(code, path)


def _known(device: Device, name: str) -> None:
    if not name or (len(name) <= _LONGEST_NAME and device.tree.node(name) is not None):
        if code := device.behaviour.name_faults.get(name):
            raise RpcFault(code, name)
        return
    raise RpcFault(9005, name[:_LONGEST_NAME])


def has_unknown_name(call: Call) -> bool:
    """Whether the request names a parameter or object that the CPE does not have."""
    named = [each.text or "" for each in call.request.iter("string", "Name", "ParameterPath", "ObjectName")]
    return any(name and call.device.tree.node(name) is None for name in named)


def has_partial_path(call: Call) -> bool:
    """Whether GetParameterValues is asked for all below a path."""
    return any((each.text or "").endswith(".") or not each.text for each in call.request.iter("string"))


def has_empty_path(call: Call) -> bool:
    """Whether GetParameterNames is asked with an empty path."""
    return text_of(call.request, "ParameterPath") == ""
