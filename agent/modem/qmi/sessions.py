"""Data sessions: answers about starting a network, its packet service status and its packet statistics."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from agent.core.errors import ProtocolError
from agent.modem.model import DataSession
from agent.modem.qmi.output import number, required

_KEPT_CLIENT = re.compile(r"Client ID not released:\s*Service: '(?P<service>[^']*)'\s*CID: '(?P<cid>[0-9]{1,3})'")


class ConnectionStatus(StrEnum):
    """State of a session's packet service."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    SUSPENDED = "suspended"
    AUTHENTICATING = "authenticating"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketStatistics:
    """Bytes of a session since it started."""

    rx_bytes: int
    tx_bytes: int


def parse_kept_client_id(text: str, service: str = "wds") -> int | None:
    """The client id that qmicli did not release, from a call that succeeded or failed; None when there is none."""
    for found in _KEPT_CLIENT.finditer(text):
        if found["service"] == service:
            return int(found["cid"])
    return None


def parse_started_session(text: str) -> DataSession:
    """The answer to `--wds-start-network … --client-no-release-cid`; raise ProtocolError when a part is missing."""
    client_id = parse_kept_client_id(text)
    if client_id is None:
        raise ProtocolError("qmicli did not say which client id it kept", text)
    return DataSession(client_id=client_id, packet_data_handle=number(text, "Packet data handle"))


def parse_connection_status(text: str) -> ConnectionStatus:
    """The answer to `--wds-get-packet-service-status`."""
    word = required(text, "Connection status")
    return ConnectionStatus(word) if word in list(ConnectionStatus) else ConnectionStatus.UNKNOWN


def parse_packet_statistics(text: str) -> PacketStatistics:
    """The answer to `--wds-get-packet-statistics`."""
    return PacketStatistics(rx_bytes=number(text, "RX bytes OK"), tx_bytes=number(text, "TX bytes OK"))
