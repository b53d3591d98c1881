"""The answers to `--dms-get-ids`, `--dms-get-operating-mode`, `--dms-get-revision`."""

from __future__ import annotations

from agent.core.errors import ProtocolError
from agent.core.identifiers import Imei
from agent.modem.qmi.output import optional, required


def parse_imei(text: str) -> Imei | None:
    """The IMEI among the ids; None when the device has none or shows a placeholder."""
    value = optional(text, "IMEI")
    if value is None or not value.strip("0") or value == "unknown":
        return None
    return Imei.parse(value)


def parse_operating_mode(text: str) -> str:
    """libqmi's word for the mode: `online`, `low-power`, `offline`, …"""
    return required(text, "Mode")


def parse_revision(text: str) -> str:
    """The firmware revision; raise ProtocolError when it is empty."""
    value = required(text, "Revision")
    if not value:
        raise ProtocolError("qmicli printed an empty revision", text)
    return value
