"""The wishes last read from the database, on disk: what an agent works by while the database is away."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.core.atomic import atomic_write
from agent.core.errors import ConfigError, ProtocolError
from agent.core.identifiers import Serial, Slot
from agent.modem.model import Allocation

log = logging.getLogger(__name__)

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the database says of one modem of this host; the rest is in the settings."""

    serial: Serial
    slot: Slot | None
    enabled: bool
    apn: str | None
    allocation: Allocation


@dataclass(frozen=True, slots=True)
class WishCache:
    """A JSON file at `path`; it holds no secret."""

    path: Path
    host: str

    def fetch(self) -> tuple[Wish, ...]:
        """The wishes saved last; none when there is no file of this host, or it is damaged (which is logged)."""
        try:
            saved = json.loads(self.path.read_text(encoding="utf-8"))
            if saved["format"] != FORMAT or saved["host"] != self.host:
                return ()
            return tuple(_parse(each) for each in saved["modems"])
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError, RecursionError, ProtocolError):
            log.warning(
                "the saved wishes cannot be read; starting without", extra={"FILE": str(self.path)}, exc_info=True
            )
            return ()

    def save(self, wishes: Iterable[Wish]) -> None:
        """Replace the file; on return it is on stable storage. ConfigError when it cannot be written."""
        document = {"format": FORMAT, "host": self.host, "modems": [asdict(wish) for wish in wishes]}
        try:
            self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            atomic_write(self.path, json.dumps(document, indent=1))
        except OSError as exc:
            raise ConfigError(f"{self.path} cannot be written: {exc}") from exc


def _parse(saved: dict[str, object]) -> Wish:
    match saved:
        case {
            "serial": str(serial),
            "slot": str() | None as slot,
            "enabled": bool(enabled),
            "apn": str() | None as apn,
            "allocation": {"tcp_port": int(tcp_port), "uid": int(uid), "table": int(table)},
        }:
            return Wish(
                serial=Serial.parse(serial),
                slot=Slot.parse(slot) if slot else None,
                enabled=enabled,
                apn=apn,
                allocation=Allocation(tcp_port=tcp_port, uid=uid, table=table),
            )
    raise ProtocolError("not a saved wish", str(saved))
