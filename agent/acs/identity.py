"""Who a CPE is: the DeviceIdStruct of its Inform, and the device id made from it (TR-069 A6, Table 36)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote

from agent.core.errors import ProtocolError

OUI_MOST, PRODUCT_CLASS_MOST, SERIAL_NUMBER_MOST, MANUFACTURER_MOST = 6, 64, 64, 64
DEVICE_ID_MOST = 1000
"""A character of another script becomes up to twelve; the database takes no longer id."""
_PLAIN = re.compile(r"[A-Za-z0-9_]*")
_OUI = re.compile(r"[0-9A-Za-z]{1,6}")
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceIdentity:
    """What an Inform says of its sender."""

    oui: str
    """Six hexadecimal digits by the standard; as the CPE writes it, since ids must stay what they were elsewhere."""
    product_class: str
    """May be empty."""
    serial_number: str
    manufacturer: str = ""

    @classmethod
    def parse(cls, *, oui: str, product_class: str, serial_number: str, manufacturer: str = "") -> Self:
        """Return the identity, white space around each part dropped.

        Raises ProtocolError unless OUI and serial number are there, and no part is longer than the standard allows or
        has control characters: the parts are names in our database. An OUI of other letters is let through.
        """
        parts = {
            "OUI": (oui.strip(), OUI_MOST),
            "ProductClass": (product_class.strip(), PRODUCT_CLASS_MOST),
            "SerialNumber": (serial_number.strip(), SERIAL_NUMBER_MOST),
            "Manufacturer": (manufacturer.strip(), MANUFACTURER_MOST),
        }
        for name, (text, most) in parts.items():
            if len(text) > most or _CONTROL.search(text):
                raise ProtocolError(f"{name} of the DeviceId is not valid", text)
        if not _OUI.fullmatch(parts["OUI"][0]):
            raise ProtocolError("the DeviceId has no OUI of up to six letters and digits", parts["OUI"][0])
        if not parts["SerialNumber"][0]:
            raise ProtocolError("the DeviceId has no SerialNumber")
        identity = cls(
            oui=parts["OUI"][0],
            product_class=parts["ProductClass"][0],
            serial_number=parts["SerialNumber"][0],
            manufacturer=parts["Manufacturer"][0],
        )
        if len(identity.device_id) > DEVICE_ID_MOST:
            raise ProtocolError("the DeviceId is too long when written as a device id", identity.serial_number)
        return identity

    @property
    def device_id(self) -> str:
        """`OUI-ProductClass-SerialNumber`, or `OUI-SerialNumber` without a product class; each part percent-encoded
        but for letters, digits and `_`, as GenieACS has it. So the parts can be told apart again."""
        parts = (
            (self.oui, self.product_class, self.serial_number) if self.product_class else (self.oui, self.serial_number)
        )
        return "-".join(_encode(part) for part in parts)


def parts_of(device_id: str) -> tuple[str, str, str]:
    """OUI, product class and serial number of a device id; raises ProtocolError when it is none."""
    match [unquote(part) for part in device_id.split("-")]:
        case [oui, product_class, serial_number] if oui and product_class and serial_number:
            return oui, product_class, serial_number
        case [oui, serial_number] if oui and serial_number:
            return oui, "", serial_number
    raise ProtocolError("not a device id (OUI-ProductClass-SerialNumber)", device_id)


def _encode(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return "".join(
        char
        if char.isascii() and (char.isalnum() or char == "_")
        else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in text
    )
