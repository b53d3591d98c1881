"""Random tokens, and what is kept of them."""

from __future__ import annotations

import hashlib
import secrets

RANDOM_BYTES = 32


def make_token(prefix: str = "") -> str:
    """`prefix` and 43 random characters that are good in URLs, cookies and headers."""
    return prefix + secrets.token_urlsafe(RANDOM_BYTES)


def digest(text: str) -> bytes:
    """What is kept of a token.

    A plain digest is right here, and a slow password hash would be wrong: a token is 256 random bits, so there is
    nothing to guess from a stolen table, while every request pays for the check."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()
