"""The final answer to one AT command."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AtResponse:
    """A command that the modem accepted: its information lines, without echo, URCs and line ends."""

    command: str
    lines: tuple[str, ...]
    final: str
    """`OK` or `CONNECT …`; refusals are raised as CmeError or CmsError instead."""
