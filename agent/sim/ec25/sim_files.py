"""Elementary files of an emulated SIM card (3GPP TS 31.102 §4.2, TS 31.101 §13; ETSI TS 102 221 §8.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.sim.ec25.sim_card import SimCard

MASTER_FILE = 0x3F00
_USIM_FILES = (0x7FFF, 0x7F20)
"""The application's directory, and GSM's, which leads to the same files."""
USIM_AID = bytes.fromhex("a0000000871002ff49ff0589ffffffff")
_NAME_BYTES, _EMPTY = 16, b"\xff"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimFile:
    """A transparent file has one record, its whole content."""

    records: tuple[bytes, ...]
    linear: bool = False
    """Read by record."""
    open_to_all: bool = False
    """Readable before the PIN is entered."""


def swapped_digits(digits: str) -> bytes:
    """Digits two to a byte, the first in the lower half; an odd last one stands alone."""
    padded = digits + "F" * (len(digits) % 2)
    return bytes.fromhex("".join(padded[place + 1] + padded[place] for place in range(0, len(padded), 2)))


def _identity(imsi: str) -> bytes:
    # The low half of the first digit's byte tells the parity (3GPP TS 24.008 §10.5.1.4): 9 is odd, 1 even.
    odd = len(imsi) % 2
    body = swapped_digits(("9" if odd else "1") + imsi)
    return bytes([len(body)]) + body.ljust(8, _EMPTY)


def _root(sim: SimCard) -> Mapping[int, SimFile]:
    application = bytes([0x61, len(USIM_AID) + 2, 0x4F, len(USIM_AID)]) + USIM_AID
    return {
        0x2F00: SimFile(records=(application.ljust(32, _EMPTY),), linear=True, open_to_all=True),
        0x2FE2: SimFile(records=(swapped_digits(sim.iccid).ljust(10, _EMPTY),), open_to_all=True),
    }


def _usim(sim: SimCard) -> Mapping[int, SimFile]:
    return {
        0x6F07: SimFile(records=(_identity(sim.imsi),)),
        0x6F38: SimFile(records=(bytes.fromhex("ffffffff00000000"),)),
        0x6F40: SimFile(records=(_EMPTY * (14 + _NAME_BYTES),), linear=True),
        0x6F46: SimFile(records=(b"\x01" + _EMPTY * _NAME_BYTES,)),
        0x6F60: SimFile(records=(_EMPTY * 3 + bytes(2),)),
        0x6F61: SimFile(records=(_EMPTY * 3 + bytes(2),)),
        # Normal operation; two digits of the network's code.
        0x6FAD: SimFile(records=(bytes([0, 0, 0, 2]),)),
    }


def find_file(sim: SimCard, path: tuple[int, ...], identifier: int) -> SimFile | None:
    """The file of that name in that directory; None when the card has none."""
    if path == (MASTER_FILE,):
        return _root(sim).get(identifier)
    if len(path) == 2 and path[0] == MASTER_FILE and path[1] in _USIM_FILES:
        return _usim(sim).get(identifier)
    return None
