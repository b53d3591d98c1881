"""`AT+QENG="servingcell"` (Quectel EC2x AT manual §6): columns differ by technology, and any may be `-`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from agent.core.errors import ProtocolError
from agent.modem.at.fields import last_parameters, optional_decimal, optional_hexadecimal, values
from agent.modem.at.signal_quality import negative_dbm, sinr_db_of_raw
from agent.modem.model import AccessTechnology, Signal

_SINR_MOST_DB = 30


class ServingState(StrEnum):
    """What the modem does in its cell."""

    SEARCH = "SEARCH"
    LIMITED = "LIMSRV"
    IDLE = "NOCONN"
    CONNECTED = "CONNECT"
    UNKNOWN = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingCell:
    """The cell a modem camps on; None where the modem gave nothing."""

    state: ServingState
    access_technology: AccessTechnology = AccessTechnology.UNKNOWN
    duplex: str | None = None
    mcc: str | None = None
    mnc: str | None = None
    area_code: int | None = None
    """LAC or TAC."""
    cell_id: int | None = None
    physical_cell_id: int | None = None
    """PCI, scrambling code or BSIC."""
    channel: int | None = None
    """EARFCN, UARFCN or ARFCN."""
    band: int | None = None
    signal: Signal = field(default_factory=Signal)


def parse_serving_cell(lines: Sequence[str]) -> ServingCell:
    """The answer to `AT+QENG="servingcell"`; raise ProtocolError when it is none."""
    fields = _Fields(values(last_parameters(_unwrap(lines), "QENG"))[1:])
    word = fields.text(0)
    if word is None:
        raise ProtocolError("no serving cell state")
    state = ServingState(word) if word in list(ServingState) else ServingState.UNKNOWN
    match fields.text(1):
        case "LTE":
            return _lte(state, fields)
        case "WCDMA":
            return _wcdma(state, fields)
        case "GSM":
            return _gsm(state, fields)
        case _:
            return ServingCell(state=state)


def _unwrap(lines: Sequence[str]) -> list[str]:
    """Join a line that ends inside quotes, or after a comma, with the next one."""
    result: list[str] = []
    for line in lines:
        if result and (result[-1].count('"') % 2 or result[-1].endswith(",")):
            result[-1] += line
        else:
            result.append(line)
    return result


class _Fields:
    """Columns by number, those that are missing and `-` alike being None."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = fields

    def text(self, index: int) -> str | None:
        text = self._fields[index] if index < len(self._fields) else ""
        return None if text in ("", "-") else text

    def decimal(self, index: int) -> int | None:
        return optional_decimal(self.text(index) or "", f"QENG column {index}")

    def hexadecimal(self, index: int) -> int | None:
        return optional_hexadecimal(self.text(index) or "", f"QENG column {index}")

    def negative(self, index: int) -> float | None:
        return negative_dbm(self.text(index) or "", f"QENG column {index}")


def _lte(state: ServingState, fields: _Fields) -> ServingCell:
    sinr = fields.decimal(15)
    if sinr is not None and sinr > _SINR_MOST_DB:
        sinr_db: float | None = sinr_db_of_raw(sinr)  # above the range in dB: this firmware prints the raw value
    else:
        sinr_db = None if sinr is None else float(sinr)
    return ServingCell(
        state=state,
        access_technology=AccessTechnology.LTE,
        duplex=fields.text(2),
        mcc=fields.text(3),
        mnc=fields.text(4),
        cell_id=fields.hexadecimal(5),
        physical_cell_id=fields.decimal(6),
        channel=fields.decimal(7),
        band=fields.decimal(8),
        area_code=fields.hexadecimal(11),
        signal=Signal(
            rsrp_dbm=fields.negative(12),
            rsrq_db=fields.negative(13),
            rssi_dbm=fields.negative(14),
            sinr_db=sinr_db,
        ),
    )


def _wcdma(state: ServingState, fields: _Fields) -> ServingCell:
    rscp, ecio = fields.negative(9), fields.negative(10)
    return ServingCell(
        state=state,
        access_technology=AccessTechnology.UMTS,
        mcc=fields.text(2),
        mnc=fields.text(3),
        area_code=fields.hexadecimal(4),
        cell_id=fields.hexadecimal(5),
        channel=fields.decimal(6),
        physical_cell_id=fields.decimal(7),
        # Ec/Io is RSCP over RSSI (3GPP TS 25.215 §5.1).
        signal=Signal(rssi_dbm=None if rscp is None or ecio is None else rscp - ecio),
    )


def _gsm(state: ServingState, fields: _Fields) -> ServingCell:
    return ServingCell(
        state=state,
        access_technology=AccessTechnology.GSM,
        mcc=fields.text(2),
        mnc=fields.text(3),
        area_code=fields.hexadecimal(4),
        cell_id=fields.hexadecimal(5),
        physical_cell_id=fields.decimal(6),
        channel=fields.decimal(7),
        signal=Signal(rssi_dbm=fields.negative(9)),
    )
