"""What all RPC handlers share: the call, reading its arguments, and refusing it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.errors import DeviceError
from agent.sim.cpe.device import Device
from agent.sim.cpe.records import Moment
from agent.sim.cpe.soap import Element, child, children, start, text_of


class RpcFault(DeviceError):
    """The CPE answers with a fault (A.5.1); `parameters` are the SetParameterValuesFaults: name, code, text."""

    def __init__(self, code: int, text: str = "", parameters: tuple[tuple[str, int, str], ...] = ()) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text or FAULT_TEXTS.get(code, "")
        self.parameters = parameters


FAULT_TEXTS = {
    9000: "Method not supported",
    9001: "Request denied",
    9002: "Internal error",
    9003: "Invalid arguments",
    9004: "Resources exceeded",
    9005: "Invalid parameter name",
    9006: "Invalid parameter type",
    9007: "Invalid parameter value",
    9008: "Attempt to set a non-writable parameter",
    9010: "File transfer failure",
    9013: "Unsupported protocol for file transfer",
    9021: "Cancellation of file transfer not permitted in current transfer state",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One RPC to be answered by a device."""

    device: Device
    method: str
    request: Element
    namespace: str
    moment: Moment

    def response(self) -> Element:
        """An empty response of this method, to be filled."""
        return start(self.namespace, self.method + "Response")


def argument(parent: Element, name: str) -> str:
    """The text of an argument; RpcFault 9003 when it is missing."""
    text = text_of(parent, name)
    if text is None:
        raise RpcFault(9003, f"{name} is missing")
    return text


def flag(parent: Element, name: str) -> bool:
    """A boolean argument; RpcFault 9003 when it is missing or none."""
    text = argument(parent, name).strip()
    if text not in {"0", "1", "true", "false"}:
        raise RpcFault(9003, f"{name} is a boolean")
    return text in {"1", "true"}


def number(parent: Element, name: str) -> int:
    """An unsigned argument; RpcFault 9003 when it is missing or none."""
    text = argument(parent, name).strip()
    if not text.isdecimal():
        raise RpcFault(9003, f"{name} is a number")
    return int(text)


def strings(parent: Element, name: str) -> list[str]:
    """The strings of an array argument, at least one; RpcFault 9003 otherwise."""
    return [each.text or "" for each in items(parent, name, "string")]


def items(parent: Element, name: str, item: str) -> list[Element]:
    """The items of an array argument, at least one; RpcFault 9003 otherwise."""
    array = child(parent, name)
    found = [] if array is None else children(array, item)
    if not found:
        raise RpcFault(9003, f"{name} is empty")
    return found
