"""Files on their way to and from CPEs: what a task allows, and what has come in."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.rows import class_row

from agent.store.database import Database
from agent.store.documents import clean_text
from agent.store.statements import statements


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A row of `files`."""

    name: str
    kind: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A Download or Upload that a device was asked for and has not finished."""

    task: int
    device_id: str
    kind: str
    file: str | None
    file_type: str


class TransferStore:
    """All methods raise TransientError when PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("transfers")

    def fetch_file(self, name: str) -> StoredFile | None:
        """The file of that name."""
        return self._database.fetch_one(self._sql["fetch_file"], {"name": clean_text(name)}, class_row(StoredFile))

    def fetch_transfer(self, task: int) -> Transfer | None:
        """The transfer of a task, while it is under way."""
        return self._database.fetch_one(self._sql["fetch_transfer"], {"task": task}, class_row(Transfer))

    def add_upload(self, transfer: Transfer, *, name: str, size: int, sha256: str) -> None:
        """Register what a device has sent, and name it in its task's result; the same name again replaces it."""
        upload = {"task": transfer.task, "name": name, "size": size, "sha256": sha256, "created_by": transfer.device_id}
        with self._database.transaction() as connection:
            connection.execute(self._sql["add_upload"], upload)
            connection.execute(self._sql["note_upload"], {"task": transfer.task, "name": name, "size": size})
