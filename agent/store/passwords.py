"""Passwords of people: argon2id (RFC 9106 §4, the second recommended choice), few at a time."""

from __future__ import annotations

import secrets
import threading
import unicodedata

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from agent.core.errors import ConfigError, TransientError

LENGTH_LEAST = 12
LENGTH_MOST = 256
AT_ONCE = 2
"""Each takes 64 MiB and a core for a moment: strangers must not be able to have many."""
PATIENCE_SECONDS = 10.0


class WeakPasswordError(ConfigError):
    """A password that is too short, too long, or says the account's name."""


class Passwords:
    """Makes and checks what is kept of passwords; usable by many threads."""

    def __init__(self, *, time_cost: int = 3, memory_kib: int = 65_536, lanes: int = 4) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=lanes, type=Type.ID)
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._decoy = ""

    def hash(self, password: str) -> str:
        """What is kept of a password. Raises TransientError when too many wait."""
        self._enter()
        try:
            return self._hasher.hash(_normal(password))
        finally:
            self._places.release()

    def matches(self, kept: str | None, password: str) -> bool:
        """Whether this is the password; as slow when there is none to compare with.

        Raises TransientError when too many wait."""
        known = kept if kept is not None else self._decoy_hash()
        self._enter()
        try:
            self._hasher.verify(known, _normal(password))
            return kept is not None
        except (VerificationError, InvalidHashError):
            return False
        finally:
            self._places.release()

    def outdated(self, kept: str) -> bool:
        """Whether it was made with other costs than today's."""
        return self._hasher.check_needs_rehash(kept)

    def _decoy_hash(self) -> str:
        with self._lock:
            if not self._decoy:
                self._decoy = self._hasher.hash(secrets.token_hex(16))
            return self._decoy

    def _enter(self) -> None:
        if not self._places.acquire(timeout=PATIENCE_SECONDS):
            raise TransientError("too many passwords wait to be checked")


def check_password(password: str, name: str) -> None:
    """Raise WeakPasswordError when nobody should use this password.

    Length is what counts (NIST SP 800-63B §3.1.1.2)."""
    normal = _normal(password)
    if not LENGTH_LEAST <= len(normal) <= LENGTH_MOST:
        raise WeakPasswordError(f"a password has {LENGTH_LEAST} to {LENGTH_MOST} characters")
    lowered = normal.lower()
    if len(set(lowered)) < 5 or lowered.replace(name.lower(), "").strip("0123456789!?.- ") == "":
        raise WeakPasswordError("this password is too easy to guess")


def _normal(password: str) -> str:
    return unicodedata.normalize("NFC", password).encode("utf-8", "backslashreplace").decode()
