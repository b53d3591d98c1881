"""A CPE's answers taken apart, independently of how the emulator reads messages."""

from __future__ import annotations

from lxml import etree

from agent.sim.cpe.answering import answer
from agent.sim.cpe.device import Device
from agent.sim.cpe.records import Moment
from agent.sim.cpe.rpc import Call
from agent.sim.cpe.session_run import present
from agent.sim.cpe.soap import parse_message
from tests.sim.cpe.scripted_acs import NAMESPACE, envelope


class Told:
    """The RPC element in a message of a CPE."""

    def __init__(self, message: bytes | etree._Element) -> None:
        self.root = etree.fromstring(message) if isinstance(message, bytes) else message
        body = next(each for each in self.root if str(each.tag).endswith("}Body"))
        self.content = body[0]
        self.method = etree.QName(self.content).localname

    def texts(self, path: str) -> list[str]:
        """The texts of all elements that a path such as `.//Name` finds."""
        return [each.text or "" for each in self.content.findall(path)]

    def text(self, path: str) -> str:
        found = self.texts(path)
        assert len(found) == 1, (path, found)
        return found[0]

    @property
    def values(self) -> dict[str, str]:
        """Of a ParameterList."""
        structs = self.content.findall(".//ParameterValueStruct")
        return {each.findtext("Name") or "": each.findtext("Value") or "" for each in structs}

    @property
    def events(self) -> list[tuple[str, str]]:
        structs = self.content.findall(".//EventStruct")
        return [(each.findtext("EventCode") or "", each.findtext("CommandKey") or "") for each in structs]

    @property
    def fault(self) -> int:
        """The fault code; 0 when it is no fault."""
        if self.method != "Fault":
            return 0
        return int(self.content.findtext("detail/{*}Fault/FaultCode") or 0)

    @property
    def value_faults(self) -> dict[str, int]:
        """The SetParameterValuesFaults."""
        found = self.content.findall("detail/{*}Fault/SetParameterValuesFault")
        return {each.findtext("ParameterName") or "": int(each.findtext("FaultCode") or 0) for each in found}


def ask(device: Device, content: str, *, moment: Moment | None = None, namespace: str = NAMESPACE) -> Told:
    """What a device answers to an RPC, without HTTP."""
    message = parse_message(envelope(content, namespace=namespace))
    call = Call(device, message.method, message.body, namespace, moment or present())
    return Told(answer(call, message.id).body)
