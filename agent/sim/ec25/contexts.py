"""PDP contexts: what `AT+CGDCONT` calls by number, and QMI WDS calls a profile (3GPP TS 27.007 §10.1.1)."""

from __future__ import annotations

from dataclasses import dataclass

MOST_CONTEXTS = 16
KINDS = ("IP", "PPP", "IPV6", "IPV4V6")
"""By QmiWdsPdpType."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One context; it becomes a bearer when it is started."""

    kind: str = "IPV4V6"
    apn: str = ""
    name: str = ""
    username: str = ""
    password: str = ""
    authentication: int = 0
    """QmiWdsAuthentication: 1 PAP, 2 CHAP."""
