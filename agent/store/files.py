"""Files for CPEs: firmware and configurations that they download, and what they have uploaded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.rows import class_row, scalar_row

from agent.store.database import Database, first_line
from agent.store.device_errors import FileInUseError, FileTakenError, RefusedError
from agent.store.device_rows import FileRow
from agent.store.documents import clean_text
from agent.store.file_shelf import FileShelf, Received
from agent.store.scoping import Scoped
from agent.store.statements import statements

LIMIT_MOST = 1000
NAME_MOST = 200
_FOREIGN = re.compile(r"[^A-Za-z0-9._+-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What is said of a file when it is added."""

    name: str
    kind: str = "1"
    """The first digit of TR-069's FileType: 1 firmware, 2 web content, 3 configuration, 4 and 5 tones and ringers, 6
    stored firmware."""
    oui: str = ""
    """Of the devices that it is for; empty: any."""
    product_class: str = ""
    version: str = ""


class Files(Scoped):
    """The table `files` and the bytes on the shelf; what devices sent is for those who may see every device.

    All methods raise TransientError when PostgreSQL cannot be reached in time, and StorageError (which is one, too)
    when the directory cannot be used."""

    def __init__(self, database: Database, shelf: FileShelf, *, bytes_most: int) -> None:
        self._database = database
        self._shelf = shelf
        self._bytes_most = bytes_most
        self._sql = statements("files")

    @property
    def bytes_most(self) -> int:
        """Largest file that is taken."""
        return self._bytes_most

    def fetch_page(
        self,
        *,
        kind: str | None = None,
        oui: str | None = None,
        product_class: str | None = None,
        after: str | None = None,
        limit: int = LIMIT_MOST,
    ) -> tuple[FileRow, ...]:
        """Files by name, from behind name `after` on; those for a model, when it is given, and those for any."""
        texts = {"kind": kind, "oui": oui, "product_class": product_class, "after": after}
        parameters = {name: None if text is None else clean_text(text) for name, text in texts.items()}
        rows = min(max(0, limit), LIMIT_MOST + 1)
        return tuple(
            self._database.fetch(
                self._sql["fetch_files"], {**parameters, "limit": rows, **self._scope.parameters}, class_row(FileRow)
            )
        )

    def fetch(self, name: str) -> FileRow | None:
        """One file; None when there is none of that name."""
        parameters = {"name": clean_text(name), **self._scope.parameters}
        return self._database.fetch_one(self._sql["fetch_file"], parameters, class_row(FileRow))

    def path_of(self, row: FileRow) -> Path:
        """Where a file's bytes are."""
        return self._shelf.path_of(row.sha256)

    def add(self, facts: FileFacts, chunks: Iterable[bytes], created_by: str) -> FileRow:
        """Take a file in under the name that `clean_name` makes of its own.

        Raises FileTakenError, FileTooLargeError, and RefusedError for what cannot be stored."""
        name = clean_name(facts.name)
        self._refuse_taken(name)
        with self._shelf.receive(chunks, bytes_most=self._bytes_most) as received:
            try:
                self._register(name, facts, received, created_by)
            except psycopg.errors.UniqueViolation as exc:
                self._clear(received.sha256)
                raise FileTakenError(f"there is a file {name!r} already") from exc
            except (psycopg.DataError, psycopg.IntegrityError) as exc:
                self._clear(received.sha256)
                raise RefusedError(f"the file is refused: {first_line(exc)}") from exc
        row = self.fetch(name)
        if row is None:
            raise RefusedError(f"the file {name!r} has been deleted again")
        return row

    def delete(self, name: str) -> bool:
        """Remove a file; False when there is none of that name. Raises FileInUseError."""
        parameters = {"name": clean_text(name)}
        with self._database.transaction() as connection, connection.cursor(row_factory=scalar_row) as cursor:
            # Once the row is locked no download can be made that names it.
            sha256 = cursor.execute(self._sql["lock_file"], parameters).fetchone()
            if sha256 is None:
                return False
            task = cursor.execute(self._sql["find_download"], parameters).fetchone()
            if task is not None:
                raise FileInUseError(f"the download of task {task} is not over")
            cursor.execute(self._sql["delete_file"], parameters)
        self._clear(sha256)
        return True

    def _refuse_taken(self, name: str) -> None:
        if self.fetch(name) is not None:
            raise FileTakenError(f"there is a file {name!r} already")

    def _register(self, name: str, facts: FileFacts, received: Received, created_by: str) -> None:
        parameters = {
            "name": name,
            "kind": clean_text(facts.kind),
            "oui": clean_text(facts.oui),
            "product_class": clean_text(facts.product_class),
            "version": clean_text(facts.version),
            "size": received.size,
            "sha256": received.sha256,
            "created_by": clean_text(created_by),
        }
        with self._database.transaction() as connection:
            # Under the lock the bytes and the row that names them come together.
            connection.execute(self._sql["lock_content"], parameters)
            self._shelf.place(received)
            connection.execute(self._sql["add_file"], parameters)

    def _clear(self, sha256: str) -> None:
        """Remove bytes that no row names any more."""
        parameters = {"sha256": sha256}
        with self._database.transaction() as connection, connection.cursor(row_factory=scalar_row) as cursor:
            cursor.execute(self._sql["lock_content"], parameters)
            if not cursor.execute(self._sql["has_content"], parameters).fetchone():
                self._shelf.remove(sha256)


def clean_name(text: str) -> str:
    """A name as files can have it: what is neither a letter, a digit nor one of ._+- becomes `_`.

    Folders before it are dropped. Raises RefusedError when nothing is left."""
    last = text.replace("\\", "/").rpartition("/")[2]
    name = _FOREIGN.sub("_", last).lstrip("._+-")[:NAME_MOST]
    if not name:
        raise RefusedError("a file's name has letters, digits and ._+- and starts with a letter or digit")
    return name
