"""Commands for this host's modems, taken out of `modem_commands`. Nothing in a row is trusted."""

from __future__ import annotations

import logging
import threading
from typing import Any

from psycopg.rows import dict_row

from agent.core.clock import Deadline
from agent.core.errors import ProtocolError
from agent.modem.ports import CommandRequest
from agent.store.database import Database
from agent.store.documents import read_object
from agent.store.statements import statements

log = logging.getLogger(__name__)


class CommandInbox:
    """The queue of `host`: read it at each notification on `modem_command`, after a reconnect and now and then."""

    def __init__(self, database: Database, host: str) -> None:
        self._database = database
        self._host = host
        self._sql = statements("inbox")
        self._lock = threading.Lock()
        self._recovered = False

    def claim(self, limit: int) -> tuple[CommandRequest, ...]:
        """Take up to `limit` commands, oldest first; each is taken once, by one agent, and is `running` from now on.

        The first call fails what an earlier, killed agent of this host was working on (`agent_restarted`). Commands
        past their time expire; one with an unreadable argument is failed (`bad_argument`), not returned. Raises
        TransientError when the database cannot be reached in time."""
        with self._lock:
            if not self._recovered:
                self._fail_interrupted()
                self._recovered = True
        parameters = {"host": self._host, "limit": max(0, limit)}
        self._database.execute(self._sql["expire_overdue"], parameters)
        self._database.execute(self._sql["fail_abandoned"], parameters)
        rows = self._database.fetch(self._sql["claim"], parameters, dict_row)
        requests = (self._request(row) for row in sorted(rows, key=lambda row: int(row["id"])))
        return tuple(request for request in requests if request is not None)

    def _fail_interrupted(self) -> None:
        failed = self._database.execute(self._sql["fail_interrupted"], {"host": self._host})
        if failed:
            log.warning("commands of an earlier agent were failed", extra={"HOST": self._host, "COMMANDS": failed})

    def _request(self, row: dict[str, Any]) -> CommandRequest | None:
        try:
            argument = read_object(row["argument"])
        except ProtocolError as exc:
            log.warning("command refused", extra={"MODEM": row["serial"], "COMMAND_ID": row["id"], "REASON": str(exc)})
            refusal = {"id": row["id"], "code": "bad_argument", "message": str(exc)}
            self._database.execute(self._sql["refuse"], refusal)
            return None
        return CommandRequest(
            id=row["id"],
            serial=row["serial"],
            kind=row["kind"],
            argument=argument,
            deadline=Deadline.after(max(0.0, row["remaining_seconds"])),
        )
