"""Nonces that any worker can check without having made them: a time, some randomness, and a seal on both."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

RANDOM_BYTES = 6
_SEAL_LENGTH = 24
_LENGTH = 14 + 2 * RANDOM_BYTES + _SEAL_LENGTH


@dataclass(frozen=True, slots=True)
class Age:
    """How old a nonce is, when it is one of ours."""

    seconds: float


def make_nonce(key: bytes, now: float, random: bytes) -> str:
    """A nonce made at `now` (seconds since the epoch) with `RANDOM_BYTES` of randomness."""
    head = f"{int(now * 1e6):014x}{random[:RANDOM_BYTES].hex()}"
    return head + _seal(key, head)


def age_of(key: bytes, nonce: str, now: float) -> Age | None:
    """The age of a nonce; None when it was not made with `key`."""
    if len(nonce) != _LENGTH or not nonce.isascii():
        return None
    head, seal = nonce[:-_SEAL_LENGTH], nonce[-_SEAL_LENGTH:]
    if not hmac.compare_digest(seal, _seal(key, head)):
        return None
    return Age(now - int(head[:14], 16) / 1e6)


def _seal(key: bytes, head: str) -> str:
    return hmac.digest(key, head.encode(), hashlib.sha256).hex()[:_SEAL_LENGTH]
