"""Who an emulated CPE is: what makes it another one than its neighbour of the same model."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import quote

from agent.core.errors import ConfigError
from agent.sim.cpe.model import MAC_ADDRESS, NO_MAC_ADDRESS, Origin

MOST_CPES = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One CPE. The serial number is the model's with other last eight digits: four of the seed, four of the number."""

    origin: Origin
    serial_number: str
    number: int

    @classmethod
    def of(cls, origin: Origin, number: int, seed: str = "") -> Identity:
        """CPE `number` (0 to 65534) of a fleet; the same `seed` gives the same serial numbers. ConfigError beyond."""
        if not 0 <= number < MOST_CPES:
            raise ConfigError(f"CPE {number}: 0 to {MOST_CPES - 1} is wanted")
        fleet = hashlib.sha256(seed.encode()).hexdigest()[:4].upper()
        return cls(origin=origin, serial_number=f"{origin.serial_number[:-8]}{fleet}{number:04X}", number=number)

    @property
    def device_id(self) -> str:
        """OUI-ProductClass-SerialNumber, percent-encoded."""
        parts = (self.origin.oui, self.origin.product_class, self.serial_number)
        return "-".join(quote(part, safe="").replace("-", "%2D") for part in parts)

    @property
    def address(self) -> str:
        """The CPE's own address where the model's device had its."""
        return f"10.{(self.number + 1) >> 8}.{(self.number + 1) & 255}.10"

    def personal(self, value: str) -> str:
        """A value of the model with this CPE's serial number, address and MAC addresses in it."""
        value = value.replace(self.origin.serial_number[-8:], self.serial_number[-8:])
        value = value.replace(self.origin.address, self.address)
        return MAC_ADDRESS.sub(self._mac_address, value)

    def _mac_address(self, found: re.Match[str]) -> str:
        # The fourth and fifth byte tell CPEs apart; the others tell the interfaces of one CPE apart.
        if (old := found[0]) == NO_MAC_ADDRESS:
            return old
        told = bytearray.fromhex(old.replace(":", ""))
        told[3] ^= (self.number + 1) >> 8
        told[4] ^= (self.number + 1) & 255
        text = told.hex(":")
        return text if old == old.lower() else text.upper()
