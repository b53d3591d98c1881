"""Where a page of a list begins, as clients carry it about: opaque to them. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from http import HTTPStatus

from agent.web.errors import ApiError


def render_cursor(*parts: str) -> str:
    """`parts` as one word that is safe in a URL."""
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def parse_cursor(text: str, count: int) -> tuple[str, ...]:
    """The `count` parts that `render_cursor` was given; ApiError 400 for anything else."""
    try:
        padded = text + "=" * (-len(text) % 4)
        parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise refuse_cursor() from error
    if not isinstance(parts, list) or len(parts) != count or not all(isinstance(part, str) for part in parts):
        raise refuse_cursor()
    return tuple(parts)


def refuse_cursor() -> ApiError:
    """The answer to a cursor that is none, or belongs to another list."""
    return ApiError(HTTPStatus.BAD_REQUEST, "bad_cursor", "the cursor is not one of this list: begin without one")
