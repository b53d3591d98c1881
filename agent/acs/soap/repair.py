"""What is done to bytes that are no XML as they came: wrong encodings and illegal characters. Devices send them inside
SSIDs, host names and logs; it is better to lose a character than a device."""

from __future__ import annotations

import re

# Only these, when the bytes are no UTF-8: other codecs of Python's are no charsets, or hide markup (UTF-7).
_CHARSETS = re.compile(
    r"iso-?8859-?\d{1,2}|windows-?125[0-8]|cp125[0-8]|koi8-[ru]|gbk|gb2312|gb18030|big5|euc-?(?:jp|kr)|shift[_-]?jis"
)
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()
_CONTROLS = bytes(range(9)) + b"\x0b\x0c" + bytes(range(14, 32))
_CONTROLS_TO_NUL = bytes.maketrans(_CONTROLS, b"\0" * len(_CONTROLS))
_REFERENCE = re.compile(rb"&#(?:x([0-9A-Fa-f]{1,8})|([0-9]{1,8}));")
_REFERENCES_MOST = 50_000
# What "surrogateescape" makes of bytes that are no UTF-8.
_NO_UTF_8 = re.compile("[\udc80-\udcff]+")
_NO_UTF_8_MOST = 10_000


def repair(data: bytes, charset: str | None) -> bytes:
    """`data` in UTF-8, with U+FFFD for each character that XML does not allow, written out or as a reference.

    Bytes that are no UTF-8 are read in `charset` when that is a known one. Else those bytes are read as Latin-1 and the
    others as UTF-8, so that a name that was cut within a letter does not spoil the other letters.
    """
    clean = _text(data, charset).encode().translate(_CONTROLS_TO_NUL).replace(b"\0", _REPLACEMENT)
    # U+FFFE and U+FFFF.
    clean = clean.replace(b"\xef\xbf\xbe", _REPLACEMENT).replace(b"\xef\xbf\xbf", _REPLACEMENT)
    return clean if clean.count(b"&#") > _REFERENCES_MOST else _REFERENCE.sub(_legal, clean)


def _text(data: bytes, charset: str | None) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    if charset is not None and _CHARSETS.fullmatch(charset.strip().lower()):
        try:
            return data.decode(charset.strip(), "replace")
        except LookupError:
            pass
    mixed = data.decode("utf-8", "surrogateescape")
    if len(data) - len(mixed.encode("utf-8", "ignore")) > _NO_UTF_8_MOST:
        return data.decode("latin-1")
    return _NO_UTF_8.sub(lambda found: found[0].encode("utf-8", "surrogateescape").decode("latin-1"), mixed)


def _legal(reference: re.Match[bytes]) -> bytes:
    hexadecimal, decimal = reference.groups()
    number = int(hexadecimal, 16) if hexadecimal else int(decimal)
    legal = (
        number in (0x9, 0xA, 0xD)
        or 0x20 <= number <= 0xD7FF
        or 0xE000 <= number <= 0xFFFD
        or 0x10000 <= number <= 0x10FFFF
    )
    return reference[0] if legal else _REPLACEMENT
