"""What the resilience tests look at from outside: processes, files, and a download that lasts."""

from __future__ import annotations

import json
import re
import signal
import socket
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from agent.modem.model import ModemState
from agent.store.rows import ModemRow
from tests.farm.harness import Farmyard

_ACTION = re.compile(r"action done MODEM=(\S+) ACTION=(.*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What must not change when nothing has to be done."""

    proxy_pid: int
    session: str
    qmi_clients: tuple[tuple[str, tuple[int, ...]], ...]
    addresses: tuple[str, ...]
    link: str | None

    @classmethod
    def of(cls, yard: Farmyard, number: int) -> Self:
        """How the farm's modem of that number stands now."""
        status = yard.farm.modem(number)
        return cls(
            proxy_pid=proxy_pid(yard, status.imei),
            session=session_file(yard, status.imei).read_text(),
            qmi_clients=tuple((name, tuple(ids)) for name, ids in sorted(status.qmi_clients.items())),
            addresses=status.addresses,
            link=status.link_name,
        )


def proxy_pid(yard: Farmyard, serial: str) -> int:
    """Process of a modem's proxy."""
    text = (yard.playground.directory / "run" / "proxies" / f"{serial}.process").read_text()
    return int(json.loads(text)["pid"])


def session_file(yard: Farmyard, serial: str) -> Path:
    """Where the agent remembers a modem's data session."""
    return yard.playground.directory / "run" / "sessions" / f"{serial}.json"


def kill_agent(yard: Farmyard) -> None:
    """SIGKILL, and certainty that it is gone."""
    assert yard.playground.stop_agent(signal.SIGKILL) == -signal.SIGKILL


def logged_actions(yard: Farmyard, serial: str) -> list[str]:
    """Every action that the agents say they have done on a modem, as in `modem_logs`, oldest first."""
    found = (_ACTION.search(line) for line in yard.agent_log().splitlines())
    return [each[2] for each in found if each is not None and each[1] == serial]


def wait_seen_online(yard: Farmyard, *serials: str) -> list[ModemRow]:
    """Rows of the modems once each has been reported online anew, by a pass that began after this call."""
    before = {serial: reported_at(yard, serial) for serial in serials}

    def seen() -> bool:
        rows = [yard.row(serial) for serial in serials]
        return all(
            row is not None
            and row.status is ModemState.ONLINE
            and (row.reported_at is not None and (before[row.serial] or 0.0) < row.reported_at.timestamp())
            for row in rows
        )

    yard.wait_for(seen, f"{', '.join(serials)} seen online anew", seconds=60)
    return [yard.online_row(serial) for serial in serials]


def reported_at(yard: Farmyard, serial: str) -> float | None:
    """When the agent last reported on a modem."""
    row = yard.row(serial)
    return row.reported_at.timestamp() if row is not None and row.reported_at is not None else None


def outbox_rows(yard: Farmyard) -> int:
    """Rows that wait on disk for the database."""
    return int(_read_outbox(yard, "SELECT count(*) FROM waiting")[0][0])


def waiting_actions(yard: Farmyard, serial: str) -> list[str]:
    """A modem's actions among the rows that wait on disk, in their order."""
    bodies = (
        json.loads(text)
        for (text,) in _read_outbox(yard, "SELECT body FROM waiting WHERE kind = 'log' ORDER BY sequence")
    )
    return [body["command"] for body in bodies if _is_action(body["serial"], body["channel"], body["outcome"], serial)]


def written_actions(yard: Farmyard, serial: str) -> list[str]:
    """A modem's actions in `modem_logs`, in their order."""
    rows = yard.logs(serial, limit=10_000)
    return [row.command for row in rows if _is_action(row.serial, row.channel, row.outcome, serial)]


def _is_action(of: str | None, channel: str, outcome: str, serial: str) -> bool:
    return (of, channel, outcome) == (serial, "agent", "ok")


def _read_outbox(yard: Farmyard, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(yard.playground.directory / "state" / "outbox.sqlite", timeout=10)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


class Download:
    """A client's download through a modem's proxy, read as slowly as its reader likes."""

    def __init__(self, row: ModemRow, size: int = 48 << 20) -> None:
        assert row.proxy_address is not None
        host, _, port = row.proxy_address.rpartition(":")
        self._size = size
        self._socket = socket.create_connection((host, int(port)), timeout=20)
        # A small window, so that the carrier still has most of it when the reader has had a little.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self._socket.sendall(
            f"GET http://whoami.test/bytes/{size} HTTP/1.1\r\nHost: whoami.test\r\nConnection: close\r\n\r\n".encode()
        )
        self._file = self._socket.makefile("rb")
        status = self._file.readline()
        assert b" 200 " in status, status
        while self._file.readline().strip():
            pass
        self._got = 0

    def read(self, count: int) -> None:
        """Take `count` bytes more."""
        got = len(self._file.read(count))
        assert got == count, f"the download was cut off after {self._got + got} bytes"
        self._got += got

    def finish(self) -> None:
        """Take the rest."""
        while self._got < self._size:
            self.read(min(1 << 20, self._size - self._got))
        self.close()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
