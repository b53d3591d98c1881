"""Why a qmicli call failed, in words a caller can act on (libqmi's QmiProtocolError; 3GPP TS 24.008 §10.5.6.6)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from agent.modem.qmi.output import meaningful_lines


class FailureKind(Enum):
    """What a caller treats differently."""

    REFUSED = auto()
    """The modem's QMI service said no: `name` says why."""
    TIMEOUT = auto()
    """The modem did not answer libqmi in time."""
    HANGUP = auto()
    """The control port is gone, or qmi-proxy holds a dead handle of it."""
    UNAVAILABLE = auto()
    """The device could not be opened, or anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QmiFailure:
    """The first error of one call."""

    kind: FailureKind
    message: str
    name: str = ""
    """libqmi's word, such as `CallFailed`; empty unless REFUSED."""
    code: int | None = None
    reason: str | None = None
    """Of a call that ended, for a person: `unknown APN (3gpp 27)`."""


NO_EFFECT = "NoEffect"
OUT_OF_CALL = "OutOfCall"
INVALID_CLIENT_ID = "InvalidClientId"
INVALID_HANDLE = "InvalidHandle"
CLIENT_IDS_EXHAUSTED = "ClientIdsExhausted"
CALL_FAILED = "CallFailed"

_NAMES = {
    1: "MalformedMessage",
    3: "Internal",
    4: "Aborted",
    5: CLIENT_IDS_EXHAUSTED,
    7: INVALID_CLIENT_ID,
    9: INVALID_HANDLE,
    10: "InvalidProfile",
    14: CALL_FAILED,
    15: OUT_OF_CALL,
    16: "NotProvisioned",
    26: NO_EFFECT,
    52: "DeviceNotReady",
    71: "InvalidQmiCommand",
    74: "InformationUnavailable",
    94: "NotSupported",
}

CALL_END_TEXTS = {
    8: "operator determined barring",
    25: "LLC or SNDCP failure",
    26: "the network has no resources",
    27: "unknown APN",
    28: "unknown PDP address or type",
    29: "authentication failed",
    30: "rejected by the gateway",
    31: "rejected by the network",
    32: "service option not supported",
    33: "the SIM is not subscribed to this service",
    34: "service option temporarily out of order",
    36: "ended by the network",
    38: "network failure",
    50: "IPv4 only allowed",
    51: "IPv6 only allowed",
    55: "several connections to one APN are not allowed",
}
"""Reasons of the type `3gpp` (6)."""
_TYPE_3GPP = 6

_PROTOCOL_ERROR = re.compile(r"QMI protocol error(?: \((?P<code>[0-9]{1,5})\))?: '(?P<name>[^']*)'")
_REASON = re.compile(r"(?<!verbose )call end reason \((?P<code>[0-9]{1,5})\): (?P<word>.*)")
_VERBOSE_REASON = re.compile(
    r"verbose call end reason \((?P<type>[0-9]{1,5}),(?P<code>-?[0-9]{1,5})\): \[(?P<kind>[^\]]*)\] (?P<word>.*)"
)
_HANGUP = re.compile(r"endpoint hangup|connection broken|broken pipe", re.IGNORECASE)
_TIMEOUT = re.compile(r"timed out|timeout", re.IGNORECASE)
_MESSAGE_LIMIT = 300


def parse_failure(text: str) -> QmiFailure:
    """The failure in what qmicli printed (both streams together); UNAVAILABLE when it names none that is known."""
    lines = tuple(meaningful_lines(text))
    first = next((line for line in lines if "error: " in line or "QMI protocol error" in line), "")
    message = (first.partition("error: ")[2] or first or " ".join(lines)).strip()[:_MESSAGE_LIMIT]
    refusal = _PROTOCOL_ERROR.search(first)
    if refusal:
        code = int(refusal["code"]) if refusal["code"] else None
        name = refusal["name"] if refusal["name"] not in ("", "(null)") else _NAMES.get(code or 0, f"error {code}")
        return QmiFailure(kind=FailureKind.REFUSED, message=message, name=name, code=code, reason=call_end_reason(text))
    if _HANGUP.search(first):
        return QmiFailure(kind=FailureKind.HANGUP, message=message)
    if _TIMEOUT.search(first):
        return QmiFailure(kind=FailureKind.TIMEOUT, message=message)
    return QmiFailure(kind=FailureKind.UNAVAILABLE, message=message or "qmicli failed and said nothing")


def call_end_reason(text: str) -> str | None:
    """Why a call ended, for a person; the verbose reason where there is one. None when nothing was printed."""
    if verbose := _VERBOSE_REASON.search(text):
        code = int(verbose["code"])
        known = CALL_END_TEXTS.get(code) if int(verbose["type"]) == _TYPE_3GPP else None
        word = known or _word(verbose["word"])
        kind = _word(verbose["kind"]) or f"type {verbose['type']}"
        return f"{word} ({kind} {code})" if word else f"{kind} {code}"
    if plain := _REASON.search(text):
        word = _word(plain["word"])
        return f"{word} ({plain['code']})" if word else f"reason {plain['code']}"
    return None


def _word(text: str) -> str:
    stripped = text.strip()
    return "" if stripped == "(null)" else stripped
