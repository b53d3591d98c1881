"""The SIM card in an emulated modem: present or not, locked or not, with a real card's count of tries."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

PIN_TRIES = 3
PUK_TRIES = 10


class CardLock(Enum):
    """What the card asks for; the value is `AT+CPIN?`'s word (3GPP TS 27.007 §8.3)."""

    NONE = "READY"
    PIN = "SIM PIN"
    PUK = "SIM PUK"


@dataclass(slots=True, kw_only=True)
class SimCard:
    """One card; a power cycle locks it again when its PIN is enabled."""

    iccid: str
    imsi: str
    present: bool = True
    powered: bool = True
    """QMI can take its power away while the modem runs on."""
    pin: str | None = None
    """None: the PIN is disabled."""
    puk: str = "12345678"
    lock: CardLock = CardLock.NONE
    pin_tries_left: int = PIN_TRIES
    puk_tries_left: int = PUK_TRIES
    pins_entered: int = 0
    """How many PINs it was ever given, right or wrong."""

    @property
    def usable(self) -> bool:
        """Whether the network can be asked with it."""
        return self.present and self.powered and self.lock is CardLock.NONE

    @property
    def dead(self) -> bool:
        """Whether even the PUK was wrong too often."""
        return self.puk_tries_left == 0

    def power_cycle(self) -> None:
        """The card was without power: an enabled PIN is asked for again."""
        self.powered = True
        if self.pin_tries_left == 0:
            self.lock = CardLock.PUK
        elif self.pin is not None:
            self.lock = CardLock.PIN
        else:
            self.lock = CardLock.NONE

    def enter_pin(self, pin: str) -> bool:
        """Try a PIN; three wrong ones in a row block it."""
        self.pins_entered += 1
        if pin == self.pin:
            self.lock, self.pin_tries_left = CardLock.NONE, PIN_TRIES
            return True
        self.pin_tries_left -= 1
        if self.pin_tries_left == 0:
            self.lock = CardLock.PUK
        return False

    def enter_puk(self, puk: str, new_pin: str) -> bool:
        """Try the PUK; the right one sets a new PIN."""
        if self.dead:
            return False
        if puk == self.puk:
            self.pin, self.lock = new_pin, CardLock.NONE
            self.pin_tries_left, self.puk_tries_left = PIN_TRIES, PUK_TRIES
            return True
        self.puk_tries_left -= 1
        return False

    def change_pin(self, old: str, new: str) -> bool:
        """Give an enabled PIN another value; costs a try when the old one is wrong."""
        if not self.enter_pin(old):
            return False
        self.pin = new
        return True

    def protect(self, pin: str, *, enabled: bool) -> bool:
        """Have the card ask for its PIN after each power cycle, or not; costs a try when the PIN is wrong."""
        if enabled and self.pin is None:
            self.pin = pin
            return True
        if not self.enter_pin(pin):
            return False
        if not enabled:
            self.pin = None
        return True

    def block(self) -> None:
        """Three wrong PINs were entered elsewhere."""
        self.pin = self.pin or "0000"
        self.lock, self.pin_tries_left = CardLock.PUK, 0
