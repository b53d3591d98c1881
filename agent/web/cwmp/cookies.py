"""The cookie that names a CPE's session. It is sealed, so that one of somebody's invention is known for what it is
without a look into the database: it opens no door that is closed to those who come without any."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from functools import cached_property

from agent.store.cwmp_rows import SessionKey

NAME = "session"
HEADER_MOST = 4096
_SEAL_LENGTH = 24


class SessionCookies:
    """`fetch_key` gives the secret that all workers share."""

    def __init__(self, fetch_key: Callable[[], bytes]) -> None:
        self._fetch_key = fetch_key

    @cached_property
    def _key(self) -> bytes:
        return self._fetch_key()

    def render(self, key: SessionKey) -> str:
        """The value of a Set-Cookie header."""
        text = key.render()
        return f"{NAME}={text}.{self._seal(text)}; Path=/"

    def find(self, header: str) -> SessionKey | None:
        """The session that a Cookie header names; None when it names none, or one that was never begun here."""
        for pair in header[:HEADER_MOST].split(";"):
            name, _, value = pair.strip().partition("=")
            if name != NAME:
                continue
            text, _, seal = value.strip().strip('"').rpartition(".")
            if (key := SessionKey.parse(text)) is not None and hmac.compare_digest(
                seal.encode(), self._seal(text).encode()
            ):
                return key
        return None

    def _seal(self, text: str) -> str:
        return hmac.digest(self._key, f"session {text}".encode(), hashlib.sha256).hex()[:_SEAL_LENGTH]
