"""`+CSQ` and `+QCSQ` (3GPP TS 27.007 §8.5; Quectel EC2x AT manual §6)."""

from __future__ import annotations

from collections.abc import Sequence

from agent.modem.at.fields import decimal, last_parameters, optional_decimal, values
from agent.modem.model import Signal

_CSQ_MOST = 31


def sinr_db_of_raw(raw: int) -> float:
    """Quectel's raw SINR, 0 to 250, in dB."""
    return round(raw / 5 - 20, 1)


def parse_csq(lines: Sequence[str]) -> Signal:
    """The answer to `AT+CSQ`: 0 to 31 are -113 to -51 dBm; 99 (and all else) is unknown."""
    level = decimal(values(last_parameters(lines, "CSQ"))[0], "<rssi>")
    return Signal(rssi_dbm=-113.0 + 2 * level if 0 <= level <= _CSQ_MOST else None)


def negative_dbm(field: str, what: str) -> float | None:
    """A level, negative by nature: some firmware leaves the minus sign out. None for `-` or nothing."""
    number = optional_decimal(field, what)
    return None if number is None else -float(abs(number))


def parse_qcsq(lines: Sequence[str]) -> Signal:
    """The answer to `AT+QCSQ`; all None without service. For UMTS, RSCP is not shown as RSRP."""
    technology, *fields = values(last_parameters(lines, "QCSQ"))
    rssi = negative_dbm(fields[0], "RSSI") if fields else None
    if "LTE" not in technology.upper() or len(fields) < 4:
        return Signal(rssi_dbm=rssi)
    raw = optional_decimal(fields[2], "SINR")
    return Signal(
        rssi_dbm=rssi,
        rsrp_dbm=negative_dbm(fields[1], "RSRP"),
        sinr_db=None if raw is None else sinr_db_of_raw(raw),
        rsrq_db=negative_dbm(fields[3], "RSRQ"),
    )
