"""One agent per host name: a lock that the agent's session holds, and a heartbeat in `hosts`."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row, scalar_row

from agent.core.clock import Deadline, Instant, now, wall
from agent.core.errors import ConfigError, TransientError
from agent.store.database import first_line, session_options
from agent.store.deadlines import DeadlineKeeper
from agent.store.statements import statements

log = logging.getLogger(__name__)

GHOST_SECONDS = 45.0
"""A holder of the lock whose heartbeat stands still for this long is a session that its machine has left behind."""
KEEPALIVE = b"""
SELECT set_config(name, value, false) FROM (VALUES
    ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'),
    ('statement_timeout', %(limit)s)) AS wanted (name, value)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holder:
    agent_id: uuid.UUID | None
    boot_id: str | None
    pid: int | None
    last_seen: datetime


class HostPresence:
    """Says that this host's agent lives, and notices another agent of the same host name.

    `announce` is to be called about every ten seconds, always from one thread.
    """

    def __init__(self, url: str, host: str, version: str, *, timeout_seconds: float = 5.0) -> None:
        self._url = url
        self._host = host
        self._version = version
        self._timeout_seconds = timeout_seconds
        self._agent_id = uuid.uuid4()
        self._boot_id = _boot_id()
        self._started_at = wall()
        self._sql = statements("presence")
        self._deadlines = DeadlineKeeper(f"{host}-presence")
        self._connection: psycopg.Connection[Any] | None = None
        self._seen: tuple[_Holder, Instant] | None = None

    @property
    def held(self) -> bool:
        """Whether this process is known to be the host's only agent."""
        return self._connection is not None

    def announce(self, proxy_listen: str | None = None, notices: Sequence[str] = ()) -> bool:
        """Renew the heartbeat, where the proxies listen (None: as before), and what people should know; True when
        this process is the host's only agent.

        False while that is not certain yet: an earlier session of this host has not ended. Raises ConfigError when
        another agent of this host name is alive, TransientError while the database is away: the agent works on."""
        try:
            if self._connection is None:
                self._connection = self._lock()
            if self._connection is None:
                return False
            with self._deadlines.watch(self._connection, Deadline.after(self._timeout_seconds)):
                self._connection.execute(self._sql["announce"], self._row(proxy_listen, notices))
        except psycopg.Error as exc:
            self._drop()
            raise TransientError(f"PostgreSQL is away: {first_line(exc)}") from exc
        return True

    def close(self) -> None:
        """Give the lock back and end; `announce` must not be called after that."""
        self._drop()
        self._deadlines.close()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _lock(self) -> psycopg.Connection[Any] | None:
        connection = psycopg.connect(
            self._url, autocommit=True, **session_options("lastmile-presence", self._timeout_seconds)
        )
        keep = False
        try:
            with self._deadlines.watch(connection, Deadline.after(self._timeout_seconds)):
                connection.execute(KEEPALIVE, {"limit": str(int(self._timeout_seconds * 1000))})
                keep = self._try_lock(connection) or (self._holder_is_ghost(connection) and self._try_lock(connection))
        finally:
            if not keep:
                connection.close()
        self._seen = None if keep else self._seen
        return connection if keep else None

    def _try_lock(self, connection: psycopg.Connection[Any]) -> bool:
        cursor = connection.cursor(row_factory=scalar_row)
        return bool(cursor.execute(self._sql["try_lock"], {"host": self._host}).fetchone())

    def _holder_is_ghost(self, connection: psycopg.Connection[Any]) -> bool:
        """Judge who holds the lock; a ghost's session is ended. Raises ConfigError when it is a living agent's."""
        row = (
            connection.cursor(row_factory=dict_row).execute(self._sql["fetch_holder"], {"host": self._host}).fetchone()
        )
        holder = None if row is None else _Holder(**row)
        if holder is None:
            return False
        if holder.agent_id == self._agent_id:
            # Our own earlier session, cut off by a failing network, which the server has not noticed yet.
            return self._end_holder(connection)
        if holder.boot_id == self._boot_id and Path(f"/proc/{holder.pid}").exists():
            raise ConfigError(
                f"another agent (process {holder.pid}) already runs as host {self._host!r}: see agent.host"
            )
        if self._seen is None or self._seen[0].agent_id != holder.agent_id:
            self._seen = (holder, now())
            return False
        first, since = self._seen
        if holder.last_seen > first.last_seen:
            raise ConfigError(
                f"another machine runs an agent as host {self._host!r}: give one of them another agent.host"
            )
        return now() - since >= GHOST_SECONDS and self._end_holder(connection)

    def _end_holder(self, connection: psycopg.Connection[Any]) -> bool:
        # The holder's login role is ours, and only that role (or one that is granted it) may end its session: a role
        # that was set for this database, such as the owner's, may not.
        with connection.transaction():
            connection.execute(self._sql["be_login_role"])
            cursor = connection.cursor(row_factory=scalar_row)
            ended = cursor.execute(self._sql["end_holder"], {"host": self._host}).fetchone()
        log.warning("a session left behind was ended", extra={"HOST": self._host, "SESSIONS": ended})
        return True

    def _row(self, proxy_listen: str | None, notices: Sequence[str]) -> dict[str, Any]:
        return {
            "host": self._host,
            "version": self._version,
            "pid": os.getpid(),
            "agent_id": self._agent_id,
            "boot_id": self._boot_id,
            "proxy_listen": proxy_listen,
            "started_at": self._started_at,
            "notices": list(notices),
        }


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
