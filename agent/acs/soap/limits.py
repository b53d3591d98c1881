"""What a message may measure at most. A CPE is not trusted: what is longer, deeper or more is refused, not cut."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one message. Elements may be 256 deep; that one is libxml2's own and cannot be set."""

    size_bytes: int = 8 * 1024 * 1024
    """Of the whole body, after any Content-Encoding. 20,000 parameters take about 4 MB."""
    tags: int = 300_000
    """Start and end tags together. An answer of 20,000 parameters has 120,000, one of 20,000 attributes 200,000."""
    attributes: int = 100
    """Of one element."""
    attributes_in_all: int = 200_000
    """Counted by their `=`, so a text full of them counts too. Every value of an answer has its `xsi:type`."""
    name_length: int = 512
    """Of an element, an attribute or a parameter. The standard has 256 for a parameter."""
    text_length: int = 1024 * 1024
    """Of one value."""
    id_length: int = 256
    """Of the `cwmp:ID`, which is echoed."""
    events: int = 256
    """Of an Inform. The standard has 64."""


LIMITS = Limits()
