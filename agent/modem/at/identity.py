"""`ATI`, `+CGSN`, `+QGMR` (3GPP TS 27.007 §5.4; Quectel EC2x AT manual §2)."""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.errors import ProtocolError
from agent.core.identifiers import Imei
from agent.modem.at.fields import name_of, sole_line
from agent.modem.model import Identity

_REVISION = "Revision:"


def parse_ati(lines: Sequence[str]) -> Identity:
    """The answer to `ATI`: manufacturer, model and revision; the IMEI is not in it."""
    bare = [line for line in lines if name_of(line) is None]
    words = [line for line in bare if ":" not in line]
    if len(words) < 2:
        raise ProtocolError("no manufacturer and model in the answer to ATI")
    revision = next((line[len(_REVISION) :].strip() for line in bare if line.startswith(_REVISION)), "")
    return Identity(imei=None, manufacturer=words[0], model=words[1], revision=revision)


def parse_imei(lines: Sequence[str]) -> Imei:
    """The answer to `AT+CGSN` (or `AT+GSN`)."""
    return Imei.parse(sole_line(lines, "CGSN"))


def parse_revision(lines: Sequence[str]) -> str:
    """The answer to `AT+QGMR` (or `AT+CGMR`)."""
    return sole_line(lines, "QGMR")
