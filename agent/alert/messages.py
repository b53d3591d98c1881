"""What people and programs are told of an alert: JSON for webhooks, text for mail, one line for syslog. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.alert.model import Event, RuleKind, Severity, SubjectKind

SIGNATURE_HEADER = "X-Lastmile-Signature"
DELIVERY_HEADER = "X-Lastmile-Delivery"
EVENT_HEADER = "X-Lastmile-Event"
SIGNATURE_SECONDS = 300
"""How old a signature may be that a receiver takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing that happened to one alert."""

    event: Event
    at: datetime
    alert_id: int | None
    """None: a test, or an alert that could not be written down."""
    rule: str
    kind: RuleKind | None
    severity: Severity
    subject_kind: SubjectKind
    subject: str
    host: str | None
    summary: str
    value: float | None
    opened_at: datetime | None
    closed_at: datetime | None


def payload_of(message: Message, page_url: str = "") -> dict[str, Any]:
    """The message as JSON: stored with its delivery, and the body of a webhook."""
    return {
        "event": message.event.value,
        "at": message.at.isoformat(),
        "alert": {
            "id": message.alert_id,
            "rule": message.rule,
            "kind": message.kind.value if message.kind is not None else None,
            "severity": message.severity.value,
            "subject": {"kind": message.subject_kind.value, "name": message.subject, "host": message.host},
            "summary": message.summary,
            "value": message.value,
            "opened_at": _text(message.opened_at),
            "closed_at": _text(message.closed_at),
        },
        "url": link_to(message, page_url),
    }


def read_payload(payload: dict[str, Any]) -> Message:
    """The message that `payload_of` wrote. Raises ValueError, KeyError or TypeError when it is none."""
    alert = payload["alert"]
    return Message(
        event=Event(payload["event"]),
        at=datetime.fromisoformat(payload["at"]),
        alert_id=alert["id"],
        rule=alert["rule"],
        kind=RuleKind(alert["kind"]) if alert["kind"] is not None else None,
        severity=Severity(alert["severity"]),
        subject_kind=SubjectKind(alert["subject"]["kind"]),
        subject=alert["subject"]["name"],
        host=alert["subject"]["host"],
        summary=alert["summary"],
        value=alert["value"],
        opened_at=_time(alert["opened_at"]),
        closed_at=_time(alert["closed_at"]),
    )


def link_to(message: Message, page_url: str) -> str | None:
    """Where a person sees more; None while nobody has said where the pages are."""
    base = page_url.rstrip("/")
    return f"{base}/alerts" if base and message.event is not Event.TEST else base or None


def render_body(message: Message, page_url: str) -> bytes:
    """The body of a webhook."""
    return json.dumps(payload_of(message, page_url), separators=(",", ":"), ensure_ascii=True).encode("ascii")


def sign(secret: str, body: bytes, at_seconds: int) -> str:
    """The value of SIGNATURE_HEADER: `t=TIME,v1=HMAC-SHA256 of "TIME.BODY"`, so that nothing old can be sent again."""
    digest = hmac.new(secret.encode(), f"{at_seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_seconds},v1={digest}"


def is_signed(secret: str, body: bytes, header: str, now_seconds: int) -> bool:
    """What a receiver must check before it believes a message."""
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    told = parts.get("t", "")
    if not told.isascii() or not told.isdigit() or abs(now_seconds - int(told)) > SIGNATURE_SECONDS:
        return False
    return hmac.compare_digest(sign(secret, body, int(told)).encode(), header.encode())


def headline(message: Message) -> str:
    """One line without control characters: the subject of a mail, the text of a syslog message."""
    word = {
        Event.OPENED: message.severity.value.upper(),
        Event.REMINDER: f"{message.severity.value.upper()} STILL",
        Event.CLOSED: "RESOLVED",
        Event.TEST: "TEST",
    }[message.event]
    return " ".join(f"[{word}] {message.summary}".translate(_CONTROLS).split())


def mail_subject(messages: Sequence[Message]) -> str:
    """The subject of a mail with these messages."""
    first = headline(max(messages, key=lambda each: (each.event is not Event.CLOSED, each.severity.rank)))
    return first[:180] if len(messages) == 1 else f"{first[:150]} (and {len(messages) - 1} more)"


def mail_text(messages: Sequence[Message], page_url: str) -> str:
    """The text of a mail with these messages."""
    parts = []
    for message in messages:
        lines = [headline(message), f"  Rule: {message.rule}" if message.rule else ""]
        if message.opened_at is not None:
            lines.append(f"  Since: {message.opened_at:%Y-%m-%d %H:%M:%S} UTC")
        if message.closed_at is not None:
            lines.append(f"  Until: {message.closed_at:%Y-%m-%d %H:%M:%S} UTC")
        parts.append("\n".join(line for line in lines if line))
    link = link_to(messages[0], page_url)
    return "\n\n".join([*parts, *([link] if link else [])]) + "\n"


def syslog_priority(message: Message, facility: int) -> int:
    """PRI of RFC 5424 §6.2.1."""
    level = 5 if message.event in (Event.CLOSED, Event.TEST) else _LEVELS[message.severity]
    return facility * 8 + level


def render_syslog(message: Message, *, facility: int, host: str, process: int) -> bytes:
    """One message of RFC 5424, with its facts as structured data."""
    facts = {
        "event": message.event.value,
        "id": "" if message.alert_id is None else str(message.alert_id),
        "rule": message.rule,
        "kind": message.kind.value if message.kind is not None else "",
        "severity": message.severity.value,
        "subject": message.subject,
        "host": message.host or "",
    }
    data = " ".join(f'{name}="{_escape(value)}"' for name, value in facts.items() if value)
    name = "".join(letter for letter in host if 33 <= ord(letter) <= 126)[:255] or "-"  # printable
    priority = syslog_priority(message, facility)
    head = f"<{priority}>1 {message.at.isoformat()} {name} lastmile {process} {message.event.value}"
    return f"{head} [alert@32473 {data}] \ufeff{headline(message)}".encode()


def _escape(value: str) -> str:
    plain = " ".join(value.translate(_CONTROLS).split())
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


_CONTROLS = dict.fromkeys((*range(32), 127, *range(128, 160), 8232, 8233), " ")
_LEVELS = {Severity.INFO: 6, Severity.WARNING: 4, Severity.CRITICAL: 2}
