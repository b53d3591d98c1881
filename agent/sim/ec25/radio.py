"""The cell an emulated modem hears, and a signal that drifts slowly and the same way for the same seed."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

_SLOW_PERIOD_SECONDS = 420.0
_QUICK_PERIOD_SECONDS = 47.0
LTE_BANDS = 0x1A0_0808_00D5
"""What the EC25-EUX can, bit 0 for band 1: 1, 3, 5, 7, 8, 20, 28, 38, 40 and 41."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """An LTE cell."""

    mcc: str
    mnc: str
    operator: str
    tac: int
    cell_id: int
    physical_id: int
    band: int
    earfcn: int

    @property
    def plmn(self) -> str:
        return self.mcc + self.mnc


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which cells the modem may look for; masks as QMI NAS has them."""

    modes: int = 0x1C
    """QmiNasRatModePreference: GSM, UMTS and LTE."""
    lte_bands: int = LTE_BANDS
    plmn: str | None = None
    """The only network that will do; None: any."""

    def finds(self, cell: Cell) -> bool:
        """Whether a cell is among them; the air has LTE only."""
        return bool(self.modes & 0x10 and self.lte_bands >> cell.band - 1 & 1) and self.plmn in (None, cell.plmn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What the modem measures at one moment, in whole dB(m) as the firmware reports it."""

    rssi_dbm: int
    rsrp_dbm: int
    rsrq_db: int
    sinr_db: int


_OPERATORS = (("262", "01", "Telekom.de"), ("262", "02", "Vodafone.de"), ("262", "03", "o2 - de"))
_BANDS = ((3, 1300), (7, 3100), (20, 6300))


def cell_for(seed: int) -> Cell:
    """A cell for a modem with that seed."""
    chance = random.Random(seed)
    mcc, mnc, operator = chance.choice(_OPERATORS)
    band, earfcn = chance.choice(_BANDS)
    return Cell(
        mcc=mcc,
        mnc=mnc,
        operator=operator,
        tac=chance.randrange(0x1000, 0xFFFE),
        cell_id=chance.randrange(0x0010_0000, 0x0FFF_FFFF),
        physical_id=chance.randrange(504),
        band=band,
        earfcn=earfcn,
    )


class Radio:
    """The air around one modem."""

    def __init__(self, seed: int) -> None:
        self.cell = cell_for(seed)
        self.silent = False
        """No signal at all."""
        self.selection = Selection()
        chance = random.Random(seed ^ 0x5151)
        self._middle_rsrp_dbm = chance.uniform(-104, -84)
        self._slow_phase = chance.uniform(0, math.tau)
        self._quick_phase = chance.uniform(0, math.tau)

    @property
    def heard(self) -> bool:
        """Whether there is a cell to camp on."""
        return not self.silent and self.selection.finds(self.cell)

    def measure(self, seconds: float) -> Measurement | None:
        """The signal `seconds` after power-on; None when there is none."""
        if not self.heard:
            return None
        slow = 5 * math.sin(math.tau * seconds / _SLOW_PERIOD_SECONDS + self._slow_phase)
        quick = 1.5 * math.sin(math.tau * seconds / _QUICK_PERIOD_SECONDS + self._quick_phase)
        rsrp = self._middle_rsrp_dbm + slow + quick
        rsrq = -11 + 0.35 * quick + 0.25 * slow
        return Measurement(
            rssi_dbm=round(rsrp + 27 + 0.3 * quick),
            rsrp_dbm=round(rsrp),
            rsrq_db=round(rsrq),
            sinr_db=round(11 + 0.9 * slow + quick),
        )
