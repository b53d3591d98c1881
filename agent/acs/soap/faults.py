"""SOAP faults that carry a CWMP fault (TR-069 A6 §3.5, §A.5)."""

from __future__ import annotations

from collections.abc import Iterator

from agent.acs.soap.control import Fault
from agent.acs.soap.document import Element
from agent.acs.soap.escape import escape
from agent.acs.soap.limits import Limits
from agent.acs.soap.reading import children_of, local_name, text_of
from agent.acs.soap.structs import ParameterFault, SoapFaultCode
from agent.core.errors import ProtocolError

_FAULT_STRING = "CWMP fault"


def read_fault(element: Element, limits: Limits) -> Fault:
    """The fault in the body of an envelope.

    Without a `cwmp:Fault` inside, the code is empty and the text that of SOAP. The code is what was written, be it a
    number or not. Raises ProtocolError when a text is too long.
    """
    outer = _texts(element, limits)
    inner = _texts(cwmp_fault(element), limits)
    parameters = []
    # In `cwmp:Fault` by the schema; beside it in the `detail` of some devices.
    for each in element.iter("{*}SetParameterValuesFault"):
        texts = _texts(each, limits)
        parameters.append(
            ParameterFault(
                name=_short("ParameterName", texts, limits),
                code=_short("FaultCode", texts, limits),
                string=texts.get("FaultString", ""),
            )
        )
    server = outer.get("faultcode", "").rpartition(":")[2].strip().lower() == "server"
    return Fault(
        code=_short("FaultCode", inner, limits),
        string=inner.get("FaultString", outer.get("faultstring", "")),
        parameters=tuple(parameters),
        soap_code=SoapFaultCode.SERVER if server else SoapFaultCode.CLIENT,
    )


def cwmp_fault(element: Element) -> Element:
    """The CWMP fault in a SOAP fault; `element` itself when there is none."""
    return next(_inner_faults(element), element)


def _inner_faults(element: Element) -> Iterator[Element]:
    yield from element.iterdescendants("{*}Fault")
    # The codes right in `detail`.
    for code in element.iterdescendants("{*}FaultCode"):
        parent = code.getparent()
        if parent is not None and local_name(parent) != "SetParameterValuesFault":
            yield parent


def _texts(element: Element, limits: Limits) -> dict[str, str]:
    return {name: text_of(children[-1], limits) for name, children in children_of(element).items()}


def _short(name: str, texts: dict[str, str], limits: Limits) -> str:
    text = texts.get(name, "").strip()
    if len(text) > limits.name_length:
        raise ProtocolError(f"{name} is longer than {limits.name_length} letters")
    return text


def render_fault(fault: Fault) -> str:
    """The fault as the body of an envelope. Raises ValueError for what cannot be written."""
    parameters = "".join(
        [
            f"<SetParameterValuesFault><ParameterName>{escape(each.name)}</ParameterName>"
            f"<FaultCode>{escape(each.code)}</FaultCode><FaultString>{escape(each.string)}</FaultString>"
            "</SetParameterValuesFault>"
            for each in fault.parameters
        ]
    )
    return (
        f"<SOAP-ENV:Fault><faultcode>{fault.soap_code.value}</faultcode><faultstring>{_FAULT_STRING}</faultstring>"
        f"<detail><cwmp:Fault><FaultCode>{escape(fault.code)}</FaultCode>"
        f"<FaultString>{escape(fault.string)}</FaultString>{parameters}</cwmp:Fault></detail></SOAP-ENV:Fault>"
    )
