"""Measurements and sessions over time, of one modem or of the fleet, as finely as a chart can show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.rows import class_row, scalar_row

from agent.store.database import Database
from agent.store.documents import clean_text
from agent.store.history_steps import Retention, Tier, Window
from agent.store.scoping import Scoped
from agent.store.statements import statements

LATE_HOURS_MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemStep:
    """What was measured in one step, of one modem or of several; None where nothing was."""

    at: int
    """When the step begins, in seconds since 1970."""
    samples: int
    online: int
    """Samples in which the modem was online."""
    rssi_dbm: float | None
    rsrp_dbm: float | None
    """Mean, as all signals."""
    rsrp_least_dbm: float | None
    rsrq_db: float | None
    sinr_db: float | None
    rx_bytes: int | None
    """What has passed in the step, all modems together. After a gap it is in the step that the gap ends in."""
    tx_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStep:
    """CWMP sessions that have ended in one step, with one outcome."""

    at: int
    outcome: str
    sessions: int
    seconds: float
    """How long they have lasted, all together."""


class History(Scoped):
    """All methods raise TransientError when PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database, retention: Retention | None = None) -> None:
        self._database = database
        self.retention = retention or Retention()
        self._sql = statements("history")

    def fetch_modems(
        self, window: Window, serials: Sequence[str] | None = None, host: str | None = None
    ) -> tuple[ModemStep, ...]:
        """What was measured of these modems (None: of all) in the steps of `window`, oldest first; steps without a
        sample are left out."""
        parameters = {
            "serials": None if serials is None else [clean_text(serial) for serial in serials],
            "host": None if host is None else clean_text(host),
            **_times(window),
            **self._scope.parameters,
        }
        name = "fetch_modem_samples" if window.tier is Tier.SAMPLES else "fetch_modem_steps"
        return tuple(self._database.fetch(self._sql[name], parameters, class_row(ModemStep)))

    def fetch_sessions(self, window: Window) -> tuple[SessionStep, ...]:
        """The sessions that have ended in the steps of `window` (of Tier.FINE at least), oldest first.

        Who sees only devices with certain tags gets them as far back as `sessions` goes (acs.session_days)."""
        parameters = {**_times(window), **self._scope.parameters}
        name = "fetch_session_steps" if self._scope.tags is None else "fetch_sessions_of_scope"
        return tuple(self._database.fetch(self._sql[name], parameters, class_row(SessionStep)))

    # -- what the worker does ----------------------------------------------------------------------------------------

    def advance(self, source: str, minutes: int) -> int:
        """Take the next `minutes` of `modems` or `sessions` into the history; how many were taken. 0: nothing is left,
        or another worker is at it."""
        parameters = {"source": source, "minutes": minutes}
        return self._database.fetch_one(self._sql["advance_history"], parameters, scalar_row) or 0

    def mend(self) -> int:
        """Do those hours again that samples came late for; how many."""
        parameters = {"keep_days": self.retention.sample_days, "most": LATE_HOURS_MOST}
        return self._database.fetch_one(self._sql["mend_history"], parameters, scalar_row) or 0

    def retire(self) -> int:
        """Make the next partitions, drop those past their time; how many went."""
        kept = self.retention
        parameters = {"fine_days": kept.fine_days, "hour_days": kept.hour_days, "day_days": kept.day_days}
        return self._database.fetch_one(self._sql["maintain_history_partitions"], parameters, scalar_row) or 0


def _times(window: Window) -> dict[str, object]:
    return {
        "begun": window.begun,
        "stop": window.stop,
        "step": window.step_seconds,
        "tier": int(window.tier),
    }
