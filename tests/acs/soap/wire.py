"""Messages written by hand, as a CPE might write them."""

from __future__ import annotations

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
ENC = "http://schemas.xmlsoap.org/soap/encoding/"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XSD = "http://www.w3.org/2001/XMLSchema"
CWMP = "urn:dslforum-org:cwmp-1-0"
DEVICE_ID = (
    "<DeviceId><Manufacturer>M</Manufacturer><OUI>001122</OUI><ProductClass>P</ProductClass>"
    "<SerialNumber>S1</SerialNumber></DeviceId>"
)
INFORM = f"<cwmp:Inform>{DEVICE_ID}</cwmp:Inform>"


def envelope(body: str, *, header: str = "", namespace: str = CWMP, more: str = "") -> bytes:
    """`body` in an envelope with the usual prefixes; `more` goes into its first tag."""
    head = f"<s:Header>{header}</s:Header>" if header else ""
    return (
        f'<s:Envelope xmlns:s="{SOAP}" xmlns:enc="{ENC}" xmlns:xsi="{XSI}" xmlns:xsd="{XSD}"'
        f' xmlns:cwmp="{namespace}"{more}>{head}<s:Body>{body}</s:Body></s:Envelope>'
    ).encode()


def values(structs: str) -> bytes:
    """A GetParameterValuesResponse with these structs."""
    return envelope(
        f"<cwmp:GetParameterValuesResponse><ParameterList>{structs}</ParameterList></cwmp:GetParameterValuesResponse>"
    )


def value(name: str, inner: str) -> str:
    return f"<ParameterValueStruct><Name>{name}</Name>{inner}</ParameterValueStruct>"
