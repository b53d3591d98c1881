"""Names of things, parsed once at the edge and trusted afterwards."""

from __future__ import annotations

import re
from typing import Self

from agent.core.errors import ProtocolError


class _Identifier(str):
    """A string that has passed its pattern; compares and prints as that string."""

    __slots__ = ()
    _pattern: re.Pattern[str] = re.compile("")
    _what = "identifier"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the identifier in `text` (outer white space ignored); raise `ProtocolError` when it is none."""
        stripped = text.strip()
        if not cls._pattern.fullmatch(stripped):
            raise ProtocolError(f"not a valid {cls._what}: {stripped[:40]!r}", stripped)
        return cls(stripped)


class Imei(_Identifier):
    """A modem's equipment identity: 15 digits (3GPP TS 23.003 §6.2.1); the check digit is not enforced,
    since cloned and test equipment gets it wrong."""

    __slots__ = ()
    _pattern = re.compile(r"[0-9]{15}")
    _what = "IMEI"


class Iccid(_Identifier):
    """A SIM card's number: 18 to 20 digits (ITU-T E.118); the filler `F` that `+QCCID` may end in is cut."""

    __slots__ = ()
    _pattern = re.compile(r"[0-9]{18,20}")
    _what = "ICCID"

    @classmethod
    def parse(cls, text: str) -> Self:
        return super().parse(text.strip().strip('"').rstrip("Ff"))


class Imsi(_Identifier):
    """A subscriber's number: 6 to 15 digits (3GPP TS 23.003 §2.2)."""

    __slots__ = ()
    _pattern = re.compile(r"[0-9]{6,15}")
    _what = "IMSI"


class Slot(_Identifier):
    """The physical USB path a modem sits in, as the kernel names it: `1-1.2`."""

    __slots__ = ()
    _pattern = re.compile(r"[0-9]+-[0-9]+(\.[0-9]+)*")
    _what = "USB path"


class Serial(_Identifier):
    """A modem's identity in lastmile: its IMEI, a unique USB iSerial, or `IMEI_SLOT` for the second of two modems
    that claim one IMEI. Safe as a file name, a unit instance and a URL segment."""

    __slots__ = ()
    _pattern = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,63}")
    _what = "modem serial"

    @classmethod
    def for_duplicate(cls, serial: Serial, slot: Slot) -> Serial:
        """The identity of a modem whose `serial` is already taken by another one that is present."""
        return cls.parse(f"{serial}_{slot}")
