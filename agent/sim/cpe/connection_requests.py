"""How CPEs answer connection requests over HTTP (TR-069 A6 §3.2.2): pure, for all CPEs of a process."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from agent.sim.cpe.behaviour import Behaviour
from agent.sim.cpe.http_auth import is_authorized, parse_parameters

_MOST_NONCES = 10_000
_REALM = "IGD"


class Callee(Protocol):
    """What the doorkeeper needs to know of a CPE."""

    @property
    def serial_number(self) -> str: ...
    @property
    def online(self) -> bool: ...
    @property
    def in_session(self) -> bool: ...
    @property
    def behaviour(self) -> Behaviour: ...
    def value(self, below_root: str) -> str: ...
    def gap_seconds(self) -> float:
        """Between two accepted connection requests, real seconds."""


@dataclass(frozen=True, slots=True)
class DoorAnswer:
    """The HTTP answer; `wants_session`: 6 CONNECTION REQUEST follows."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    wants_session: bool = False


class Doorkeeper:
    """Authentication (digest, MD5, each nonce count once) and when a CPE is too busy."""

    def __init__(self) -> None:
        self._nonces: OrderedDict[str, int] = OrderedDict()
        self._accepted_at: dict[str, float] = {}

    def receive(self, callee: Callee, method: str, authorization: str, now: float) -> DoorAnswer:
        """Answer one request; `authorization` is the header's text, empty when there is none."""
        if method != "GET":
            return DoorAnswer(405, (("Allow", "GET"),))
        username = callee.value("ManagementServer.ConnectionRequestUsername")
        password = callee.value("ManagementServer.ConnectionRequestPassword")
        if (username or password) and not self._is_welcome(authorization, username, password):
            return DoorAnswer(401, (("WWW-Authenticate", self._challenge(authorization)),))
        if callee.in_session and callee.behaviour.busy_in_session:
            return DoorAnswer(503)
        accepted_at = self._accepted_at.get(callee.serial_number)
        if accepted_at is not None and now - accepted_at < callee.gap_seconds():
            return DoorAnswer(503)
        self._accepted_at[callee.serial_number] = now
        return DoorAnswer(200, wants_session=not callee.behaviour.deaf)

    def _is_welcome(self, authorization: str, username: str, password: str) -> bool:
        if not is_authorized(authorization, username, password, method="GET", nonces=self._nonces):
            return False
        told = parse_parameters(authorization.partition(" ")[2])
        try:
            count = int(told.get("nc", "0"), 16)
        except ValueError:
            return False
        if count <= self._nonces[told["nonce"]]:
            return False
        self._nonces[told["nonce"]] = count
        return True

    def _challenge(self, authorization: str) -> str:
        nonce = secrets.token_hex(16)
        self._nonces[nonce] = -1
        while len(self._nonces) > _MOST_NONCES:
            self._nonces.popitem(last=False)
        told = parse_parameters(authorization.partition(" ")[2])
        stale = ", stale=true" if told.get("nonce", nonce) not in self._nonces else ""
        return f'Digest realm="{_REALM}", qop="auth", nonce="{nonce}", algorithm=MD5{stale}'
