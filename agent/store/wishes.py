"""What is wanted of this host's modems (`agent.modem.ports.Wishes`): from `modems`, else from disk."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row, scalar_row

from agent.core.errors import AgentError, ConfigError, ProtocolError, TransientError
from agent.core.identifiers import Serial, Slot
from agent.modem.model import Allocation, Desired, ProxyPolicy
from agent.store.database import Database, first_line
from agent.store.statements import statements
from agent.store.wish_cache import Wish, WishCache

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredDefaults:
    """What the settings want of every modem."""

    apn: str = ""
    pin: str | None = field(default=None, repr=False)
    proxy: ProxyPolicy | None = None
    rule_priority: int = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationRanges:
    """From where new modems get their TCP port, uid and table; the index of a modem is the same in all three."""

    tcp_port_first: int
    tcp_port_last: int
    uid_first: int
    table_first: int


class _ElsewhereError(AgentError):
    """Another host has the modem."""


class HostWishes:
    """The wishes of `host`. Safe for many threads; no method waits longer than the database's `timeout_seconds`."""

    def __init__(
        self, database: Database, host: str, defaults: DesiredDefaults, ranges: AllocationRanges, cache_path: Path
    ) -> None:
        self._database = database
        self._host = host
        self._defaults = defaults
        self._ranges = ranges
        self._cache = WishCache(cache_path, host)
        self._sql = statements("wishes")
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._wishes: dict[Serial, Wish] = {wish.serial: wish for wish in self._cache.fetch()}
        self._saved = tuple(self._wishes.values())
        self._complete = bool(self._saved)
        self._refreshing = threading.Lock()
        self._met: dict[Serial, Wish] = {}

    def set_defaults(self, defaults: DesiredDefaults, ranges: AllocationRanges | None = None) -> None:
        """Take over new settings; allocations that were made stay."""
        with self._lock:
            self._defaults = defaults
            self._ranges = ranges or self._ranges

    @property
    def complete(self) -> bool:
        """Whether every modem of this host is known: the wishes were read from the database once, or from disk."""
        with self._lock:
            return self._complete

    def desired(self, serial: Serial) -> Desired | None:
        """What is wanted of a modem; None for one that this host has not met yet."""
        with self._lock:
            wish = self._wishes.get(serial)
            return None if wish is None else _desired(wish, self._defaults)

    def known(self) -> tuple[Desired, ...]:
        """Every modem of this host, by serial."""
        with self._lock:
            return tuple(_desired(self._wishes[serial], self._defaults) for serial in sorted(self._wishes))

    def home_slot(self, serial: Serial) -> Slot | None:
        """The slot in which the modem was last seen."""
        with self._lock:
            wish = self._wishes.get(serial)
            return None if wish is None else wish.slot

    def register(self, serial: Serial, slot: Slot, imei: str | None) -> Desired | None:
        """Meet a modem in `slot`: its row and its allocation are made when missing, and made anew on a new host.

        While the database is away: what is known from before, None for a modem never met. None also while another
        host that is alive says it has this modem. ConfigError when the range of TCP ports is used up."""
        try:
            wish = self._register(serial, slot, imei)
        except TransientError as exc:
            log.info("modem met without the database", extra={"MODEM": serial, "REASON": str(exc)})
            return self.desired(serial)
        except _ElsewhereError as exc:
            log.warning("modem belongs to another host", extra={"MODEM": serial, "REASON": str(exc)})
            return None
        with self._lock:
            self._wishes[serial] = self._met[serial] = wish
        self._save()
        return self.desired(serial)

    def refresh(self) -> frozenset[Serial]:
        """Read all wishes again and return the modems of which something else is wanted now (those that left too).

        Raises TransientError while the database is away; nothing has changed then."""
        with self._refreshing:
            with self._lock:
                self._met = {}
            rows = self._database.fetch(self._sql["fetch_wishes"], {"host": self._host}, dict_row)
            fetched = {wish.serial: wish for wish in _readable(rows)}
            with self._lock:
                # A modem met in the meantime may be missing in what was read.
                fetched = {**self._met, **fetched}
                before, self._wishes = self._wishes, fetched
            self._complete = True
        self._save()
        return frozenset(
            serial for serial in before.keys() | fetched.keys() if before.get(serial) != fetched.get(serial)
        )

    def concerned_by(self, payload: str) -> bool:
        """Whether a notification on `modem_change` may change a wish of this host: worth a `refresh`."""
        try:
            change = json.loads(payload)
            ours = change["host"] == self._host or self.desired(change["serial"]) is not None
            return ours and change["event"] is not None
        except (ValueError, KeyError, TypeError, RecursionError):
            return True

    def _register(self, serial: Serial, slot: Slot, imei: str | None) -> Wish:
        with self._lock:
            ranges = self._ranges
        who = {"serial": serial, "host": self._host, "slot": slot, "imei": imei}
        try:
            with self._database.transaction() as connection:
                connection.execute(self._sql["lock_allocation"], who)
                self._give_home(connection, who, ranges)
                row = connection.cursor(row_factory=dict_row).execute(self._sql["fetch_wish"], who).fetchone()
        except psycopg.errors.UniqueViolation as exc:
            raise TransientError("another host met the modem at the same moment") from exc
        except (psycopg.DataError, psycopg.IntegrityError) as exc:
            raise ConfigError(f"modem {serial} is refused by the database: {first_line(exc)}") from exc
        if row is None:
            raise TransientError("the modem was moved to another host at this moment")
        return _wish(row)

    def _give_home(self, connection: psycopg.Connection[Any], who: dict[str, Any], ranges: AllocationRanges) -> None:
        home = connection.cursor(row_factory=dict_row).execute(self._sql["fetch_home"], who).fetchone()
        if home is not None and home["host"] == self._host:
            connection.execute(self._sql["meet_modem"], who)
            return
        if home is not None and home["present"]:
            raise _ElsewhereError(f"host {home['host']} is alive and says it has this modem")
        connection.execute(self._sql["meet_host"], who)
        allocation = self._allocate(connection, ranges)
        if home is None:
            connection.execute(self._sql["add_modem"], {**who, **allocation})
        else:
            connection.execute(self._sql["move_modem"], {**who, **allocation, "old_host": home["host"]})

    def _allocate(self, connection: psycopg.Connection[Any], ranges: AllocationRanges) -> dict[str, int]:
        parameters = {
            "host": self._host,
            "tcp_port_first": ranges.tcp_port_first,
            "uid_first": ranges.uid_first,
            "table_first": ranges.table_first,
            "last_index": ranges.tcp_port_last - ranges.tcp_port_first,
        }
        cursor = connection.cursor(row_factory=scalar_row)
        index = cursor.execute(self._sql["lowest_free_index"], parameters).fetchone()
        if index is None:
            raise ConfigError(
                f"all TCP ports from {ranges.tcp_port_first} to {ranges.tcp_port_last} are given to modems:"
                " raise proxy.tcp_port_last"
            )
        return {
            "tcp_port": ranges.tcp_port_first + index,
            "uid": ranges.uid_first + index,
            "table": ranges.table_first + index,
        }

    def _save(self) -> None:
        with self._saving:
            with self._lock:
                wishes = tuple(self._wishes[serial] for serial in sorted(self._wishes))
            if wishes == self._saved:
                return
            try:
                self._cache.save(wishes)
            except ConfigError as exc:
                # The modems come first: without the file they are only at a loss at a start without the database.
                log.warning("the wishes could not be saved", extra={"REASON": str(exc)})
            else:
                self._saved = wishes


def _desired(wish: Wish, defaults: DesiredDefaults) -> Desired:
    return Desired(
        serial=wish.serial,
        enabled=wish.enabled,
        apn=defaults.apn if wish.apn is None else wish.apn,
        pin=defaults.pin,
        allocation=wish.allocation,
        proxy=defaults.proxy,
        rule_priority=defaults.rule_priority,
    )


def _wish(row: dict[str, Any]) -> Wish:
    return Wish(
        serial=Serial.parse(row["serial"]),
        slot=Slot.parse(row["slot"]) if row["slot"] else None,
        enabled=row["enabled"],
        apn=row["apn"],
        allocation=Allocation(tcp_port=row["tcp_port"], uid=row["uid"], table=row["table"]),
    )


def _readable(rows: Iterable[dict[str, Any]]) -> Iterable[Wish]:
    for row in rows:
        try:
            yield _wish(row)
        except ProtocolError as exc:
            log.warning("a row of modems cannot be used", extra={"MODEM": row["serial"], "REASON": str(exc)})
