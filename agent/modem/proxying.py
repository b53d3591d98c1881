"""What the planner needs to know of a proxy's configuration. Pure."""

from __future__ import annotations

from hashlib import blake2b

_DIGEST_BYTES = 16


def configuration_digest(text: str) -> str:
    """32 hexadecimal digits that name this very text (BLAKE2b): what an instance has loaded is compared by them."""
    return blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()
