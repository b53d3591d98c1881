"""How a CPE speaks HTTP: the settings that real devices differ in. Values only."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from enum import Enum

from agent.sim.cpe.http_auth import Auth


class Cookies(Enum):
    """What a CPE does with the cookies that its ACS sets; none is kept for the next session."""

    KEPT = "kept"
    LOST_AFTER_INFORM = "lost-after-inform"
    """Sent with a repeated Inform, and not after it."""
    NEVER = "never"


class Coding(Enum):
    """Content-Encoding of what the CPE sends."""

    IDENTITY = ""
    GZIP = "gzip"
    DEFLATE = "deflate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A well-behaved CPE by default. Seconds are real ones, whatever the CPE's `time_scale`."""

    auth: Auth = Auth.NONE
    remembers_nonce: bool = False
    """Goes on with the last session's challenge; else every session begins without authentication."""
    cookies: Cookies = Cookies.KEPT
    new_connection_per_post: bool = False
    http_1_0: bool = False
    coding: Coding = Coding.IDENTITY
    chunked: bool = False
    follows_redirects: bool = True
    empty_first_post: bool = False
    """Sends an empty POST before the Inform, to be challenged."""
    content_type: str | None = 'text/xml; charset="utf-8"'
    soap_action: str | None = '""'
    user_agent: str = "emulated-cpe"
    cwmp_version: str = "1.2"
    """1.0 to 1.4."""
    timeout_seconds: float = 30.0
    """For a connection, and for each answer."""
    tls: ssl.SSLContext | None = None
    """For https URLs; None: Python's default context."""
