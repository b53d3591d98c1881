"""How a connection request over HTTP ended, before anybody knows whether the session comes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from agent.acs.connection_request.response import Head

ACCEPTED = (200, 204)
RETRY_AFTER_MOST_SECONDS = 3600.0


class Why(Enum):
    """Why asking again is useless."""

    FORBIDDEN = "the URL is not allowed"
    NO_LOGIN = "the device wants a password, and none is set here"
    NO_SCHEME = "the device wants an authentication that we do not give"
    CREDENTIALS = "the device refuses our user name and password"
    REDIRECT = "the device sends us elsewhere, and that is not followed"
    STATUS = "the device answers with an error"
    PROTOCOL = "the device does not speak HTTP"
    CERTIFICATE = "the device's certificate is not one of a known authority"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The CPE said that it will begin a session. It has not begun it."""

    status: int


@dataclass(frozen=True, slots=True)
class Busy:
    """Later, the CPE says: it is in a session, or was asked too often."""

    reason: str
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Nobody took the request: try again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """No, and it will stay no until somebody changes something."""

    why: Why
    detail: str = ""

    @property
    def reason(self) -> str:
        return f"{self.why.value}: {self.detail}" if self.detail else self.why.value


Outcome = Accepted | Busy | Unreachable | Refused


def judge_answer(head: Head) -> Outcome:
    """What a CPE's last answer means (TR-069 A6 §3.2.2)."""
    status = head.status
    if status in ACCEPTED:
        return Accepted(status)
    match status:
        case 503:
            return Busy("the device is busy (HTTP 503)", _retry_after_seconds(head))
        case 401:
            return Refused(Why.CREDENTIALS, "HTTP 401 again")
        case _ if 300 <= status < 400:
            return Refused(Why.REDIRECT, f"HTTP {status}")
    return Refused(Why.STATUS, f"HTTP {status}")


def _retry_after_seconds(head: Head) -> float | None:
    """Retry-After in seconds (RFC 9110 §10.2.3); a date is not looked at, since a CPE's clock may say anything."""
    text = head.first("retry-after")
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 9:
        return None
    return min(float(text), RETRY_AFTER_MOST_SECONDS)
