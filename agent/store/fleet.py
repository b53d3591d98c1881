"""What the web and the CLI ask of the fleet: modems, their logs and events, and commands for the agents."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row, kwargs_row, scalar_row

from agent.core.clock import Deadline
from agent.core.errors import ConfigError, DeadlineExceeded, TransientError
from agent.modem.model import ModemState
from agent.store.database import Database, first_line
from agent.store.documents import clean_text, render_object, show_object
from agent.store.listen import MODEM_COMMAND_DONE
from agent.store.rows import (
    AddressRow,
    AgentRow,
    CommandRow,
    CommandState,
    EventRow,
    HostRow,
    LogRow,
    ModemRow,
    SampleRow,
)
from agent.store.scoping import Scoped
from agent.store.statements import statements
from agent.store.waiting import RESYNC_SECONDS, Waiters

LIMIT_MOST = 10_000


class Fleet(Scoped):
    """Every host and modem of one PostgreSQL. All methods raise TransientError when it cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("fleet")
        self._done = Waiters(database, {MODEM_COMMAND_DONE: str}, name="commands")

    def close(self) -> None:
        """Stop waiting for commands; the database stays open."""
        self._done.close()

    def ping(self) -> None:
        """Return when the database answers."""
        self._database.ping()

    def fetch_modems(self) -> tuple[ModemRow, ...]:
        """Every modem, by host and TCP port."""
        return tuple(self._database.fetch(self._sql["fetch_modems"], self._scope.parameters, _MODEM))

    def fetch_modem(self, serial: str) -> ModemRow | None:
        """One modem; None when there is none of that serial."""
        parameters = {"serial": clean_text(serial), **self._scope.parameters}
        return self._database.fetch_one(self._sql["fetch_modem"], parameters, _MODEM)

    def set_enabled(self, serial: str, enabled: bool) -> ModemRow | None:
        """Wish a modem to be up or down, and return its row; None when there is none of that serial."""
        parameters = {"serial": clean_text(serial), "enabled": enabled, **self._scope.parameters}
        if not self._database.execute(self._sql["set_enabled"], parameters):
            return None
        return self.fetch_modem(serial)

    def fetch_hosts(self) -> tuple[HostRow, ...]:
        """Every host, by name."""
        return tuple(self._database.fetch(self._sql["fetch_hosts"], self._scope.parameters, class_row(HostRow)))

    def fetch_agent(self, serial: str) -> AgentRow | None:
        """The agent that looks after a modem; None when there is no modem of that serial."""
        parameters = {"serial": clean_text(serial), **self._scope.parameters}
        return self._database.fetch_one(self._sql["fetch_agent"], parameters, class_row(AgentRow))

    def fetch_logs(self, serial: str, before_id: int | None = None, limit: int = 100) -> tuple[LogRow, ...]:
        """The newest log rows of a modem whose id is below `before_id`, newest first."""
        parameters = {
            "serial": clean_text(serial),
            "before_id": None if before_id is None else _id(before_id),
            "limit": _bounded(limit),
            **self._scope.parameters,
        }
        return tuple(self._database.fetch(self._sql["fetch_logs"], parameters, class_row(LogRow)))

    def fetch_samples(self, serial: str, since: datetime, limit: int = 1000) -> tuple[SampleRow, ...]:
        """Samples of a modem from `since` on, oldest first; when there are more than `limit`, the newest of them."""
        parameters = {"serial": clean_text(serial), "since": since, "limit": _bounded(limit), **self._scope.parameters}
        return tuple(self._database.fetch(self._sql["fetch_samples"], parameters, _SAMPLE))

    def fetch_addresses(self, serial: str, limit: int = 100) -> tuple[AddressRow, ...]:
        """The addresses a modem had, newest first."""
        parameters = {"serial": clean_text(serial), "limit": _bounded(limit), **self._scope.parameters}
        return tuple(self._database.fetch(self._sql["fetch_addresses"], parameters, class_row(AddressRow)))

    def fetch_events(self, after_id: int, limit: int = 1000) -> tuple[EventRow, ...]:
        """Events whose id is above `after_id`, oldest first; asking again after the last id misses none."""
        parameters = {"after_id": _id(after_id), "limit": _bounded(limit), **self._scope.parameters}
        return tuple(self._database.fetch(self._sql["fetch_events"], parameters, _EVENT))

    def latest_event_id(self) -> int:
        """Id of the newest event; 0 when there is none."""
        return self._database.fetch_one(self._sql["latest_event_id"], {}, scalar_row) or 0

    def visible_devices(self, device_ids: Iterable[str]) -> frozenset[str]:
        """Those of these devices that may be seen."""
        parameters = {"device_ids": [clean_text(each) for each in device_ids], **self._scope.parameters}
        return frozenset(self._database.fetch(self._sql["visible_devices"], parameters, scalar_row))

    def submit_command(
        self, serial: str, kind: str, argument: dict[str, Any], requested_by: str, timeout_seconds: float
    ) -> int | None:
        """Ask the modem's agent for something, for `timeout_seconds` (at most an hour); return the row's id.

        None when there is no such modem; ConfigError when the request is too large or not storable."""
        parameters = {
            "serial": clean_text(serial),
            "kind": clean_text(kind),
            "argument": render_object(argument),
            "requested_by": clean_text(requested_by),
            "timeout_seconds": min(max(0.001, timeout_seconds), 3600.0),
            **self._scope.parameters,
        }
        try:
            return self._database.fetch_one(self._sql["submit_command"], parameters, scalar_row)
        except (psycopg.DataError, psycopg.IntegrityError) as exc:
            raise ConfigError(f"the command is refused: {first_line(exc)}") from exc

    def fetch_command(self, command_id: int) -> CommandRow | None:
        """One row of `modem_commands`."""
        parameters = {"id": _id(command_id), **self._scope.parameters}
        return self._database.fetch_one(self._sql["fetch_command"], parameters, _COMMAND)

    def await_command(self, command_id: int, deadline: Deadline) -> CommandRow:
        """Wait until the agent has answered, or `deadline` passes, and return the row as it stands then.

        A row that no agent has claimed by then is cancelled: its state is `expired`. One that an agent still works on
        is returned as `running`. Raises ConfigError when there is no such row."""
        with self._done.waiting_for((MODEM_COMMAND_DONE, str(command_id))) as done:
            while True:
                row = self._fetch_patiently(command_id, deadline)
                if row.state.finished:
                    return row
                if deadline.passed:
                    return self._give_up(command_id)
                done.wait(deadline.earlier(RESYNC_SECONDS).remaining_seconds)
                done.clear()

    def _fetch_patiently(self, command_id: int, deadline: Deadline) -> CommandRow:
        while True:
            try:
                row = self.fetch_command(command_id)
            except TransientError:
                if deadline.passed:
                    raise
                threading.Event().wait(deadline.earlier(0.5).remaining_seconds)
                continue
            if row is None:
                raise ConfigError(f"there is no command {command_id}")
            return row

    def _give_up(self, command_id: int) -> CommandRow:
        self._database.execute(self._sql["expire_command"], {"id": _id(command_id)})
        row = self.fetch_command(command_id)
        if row is None:
            raise DeadlineExceeded(f"command {command_id} is gone")
        return row


def _id(number: int) -> int:
    """`number` as a bigint can hold it: what lies beyond is beyond every id, too."""
    return min(max(-1, number), 2**63 - 1)


def _bounded(limit: int) -> int:
    return min(max(0, limit), LIMIT_MOST)


def _make_modem(**columns: Any) -> ModemRow:
    return ModemRow(**{**columns, "status": ModemState(columns["status"])})


def _make_sample(**columns: Any) -> SampleRow:
    return SampleRow(**{**columns, "status": ModemState(columns["status"])})


def _make_event(**columns: Any) -> EventRow:
    return EventRow(**{**columns, "payload": show_object(columns["payload"])})


def _make_command(**columns: Any) -> CommandRow:
    parsed = {name: show_object(columns[name]) for name in ("argument", "result")}
    return CommandRow(**{**columns, **parsed, "state": CommandState(columns["state"])})


_MODEM = kwargs_row(_make_modem)
_SAMPLE = kwargs_row(_make_sample)
_EVENT = kwargs_row(_make_event)
_COMMAND = kwargs_row(_make_command)
