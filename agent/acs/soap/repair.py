"""What is done to bytes that are no XML as they came: wrong encodings and illegal characters. Devices send them inside
SSIDs, host names and logs; it is better to lose a character than a device."""

from __future__ import annotations

import re

# Only these, when the bytes are no UTF-8: other codecs of Python's are no charsets, or hide markup (UTF-7).
_CHARSETS = re.compile(
    r"iso-?8859-?\d{1,2}|windows-?125[0-8]|cp125[0-8]|koi8-[ru]|gbk|gb2312|gb18030|big5|euc-?(?:jp|kr)|shift[_-]?jis"
)
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_REFERENCE = re.compile(r"&#(?:x([0-9A-Fa-f]{1,8})|([0-9]{1,8}));")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def _single_byte(byte: int) -> str:
    try:
        return bytes((byte,)).decode("windows-1252")
    except UnicodeDecodeError:
        return chr(byte)


# What "surrogateescape" makes of a byte that is no UTF-8, and the letter it was in Latin-1. Its Windows form, as in
# browsers: it only adds letters where Latin-1 has control characters.
_LATIN_1 = {0xDC00 + byte: _single_byte(byte) for byte in range(0x80, 0x100)}


def repair(data: bytes, charset: str | None) -> bytes:
    """`data` in UTF-8, with U+FFFD for each character that XML does not allow, written out or as a reference.

    Bytes that are no UTF-8 are read in `charset` when that is a known one, else one by one as Latin-1: so a name that
    was cut within a letter does not spoil the other letters.
    """
    text = _ILLEGAL.sub(_REPLACEMENT, _text(data, charset))
    return _REFERENCE.sub(_legal, text).encode()


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
    return data.decode("utf-8", "surrogateescape").translate(_LATIN_1)


def _legal(reference: re.Match[str]) -> str:
    hexadecimal, decimal = reference.groups()
    number = int(hexadecimal, 16) if hexadecimal else int(decimal)
    legal = (
        number in (0x9, 0xA, 0xD)
        or 0x20 <= number <= 0xD7FF
        or 0xE000 <= number <= 0xFFFD
        or 0x10000 <= number <= 0x10FFFF
    )
    return reference.group() if legal else _REPLACEMENT
