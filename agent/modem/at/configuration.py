"""`+CFUN`, `+CMEE`, `+CGEREP`, `+QCFG: "usbnet"` (3GPP TS 27.007 §8.2, §9.1, §10.1.19; Quectel EC2x AT
manual)."""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.errors import ProtocolError
from agent.modem.at.fields import all_parameters, decimal, last_parameters, values


def parse_functionality(lines: Sequence[str]) -> int:
    """The answer to `AT+CFUN?`: 0 minimum, 1 full, 4 radio off."""
    return decimal(values(last_parameters(lines, "CFUN"))[0], "<fun>")


def parse_error_mode(lines: Sequence[str]) -> int:
    """The answer to `AT+CMEE?`."""
    return decimal(values(last_parameters(lines, "CMEE"))[0], "<n>")


def parse_event_reports(lines: Sequence[str]) -> tuple[int, int]:
    """The answer to `AT+CGEREP?`: (mode, buffering); a firmware that leaves the second out means 0."""
    mode, *rest = values(last_parameters(lines, "CGEREP"))
    return decimal(mode, "<mode>"), decimal(rest[0], "<bfr>") if rest else 0


def parse_usbnet(lines: Sequence[str]) -> int:
    """The answer to `AT+QCFG="usbnet"`: 0 QMI, 1 ECM, 2 MBIM, 3 RNDIS."""
    for parameters in all_parameters(lines, "QCFG"):
        fields = values(parameters)
        if fields[0].lower() == "usbnet" and len(fields) > 1:
            return decimal(fields[1], "usbnet")
    raise ProtocolError("no usbnet in the answer")
