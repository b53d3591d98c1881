"""Text into XML (XML 1.0 §2.2, §2.4, §2.11)."""

from __future__ import annotations

import re

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escape(text: str) -> str:
    """`text` as the content of an element.

    Raises ValueError for a character that XML cannot carry, such as U+0000 or half a surrogate pair: nobody wants it
    changed behind his back.
    """
    # Printable ASCII, as almost everything is, takes a tenth of the time.
    if text.isascii() and text.isprintable():
        return _with_references(text)
    illegal = _ILLEGAL.search(text)
    if illegal is not None:
        raise ValueError(f"U+{ord(illegal[0]):04X} cannot be sent: XML has no way to write it")
    # Written as it is, a carriage return would be read as a line feed.
    return _with_references(text).replace("\r", "&#13;")


def _with_references(text: str) -> str:
    if "&" in text or "<" in text or ">" in text:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text
